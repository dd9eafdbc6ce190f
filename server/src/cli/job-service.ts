/** The jobs of a process that serves or works, from the parts of the composition. */
import type { Logger } from 'pino';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { Config } from '../config.ts';
import { DataSet } from '../dicom/dataset.ts';
import { isOurs } from '../dicom/equipment.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import { BatchService } from '../jobs/batch-service.ts';
import { JobService } from '../jobs/job-service.ts';
import { JobWatch } from '../monitoring/job-watch.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import { type NormalizationEnvironment, normalizeSeries } from '../normalization/normalize-series.ts';
import { removeJobSpool, retainJobSpool } from '../normalization/spool.ts';
import { isSeriesStored } from '../normalization/store-series.ts';
import type { Progress } from '../normalization/types.ts';
import { auditJob } from './audit-job.ts';
import { fingerprintOf } from './fingerprint.ts';

export function openJobService(
  { database, jobs, limits }: Config,
  environment: NormalizationEnvironment,
  { log, metrics, audit }: { log: Logger; metrics: Metrics; audit: Pick<AuditTrail, 'record'> },
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
        return await normalizeSeries(request, identity, environment, { ...options, onProgress });
      } finally {
        stages.end();
      }
    },
    onJob(what, job) {
      watch.onJob(what, job);
      auditJob(audit, what, job);
    },
    onFault: (error) => log.error({ err: error }, 'a fault outside of any job'),
  });
}

/** @param source the archive with the slides */
export function openBatchService(
  jobs: JobService,
  source: DicomWebClient,
  log: Logger,
): Promise<BatchService> {
  return BatchService.open({
    jobs,
    async isResult({ studyInstanceUid, seriesInstanceUid }, signal) {
      const [first] = await source.seriesMetadata(studyInstanceUid, seriesInstanceUid, signal);
      return first !== undefined && isOurs(DataSet.fromDicomJson(first));
    },
    onFault: (error) => log.error({ err: error }, 'a fault of the batches'),
  });
}
