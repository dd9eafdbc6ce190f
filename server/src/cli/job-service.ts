/** The jobs of a process that serves or works, from the parts of the composition. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { Config } from '../config.ts';
import { StainError, toStainError } from '../errors.ts';
import { BatchService } from '../jobs/batch-service.ts';
import { JobService } from '../jobs/job-service.ts';
import { JobWatch } from '../monitoring/job-watch.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import { type NormalizationEnvironment, normalizeSeries } from '../normalization/normalize-series.ts';
import { removeJobSpool, retainJobSpool } from '../normalization/spool.ts';
import { isSeriesStored } from '../normalization/store-series.ts';
import type { NormalizationRequest, Progress } from '../normalization/types.ts';
import type { TemplateVersion } from '../stain/template.ts';
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
    retain: ({ jobUuid }) => retainJobSpool(environment.spool, jobUuid),
    async run(request, identity, options) {
      const stages = watch.stages(options.job);
      const onProgress = (progress: Progress): void => {
        stages.onProgress(progress);
        options.onProgress(progress);
      };
      try {
        const template = await templateOf(request, environment, options.signal, onFault);
        return await normalizeSeries(
          request,
          identity,
          { ...environment, template: async () => template },
          { ...options, onProgress },
        );
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

/** Pause between two tries to read a template, while the database does not answer. */
const TEMPLATE_RETRY_MS = 1000;

/** With exactly the content that the job was asked with. A database that restarts just then does not cost the job. */
async function templateOf(
  { template, templateSha256 }: NormalizationRequest,
  environment: NormalizationEnvironment,
  signal: AbortSignal,
  onFault: (error: unknown) => void,
): Promise<TemplateVersion> {
  // What a job of an older version was asked with is not known any more.
  if (templateSha256 === undefined)
    throw new StainError(
      'TEMPLATE_CHANGED',
      'The job was asked for before jobs named the content of their template.',
    );
  for (;;) {
    try {
      return await environment.template(template, templateSha256);
    } catch (error) {
      if (toStainError(error).code.startsWith('TEMPLATE_')) throw error;
      onFault(error);
      await pause(TEMPLATE_RETRY_MS, undefined, { signal });
    }
  }
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
