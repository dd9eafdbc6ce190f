/** For the audit trail: what a job read and stored, and how it ended. */

import type { Job } from '../../../core/src/contract/index.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { JobMilestone } from '../jobs/job-service.ts';

export function auditJob(
  audit: Pick<AuditTrail, 'record'>,
  what: JobMilestone,
  { id, state, request, result, error, requestedBy }: Job,
): void {
  const { studyInstanceUid, seriesInstanceUid, template, source, destination } = request;
  const common = { principal: requestedBy, jobId: id, studyInstanceUid } as const;
  if (what === 'started')
    audit.record({ ...common, event: 'series-read', outcome: 'success', seriesInstanceUid, archive: source });
  if (what !== 'ended') return;
  if (result)
    audit.record({
      ...common,
      event: 'series-stored',
      outcome: 'success',
      seriesInstanceUid: result.seriesInstanceUid,
      archive: destination,
    });
  audit.record({
    ...common,
    event: 'normalization-ended',
    outcome: state === 'COMPLETED' ? 'success' : 'failure',
    seriesInstanceUid,
    template,
    code: error?.code ?? (state === 'CANCELED' ? 'CANCELLED' : undefined),
  });
}
