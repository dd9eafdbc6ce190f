/** Assembles the jobs of a process that serves or works from the parts of the composition. */
import { setTimeout as pause } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { NormalizationRequest, Progress } from '../../../core/src/contract/index.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import type { TemplateVersion } from '../../../core/src/stain/template.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { Config } from '../config.ts';
import { BatchService, type BatchServiceOptions } from '../jobs/batch-service.ts';
import { JobService } from '../jobs/job-service.ts';
import { JobWatch } from '../monitoring/job-watch.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import type { AnnouncedSlide } from '../pipeline/announced-slide.ts';
import type { NormalizationEnvironment } from '../pipeline/environment.ts';
import { derivedSeriesOf, inspectRequest, normalizeSeries } from '../pipeline/normalize-series.ts';
import { isRejected, isSeriesThere } from '../pipeline/rejection.ts';
import { seriesContent } from '../pipeline/series-identity.ts';
import { isSeriesStored } from '../pipeline/store-series.ts';
import { findStored } from '../pipeline/stored-derivations.ts';
import { removeJobSpool, retainJobSpool } from '../spool/spool.ts';
import type { EnvironmentOf } from './archives.ts';
import { auditJob } from './audit-job.ts';

/**
 * How long a job may use what the archive announced when it was requested. A job that starts later, or in another
 * process, reads the metadata again, because the slide may have changed since (SOURCE_CHANGED).
 */
const ANNOUNCED_MS = 30_000;
const MAX_ANNOUNCED = 100;

/** Observers of jobs. */
export interface Observers {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Called with faults outside any job. */
  onFault(error: unknown): void;
}

export function openJobService(
  { database, jobs, limits, spool }: Config,
  environmentOf: EnvironmentOf,
  { log, metrics, onFault, audit }: Observers & { readonly audit: Pick<AuditTrail, 'record'> },
): Promise<JobService> {
  const watch = new JobWatch(log, metrics);
  const announced = new LRUCache<string, AnnouncedSlide>({ max: MAX_ANNOUNCED, ttl: ANNOUNCED_MS });
  return JobService.open({
    database,
    limits,
    ...jobs,
    async fingerprint(request, signal) {
      const inspected = await inspectRequest(request, environmentOf(request), signal);
      announced.set(seriesContent(request, inspected).content, inspected.slide);
      return inspected;
    },
    isRejected: (series, names, signal) => isRejected(series, environmentOf(names).destination, signal),
    async findStored(content, { studyInstanceUid, ...names }, slide, signal) {
      const { destination } = environmentOf(names);
      const found = await findStored(content, studyInstanceUid, destination, signal);
      if (!found || found.isOver || found.facts) return found;
      // What cannot be read back cannot be completed; a complete series needs no completion.
      const isWhole =
        slide && (await isSeriesStored(derivedSeriesOf(slide, found.identity), destination, signal));
      return { ...found, isOver: !isWhole };
    },
    isStored: (result, names, signal) => isSeriesThere(result, environmentOf(names).destination, signal),
    release: ({ seriesUuid }) => removeJobSpool(spool, seriesUuid),
    retain: ({ seriesUuid }) => retainJobSpool(spool, seriesUuid),
    async run(request, identity, options) {
      const stages = watch.stages(options.job);
      const onProgress = (progress: Progress): void => {
        stages.onProgress(progress);
        options.onProgress(progress);
      };
      try {
        const { signal, derivations } = options;
        const environment = environmentOf(request);
        const patient = <T>(ask: () => Promise<T>): Promise<T> => untilAnswered(ask, signal, onFault);
        const template = await patient(() => templateOf(request, environment));
        // UIDs and bytes followed other rules then.
        if (request.contentSha256 === undefined)
          throw new StainError(
            'WORK_CHANGED',
            'The job was created by an older version, which did not record what determines its result.',
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
              seriesNumber: (series, study, free) =>
                patient(() => derivations.seriesNumber(series, study, free)),
              forget: (series) => patient(() => derivations.forget(series)),
              giveUp: (series) => patient(() => derivations.giveUp(series)),
            },
          },
          { ...options, onProgress, announced: announced.get(request.contentSha256) },
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

/** The template with exactly the content that the job was requested with. */
async function templateOf(
  { template, templateSha256 }: NormalizationRequest,
  environment: NormalizationEnvironment,
): Promise<TemplateVersion> {
  // It is no longer known which content a job of an older version was requested with.
  if (templateSha256 === undefined)
    throw new StainError(
      'TEMPLATE_CHANGED',
      'The job was created by an older version, which did not record the content of its template.',
    );
  return environment.template(template, templateSha256);
}

/** Delay between attempts to query a database that does not answer. */
const DATABASE_RETRY_MS = 1000;

/** Retries the query, so that a database restart does not fail the job. */
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

export function startBatches(
  { jobs: { retryHours, stableSeconds }, limits: { batchesPerUser } }: Config,
  jobs: JobService,
  { log, metrics, onFault }: Observers,
  fit: NonNullable<BatchServiceOptions['fit']>,
): BatchService {
  return new BatchService({
    jobs,
    retryHours,
    stableSeconds,
    batchesPerUser,
    fit,
    onLine(what, facts) {
      const { rule, code = '', attempts } = facts;
      if (rule !== undefined) metrics.ruleLine(rule, what);
      if (what === 'set aside') metrics.batchLineSetAside(code);
      // The report has the progress of each series; the log has the first fault and the outcome.
      if (what === 'refused' || (what === 'set aside' && attempts === 1))
        log.warn(facts, `series of a ${rule === undefined ? 'batch' : 'rule'} ${what}`);
    },
    onFault,
  });
}
