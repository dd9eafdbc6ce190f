/**
 * One event of the audit trail as a FHIR R4 AuditEvent, by the patterns of IHE Basic Audit Log Patterns (BALP): who
 * (agent), with what (source), on what (entity), how it ended. Events have the codes of DICOM's audit trail (PS3.16
 * CID 400 and 401) where there is one, and codes of our own besides. Series are named by their UIDs; nothing else of a
 * patient is in it, and no token.
 */

const DCM = 'http://dicom.nema.org/resources/ontology/DCM';
const OWN = 'urn:stain-normalization:audit-event';

type Action = 'C' | 'R' | 'U' | 'D' | 'E';

/** What is audited: FHIR action, DICOM code and display. */
export const AUDITED = {
  'application-start': { action: 'E', dcm: ['110120', 'Application Start'] },
  'application-stop': { action: 'E', dcm: ['110121', 'Application Stop'] },
  'access-refused': { action: 'E', dcm: ['110114', 'User Authentication'] },
  'normalization-requested': { action: 'C', dcm: ['110100', 'Application Activity'] },
  'normalization-cancelled': { action: 'U', dcm: ['110100', 'Application Activity'] },
  'batch-requested': { action: 'C', dcm: ['110100', 'Application Activity'] },
  'batch-cancelled': { action: 'U', dcm: ['110100', 'Application Activity'] },
  'normalization-ended': { action: 'E', dcm: ['110100', 'Application Activity'] },
  'series-read': { action: 'R', dcm: ['110103', 'DICOM Instances Accessed'] },
  'series-stored': { action: 'C', dcm: ['110104', 'DICOM Instances Transferred'] },
  'instances-stored': { action: 'C', dcm: ['110104', 'DICOM Instances Transferred'] },
  'study-read': { action: 'R', dcm: ['110103', 'DICOM Instances Accessed'] },
  'stain-read': { action: 'R', dcm: ['110103', 'DICOM Instances Accessed'] },
  'preview-made': { action: 'R', dcm: ['110103', 'DICOM Instances Accessed'] },
  'template-made': { action: 'C', dcm: ['110100', 'Application Activity'] },
  'template-removed': { action: 'D', dcm: ['110100', 'Application Activity'] },
} as const satisfies Record<string, { action: Action; dcm: readonly [string, string] }>;

export type AuditedEvent = keyof typeof AUDITED;

export interface AuditEntry {
  readonly event: AuditedEvent;
  /** `failure`: refused, or not possible now. `fault`: our own. */
  readonly outcome: 'success' | 'failure' | 'fault';
  /** Id of the principal; the service itself without it. */
  readonly principal?: string | undefined;
  /** Address of the client. */
  readonly address?: string | undefined;
  readonly studyInstanceUid?: string | undefined;
  readonly seriesInstanceUid?: string | undefined;
  readonly jobId?: string | undefined;
  readonly batchId?: string | undefined;
  readonly template?: string | undefined;
  readonly requestId?: string | undefined;
  /** Of the error. */
  readonly code?: string | undefined;
}

/** AuditEvent.outcome. */
const OUTCOMES = { success: '0', failure: '4', fault: '8' } as const;

/** @param observer name of this process @param recorded ISO 8601 */
export function auditEvent(entry: AuditEntry, observer: string, recorded: string): object {
  const { action, dcm } = AUDITED[entry.event];
  const [code, display] = dcm;
  return {
    resourceType: 'AuditEvent',
    type: { system: DCM, code, display },
    subtype: [{ system: OWN, code: entry.event }],
    action,
    recorded,
    outcome: OUTCOMES[entry.outcome],
    ...(entry.code && { outcomeDesc: entry.code }),
    agent: [
      {
        who: { identifier: { value: entry.principal ?? observer } },
        requestor: entry.principal !== undefined,
        ...(entry.address && { network: { address: entry.address, type: '2' } }),
      },
    ],
    source: { observer: { display: observer } },
    entity: entitiesOf(entry),
  };
}

function entitiesOf(entry: AuditEntry): object[] {
  const entity = (type: string, value: string | undefined): object[] =>
    value === undefined ? [] : [{ what: { identifier: { value } }, type: { system: OWN, code: type } }];
  const uid = (value: string | undefined) => value && `urn:oid:${value}`;
  return [
    ...entity('study', uid(entry.studyInstanceUid)),
    ...entity('series', uid(entry.seriesInstanceUid)),
    ...entity('job', entry.jobId && `urn:uuid:${entry.jobId}`),
    ...entity('batch', entry.batchId && `urn:uuid:${entry.batchId}`),
    ...entity('template', entry.template),
    ...entity('request', entry.requestId && `urn:uuid:${entry.requestId}`),
  ];
}
