/**
 * One event of the audit trail as a FHIR R4 AuditEvent, following the patterns of IHE Basic Audit Log Patterns (BALP):
 * who (agent), with what (source), on what (entity), and the outcome. Events use the codes of DICOM's audit trail
 * (PS3.16 CID 400 and 401) where they exist, and our own codes in addition. Series are named by their UIDs; events
 * contain nothing else about a patient, and no token.
 */

import type { TrailHead } from './audit-line.ts';

const DCM = 'http://dicom.nema.org/resources/ontology/DCM';
const OWN = 'urn:stain-normalization:audit-event';

type Action = 'C' | 'R' | 'U' | 'D' | 'E';

/** Audited events: FHIR action, DICOM code and display text. */
export const AUDITED = {
  'application-start': { action: 'E', dcm: ['110120', 'Application Start'] },
  'application-stop': { action: 'E', dcm: ['110121', 'Application Stop'] },
  'access-refused': { action: 'E', dcm: ['110114', 'User Authentication'] },
  'normalization-requested': { action: 'C', dcm: ['110100', 'Application Activity'] },
  'normalization-cancelled': { action: 'U', dcm: ['110100', 'Application Activity'] },
  'normalization-retried': { action: 'U', dcm: ['110100', 'Application Activity'] },
  'batch-requested': { action: 'C', dcm: ['110100', 'Application Activity'] },
  'batch-cancelled': { action: 'U', dcm: ['110100', 'Application Activity'] },
  'batch-retried': { action: 'U', dcm: ['110100', 'Application Activity'] },
  'series-announced': { action: 'C', dcm: ['110100', 'Application Activity'] },
  'rule-retried': { action: 'U', dcm: ['110100', 'Application Activity'] },
  'acceptance-overridden': { action: 'E', dcm: ['110100', 'Application Activity'] },
  'result-rejected': { action: 'U', dcm: ['110100', 'Application Activity'] },
  'result-remade': { action: 'U', dcm: ['110100', 'Application Activity'] },
  'normalization-ended': { action: 'E', dcm: ['110100', 'Application Activity'] },
  'series-read': { action: 'R', dcm: ['110103', 'DICOM Instances Accessed'] },
  'series-stored': { action: 'C', dcm: ['110104', 'DICOM Instances Transferred'] },
  'instances-stored': { action: 'C', dcm: ['110104', 'DICOM Instances Transferred'] },
  'study-read': { action: 'R', dcm: ['110103', 'DICOM Instances Accessed'] },
  'stain-read': { action: 'R', dcm: ['110103', 'DICOM Instances Accessed'] },
  'preview-made': { action: 'R', dcm: ['110103', 'DICOM Instances Accessed'] },
  'template-made': { action: 'C', dcm: ['110100', 'Application Activity'] },
  'template-removed': { action: 'D', dcm: ['110100', 'Application Activity'] },
  'quality-exported': { action: 'R', dcm: ['110106', 'Export'] },
  'audit-exported': { action: 'R', dcm: ['110101', 'Audit Log Used'] },
  'audit-lost': { action: 'E', dcm: ['110100', 'Application Activity'] },
  'audit-anchored': { action: 'E', dcm: ['110100', 'Application Activity'] },
} as const satisfies Record<string, { action: Action; dcm: readonly [string, string] }>;

export type AuditedEvent = keyof typeof AUDITED;

export interface AuditEntry {
  readonly event: AuditedEvent;
  /** `failure`: refused, or not possible now. `fault`: our own error. */
  readonly outcome: 'success' | 'failure' | 'fault';
  /** Id of the principal. */
  readonly principal?: string | undefined;
  /** Address of the client. If there is neither principal nor address, the service itself acted. */
  readonly address?: string | undefined;
  /** Method of the request. */
  readonly method?: string | undefined;
  /** Pattern of the route. */
  readonly route?: string | undefined;
  readonly studyInstanceUid?: string | undefined;
  readonly seriesInstanceUid?: string | undefined;
  readonly jobId?: string | undefined;
  readonly batchId?: string | undefined;
  readonly workitemUid?: string | undefined;
  readonly template?: string | undefined;
  /** Name of a rule, and why it may do what it does. */
  readonly rule?: string | undefined;
  readonly reason?: string | undefined;
  /** Archive that was read or stored in, unless it is the default one. */
  readonly archive?: string | undefined;
  readonly requestId?: string | undefined;
  /** Code of the error. */
  readonly code?: string | undefined;
  /** For a summary of several events: their number, and the times of the first and the last (ISO 8601). */
  readonly count?: number | undefined;
  readonly studies?: readonly string[] | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly anchor?: TrailHead | undefined;
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
    ...(entry.from && { period: { start: entry.from, end: entry.to } }),
    outcome: OUTCOMES[entry.outcome],
    ...(entry.code && { outcomeDesc: entry.code }),
    agent: [
      {
        who: whoOf(entry, observer),
        requestor: entry.principal !== undefined || entry.address !== undefined,
        ...(entry.address && { network: { address: entry.address, type: '2' } }),
      },
    ],
    source: { observer: { display: observer } },
    entity: entitiesOf(entry),
  };
}

/** A client without a valid token is unknown: what the token says about it is not trusted. */
function whoOf({ principal, address }: AuditEntry, observer: string): object {
  if (principal === undefined && address !== undefined) return { display: 'not authenticated' };
  return { identifier: { value: principal ?? observer } };
}

function entitiesOf(entry: AuditEntry): object[] {
  const entity = (type: string, value: string | undefined): object[] =>
    value === undefined ? [] : [{ what: { identifier: { value } }, type: { system: OWN, code: type } }];
  const uid = (value: string | undefined) => value && `urn:oid:${value}`;
  return [
    ...entity('study', uid(entry.studyInstanceUid)),
    ...(entry.studies ?? []).flatMap((study) => entity('study', uid(study))),
    ...entity('series', uid(entry.seriesInstanceUid)),
    ...entity('job', entry.jobId && `urn:uuid:${entry.jobId}`),
    ...entity('batch', entry.batchId && `urn:uuid:${entry.batchId}`),
    ...entity('workitem', uid(entry.workitemUid)),
    ...entity('template', entry.template),
    ...ruleOf(entry),
    ...entity('archive', entry.archive),
    ...requestOf(entry),
    ...trailOf(entry),
  ];
}

function ruleOf({ rule, reason }: AuditEntry): object[] {
  if (rule === undefined) return [];
  return [
    {
      what: { identifier: { value: rule } },
      type: { system: OWN, code: 'rule' },
      ...(reason !== undefined && { detail: [{ type: 'reason', valueString: reason }] }),
    },
  ];
}

function requestOf({ requestId, method, route, count }: AuditEntry): object[] {
  if (requestId === undefined && route === undefined && count === undefined) return [];
  return [
    {
      ...(requestId && { what: { identifier: { value: `urn:uuid:${requestId}` } } }),
      type: { system: OWN, code: 'request' },
      ...(route && { name: `${method} ${route}` }),
      ...(count !== undefined && { detail: [{ type: 'count', valueString: String(count) }] }),
    },
  ];
}

function trailOf({ anchor }: AuditEntry): object[] {
  if (!anchor) return [];
  return [
    {
      what: { identifier: { value: `urn:uuid:${anchor.trail}` } },
      type: { system: OWN, code: 'trail' },
      detail: [
        { type: 'sequence', valueString: String(anchor.sequence) },
        { type: 'digest', valueString: anchor.digest },
      ],
    },
  ];
}
