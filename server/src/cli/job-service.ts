/** The jobs of a process that serves or works, from the parts of the composition. */
import type { Logger } from 'pino';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { Config } from '../config.ts';
import { BatchService } from '../jobs/batch-service.ts';
import { JobService } from '../jobs/job-service.ts';
import { JobWatch } from '../monitoring/job-watch.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import { type NormalizationEnvironment, normalizeSeries } from '../normalization/normalize-series.ts';
import { removeJobSpool } from '../normalization/spool.ts';
import { isSeriesStored } from '../normalization/store-series.ts';
import type { Progress } from '../normalization/types.ts';
import { auditJob } from './audit-job.ts';
import { fingerprintOf } from './fingerprint.ts';

/** Who hears of what becomes of jobs. */
export interface Observers {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Of faults outside of any job. */
  onFault(error: unknown): void;
}

export function openJobService(
  { database, jobs, limits }: Config,
  environment: NormalizationEnvironment,
  { log, metrics, onFault, audit }: Observers & { readonly audit: Pick<AuditTrail, 'record'> },
): Promise<JobService> {
  const watch = new JobWatch(log, metrics);
  return JobService.open({
    database,
    limits,
    ...jobs,
    fingerprint: (request, signal) => fingerprintOf(request, environment, signal),
    isStored: (result, signal) => isSeriesStored(result, environment.destination, signal),
    release: ({ jobUuid }) => removeJobSpool(environment.spool, jobUuid),
    async run(request, identity, options) {
      const stages = watch.stages(options.job);
      const onProgress = (progress: Progress): void => {
        stages.onProgress(progress);
        options.onProgress(progress);
      };
      try {
        return await normalizeSeries(request, identity, environment, { ...options, onProgress });
      } finally {
        stages.end();
      }
    },
    onJob(what, job) {
      watch.onJob(what, job);
      auditJob(audit, what, job);
    },
    onFault,
  });
}

export function openBatchService(
  { jobs: { retryHours }, limits: { batchesPerUser } }: Config,
  jobs: JobService,
  { log, metrics, onFault }: Observers,
): Promise<BatchService> {
  return BatchService.open({
    jobs,
    retryHours,
    batchesPerUser,
    onLine(what, facts) {
      if (what === 'set aside') metrics.batchLineSetAside(facts.code);
      // How a line goes on is in the report; the log has where that began and where it ended.
      if (what === 'refused' || facts.attempts === 1) log.warn(facts, `series of a batch ${what}`);
    },
    onFault,
  });
}
