/** Jobs whose work does what the test tells it to do. */
import type {
  Job,
  NormalizationRequest,
  NormalizationResult,
  Progress,
} from '../../core/src/contract/index.ts';
import type { JobOrigin } from '../../server/src/jobs/job-records.ts';
import { JobService, type JobServiceOptions } from '../../server/src/jobs/job-service.ts';
import type { RunNormalization } from '../../server/src/jobs/running-job.ts';
import type { DerivationRecords } from '../../server/src/pipeline/derivations.ts';
import type { SeriesIdentity } from '../../server/src/pipeline/series-identity.ts';
import type { TemplateStore } from '../../server/src/pipeline/template-store.ts';

let nextSeries = 1;

/** A request unlike any other. */
export function request(changes: Partial<NormalizationRequest> = {}): NormalizationRequest {
  return {
    studyInstanceUid: '1.2.3',
    seriesInstanceUid: `1.2.3.${nextSeries++}`,
    template: 'one',
    model: 'reference',
    transfer: 'linear',
    encoding: 'jpeg',
    quality: 90,
    ...changes,
  };
}

export const RESULT: NormalizationResult = {
  studyInstanceUid: '1.2.3',
  seriesInstanceUid: '2.25.1',
  sourceSeriesInstanceUid: '1.2.3.1',
  instances: [
    { sopInstanceUid: '2.25.2', role: 'base', totalColumns: 10, totalRows: 10, frames: 1, bytes: 100 },
  ],
  template: 'one',
  templateSha256: 't',
  model: { name: 'reference', version: '1', sha256: 'a'.repeat(64) },
  executionProvider: 'CPUExecutionProvider',
  fit: { sampledTiles: 1, tissueFraction: 0.5, classes: [] },
  colourPolicy: 'sRGB',
  outOfDistribution: { score: 0.4, reasons: [] },
  notes: [],
  seconds: 1,
  megapixels: 1,
};

export function progressAt(fraction: number): Progress {
  return { stage: 'normalize', done: fraction * 100, total: 100, unit: 'tiles', fraction };
}

/** One call of the work, controlled by the test. */
export interface Call {
  /** Id of the job. */
  readonly job: string;
  readonly request: NormalizationRequest;
  readonly identity: SeriesIdentity;
  readonly derivations: DerivationRecords;
  readonly signal: AbortSignal;
  progress(fraction: number): void;
  checkpoint(): void;
  store(stored: NonNullable<Job['stored']>): Promise<void>;
  succeed(result?: NormalizationResult): void;
  fail(error: unknown): void;
}

/** Work that waits for the test and stops when aborted. */
export class SteeredWork {
  readonly calls: Call[] = [];
  readonly #waiting: ((call: Call) => void)[] = [];

  readonly run: RunNormalization = (
    wanted,
    identity,
    { job, signal, onProgress, onCheckpoint, onStored, derivations },
  ) =>
    new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      const call: Call = {
        job,
        request: wanted,
        identity,
        derivations,
        signal,
        progress: (fraction) => onProgress(progressAt(fraction)),
        checkpoint: onCheckpoint,
        store: onStored,
        succeed: (result = RESULT) => resolve(result),
        fail: reject,
      };
      this.calls.push(call);
      this.#waiting.shift()?.(call);
    });

  /** The next call that starts. Ask for it before creating the job. */
  next(): Promise<Call> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

export const FINGERPRINT = {
  sourceSha256: 's',
  templateSha256: 't',
  modelSha256: 'm',
  pipelineSha256: '1',
};

export function create(
  jobs: JobService,
  wanted: NormalizationRequest,
  origin: Partial<JobOrigin> = {},
): Promise<{ job: Job; existing: boolean }> {
  const signal = new AbortController().signal;
  return jobs.create(wanted, { requestedBy: 'local', priority: 'interactive', ...origin }, signal);
}

export function openJobs(options: Partial<JobServiceOptions> = {}): Promise<JobService> {
  return JobService.open({
    database: { directory: 'memory://' },
    run: async () => RESULT,
    fingerprint: async () => FINGERPRINT,
    isStored: async () => true,
    isRejected: async () => false,
    findStored: async () => undefined,
    release: async () => {},
    retain: async () => {},
    limits: { jobTimeoutMinutes: 10, maxQueuedJobs: 100, jobsPerUser: 100 },
    saveEveryMs: 50,
    abortGraceMs: 300,
    onFault: () => {},
    ...options,
  });
}

/** The job, once it is in one of these states. */
export async function until(jobs: JobService, id: string, ...states: Job['state'][]): Promise<Job> {
  for await (const { job } of jobs.events(id, AbortSignal.timeout(20_000)))
    if (states.includes(job.state)) return job;
  throw new Error(`never ${states.join(' or ')}: ${JSON.stringify(await jobs.get(id))}`);
}

/** As in the product: the current content of the template, or the requested content. */
export function fingerprintFrom(templates: () => TemplateStore): JobServiceOptions['fingerprint'] {
  return async ({ template, templateSha256 }) => ({
    ...FINGERPRINT,
    templateSha256: (await templates().version(template, templateSha256)).sha256,
  });
}
