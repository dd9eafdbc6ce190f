/** Which header of a slide a result is compared with. */
import { expect, it } from 'vitest';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import type { DicomWebClient } from '../../server/src/dicomweb/client.ts';
import { checkResult } from '../../server/src/results/check-result.ts';

const study = { studyInstanceUid: '1.2.3' };
const [SLIDES, RESULT] = ['1.2.3.4', '2.25.99'];

/** Two slides in one series, the smallest image of which is of A, and a result of B. */
const images: Record<string, { series: string; frames: number; container: string; of?: string }> = {
  '1.1': { series: SLIDES, frames: 4, container: 'A' },
  '2.1': { series: SLIDES, frames: 500, container: 'B' },
  '2.2': { series: SLIDES, frames: 9, container: 'B' },
  '9.1': { series: RESULT, frames: 500, container: 'B', of: '2.1' },
  '9.2': { series: RESULT, frames: 9, container: 'B', of: '2.2' },
};
const archive = {
  searchInstances: async ({ SeriesInstanceUID }: Record<string, unknown>) =>
    Object.entries(images)
      .filter(([, { series }]) => series === SeriesInstanceUID)
      .map(([uid, { frames }]) => ({
        '00080018': { vr: 'UI', Value: [uid] },
        '00280008': { vr: 'IS', Value: [frames] },
      })),
  retrieveHeader: async (_study: string, _series: string, uid: string) => {
    const { container, of } = images[uid]!;
    const source = of === undefined ? [] : [DataSet.of({ ReferencedSOPInstanceUID: of })];
    return { dataSet: DataSet.of({ ContainerIdentifier: container, SourceImageSequence: source }) };
  },
} as unknown as DicomWebClient;

it('a result of one of two slides in a series is compared with its own', async () => {
  const known = {
    series: { ...study, seriesInstanceUid: RESULT },
    source: { ...study, seriesInstanceUid: SLIDES },
  };
  const both = { source: archive, destination: archive };
  expect(await checkResult(known, both, AbortSignal.timeout(10_000))).toMatchObject({
    state: 'CURRENT',
    differs: [],
  });
});
