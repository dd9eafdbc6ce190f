/** A UPS-RS work item as clients create it, with the required attributes only (PS3.4 table CC.2.5-3). */

const code = (value: string, scheme: string) => ({
  '00080100': { vr: 'SH', Value: [value] },
  '00080102': { vr: 'SH', Value: [scheme] },
});

/** @param parameters texts by code value, such as TEMPLATE */
export function makeWorkitem(
  { studyInstanceUid, seriesInstanceUid }: { studyInstanceUid: string; seriesInstanceUid: string },
  parameters: Readonly<Record<string, string>>,
) {
  return {
    '00741200': { vr: 'CS', Value: ['MEDIUM'] },
    '00741204': { vr: 'LO', Value: ['Normalise'] },
    '00741202': { vr: 'LO', Value: ['Pathology'] },
    '00741210': {
      vr: 'SQ',
      Value: Object.entries(parameters).map(([name, value]) => ({
        '0040A040': { vr: 'CS', Value: ['TEXT'] },
        '0040A043': { vr: 'SQ', Value: [code(name, '99STAINNORM')] },
        '0040A160': { vr: 'UT', Value: [value] },
      })),
    },
    '00404005': { vr: 'DT', Value: ['20260102030405'] },
    '00404018': { vr: 'SQ', Value: [code('110001', 'DCM')] },
    '00404041': { vr: 'CS', Value: ['READY'] },
    '00404021': {
      vr: 'SQ',
      Value: [
        {
          '0020000D': { vr: 'UI', Value: [studyInstanceUid] },
          '0020000E': { vr: 'UI', Value: [seriesInstanceUid] },
        },
      ],
    },
    '00741000': { vr: 'CS', Value: ['SCHEDULED'] },
  };
}
