/**
 * Log lines, metrics and spans of jobs: the progress of each stage and the outcome of each job. Every line carries the
 * job's id. Spans (OpenTelemetry) go nowhere unless the process is started with an SDK: `node --import ...`.
 */
import { type Span, trace } from '@opentelemetry/api';
import type { Logger } from 'pino';
import type { Job, Progress, Stage } from '../../../core/src/contract/index.ts';
import type { JobMilestone } from '../jobs/job-service.ts';
import type { Metrics } from './metrics.ts';

const TRACER = trace.getTracer('stain-normalization');

export class JobWatch {
  readonly #log: Logger;
  readonly #metrics: Metrics;

  constructor(log: Logger, metrics: Metrics) {
    this.#log = log;
    this.#metrics = metrics;
  }

  /** Called for every change of a job in this process. */
  onJob(what: JobMilestone, job: Job): void {
    const { id, state, error, waiting, result, request } = job;
    const { source, destination } = request;
    const facts = {
      job: id,
      state,
      ...(source !== undefined && { source }),
      ...(destination !== undefined && { destination }),
      ...((error ?? waiting) && { code: (error ?? waiting)!.code }),
      ...(result && { seconds: result.seconds, megapixels: result.megapixels }),
    };
    if (what === 'requeued') this.#metrics.jobRequeued(job);
    if (what === 'ended') this.#metrics.jobEnded(job);
    if (state === 'FAILED') this.#log.warn(facts, `job ${what}`);
    else this.#log.info(facts, `job ${what}`);
  }

  /** For one attempt: call with its progress, and at its end. */
  stages(job: string): { onProgress(progress: Progress): void; end(): void } {
    let stage: Stage | undefined;
    let since = performance.now();
    let span: Span | undefined;
    const change = (next: Stage | undefined): void => {
      const now = performance.now();
      if (stage) {
        const seconds = (now - since) / 1000;
        this.#metrics.stageEnded(stage, seconds);
        this.#log.debug({ job, stage, seconds: Math.round(seconds * 1000) / 1000 }, 'stage ended');
      }
      span?.end();
      span = next && TRACER.startSpan(next, { attributes: { 'stain.job': job } });
      [stage, since] = [next, now];
    };
    return {
      onProgress(progress) {
        if (progress.stage !== stage) change(progress.stage);
      },
      end: () => change(undefined),
    };
  }
}
