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
import {
  derivedSeriesOf,
  inspectRequest,
  type NormalizationEnvironment,
  normalizeSeries,
} from '../normalization/normalize-series.ts';
import { isRejected, isSeriesThere } from '../normalization/rejection.ts';
import { removeJobSpool, retainJobSpool } from '../normalization/spool.ts';
import { isSeriesStored } from '../normalization/store-series.ts';
import { findStored } from '../normalization/stored-derivations.ts';
import type { NormalizationRequest, Progress } from '../normalization/types.ts';
import type { TemplateVersion } from '../stain/template.ts';
import { auditJob } from './audit-job.ts';

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
    fingerprint: (request, signal) => inspectRequest(request, environment, signal),
    isRejected: (series, signal) => isRejected(series, environment.destination, signal),
    async findStored(content, study, slide, signal) {
      const { destination } = environment;
      const found = await findStored(content, study, destination, signal);
      if (!found || found.isOver || found.facts) return found;
      // What cannot be read back cannot be completed; where it is whole, nothing need be.
      const isWhole =
        slide && (await isSeriesStored(derivedSeriesOf(slide, found.identity), destination, signal));
      return { ...found, isOver: !isWhole };
    },
    isStored: (result, signal) => isSeriesThere(result, environment.destination, signal),
    release: ({ seriesUuid }) => removeJobSpool(environment.spool, seriesUuid),
    retain: ({ seriesUuid }) => retainJobSpool(environment.spool, seriesUuid),
    async run(request, identity, options) {
      const stages = watch.stages(options.job);
      const onProgress = (progress: Progress): void => {
        stages.onProgress(progress);
        options.onProgress(progress);
      };
      try {
        const { signal, derivations } = options;
        const patient = <T>(ask: () => Promise<T>): Promise<T> => untilAnswered(ask, signal, onFault);
        const template = await patient(() => templateOf(request, environment));
        // UIDs and bytes were made by other rules then.
        if (request.contentSha256 === undefined)
          throw new StainError(
            'WORK_CHANGED',
            'The job was asked for before jobs named what decides their result.',
          );
        return await normalizeSeries(
          request,
          identity,
          {
            ...environment,
            template: async () => template,
            derivations: {
              find: (series) => patient(() => derivations.find(series)),
              keep: (series, facts) => patient(() => derivations.keep(series, facts)),
              forget: (series) => patient(() => derivations.forget(series)),
              giveUp: (series) => patient(() => derivations.giveUp(series)),
            },
          },
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

/** With exactly the content that the job was asked with. */
async function templateOf(
  { template, templateSha256 }: NormalizationRequest,
  environment: NormalizationEnvironment,
): Promise<TemplateVersion> {
  // What a job of an older version was asked with is not known any more.
  if (templateSha256 === undefined)
    throw new StainError(
      'TEMPLATE_CHANGED',
      'The job was asked for before jobs named the content of their template.',
    );
  return environment.template(template, templateSha256);
}

/** Pause between two questions to a database that does not answer. */
const DATABASE_RETRY_MS = 1000;

/** A database that restarts just then does not cost the job. */
async function untilAnswered<T>(
  ask: () => Promise<T>,
  signal: AbortSignal,
  onFault: (error: unknown) => void,
): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (toStainError(error).code.startsWith('TEMPLATE_')) throw error;
      onFault(error);
      await pause(DATABASE_RETRY_MS, undefined, { signal });
    }
  }
}

export function openBatchService(
  { jobs: { retryHours, stableSeconds }, limits: { batchesPerUser } }: Config,
  jobs: JobService,
  { log, metrics, onFault }: Observers,
): Promise<BatchService> {
  return BatchService.open({
    jobs,
    retryHours,
    stableSeconds,
    batchesPerUser,
    onLine(what, facts) {
      if (what === 'set aside') metrics.batchLineSetAside(facts.code);
      // How a line goes on is in the report; the log has where that began and where it ended.
      if (what === 'refused' || facts.attempts === 1) log.warn(facts, `series of a batch ${what}`);
    },
    onFault,
  });
}
