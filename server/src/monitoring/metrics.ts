/** Prometheus metrics of one process. Names and units by the conventions of Prometheus; no label names a patient or a user. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Device, Job, JobState } from '../contract/index.ts';
import { StainError } from '../errors.ts';
import type { Stage } from '../normalization/types.ts';
import { withinTime } from '../within-time.ts';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];
const JOB_SECONDS = [1, 5, 15, 60, 300, 900, 3600, 4 * 3600];
const RATES = [0.1, 0.3, 1, 3, 10, 30, 100, 300];

/** How long a source is waited for, in milliseconds: whoever scrapes has a time limit too. */
const SOURCE_TIMEOUT_MS = 3000;

/** What is asked for when the metrics are read. What does not tell in time is left out; /ready says why. */
export interface MetricSources {
  jobs(): Promise<{
    readonly byState: Partial<Record<JobState, number>>;
    readonly oldestWaitingSeconds: number;
  }>;
  spool(): Promise<{ readonly used: number; readonly reserved: number }>;
  device(): Promise<Device>;
}

/** Series of batches that have no job yet. */
export interface BatchLines {
  readonly waiting: number;
  readonly setAside: number;
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #readSources: () => Promise<void>;
  readonly #ended: Counter<'state' | 'code'>;
  readonly #putBack: Counter<'code'>;
  readonly #stage: Histogram<'stage'>;
  readonly #megapixels: Counter;
  readonly #rate: Histogram;
  readonly #request: Histogram<'method' | 'route' | 'status'>;
  readonly #archive: Histogram<'method' | 'outcome'>;
  readonly #lost: Counter<'way'>;
  readonly #setAside: Counter<'code'>;
  #batches: (() => Promise<BatchLines>) | undefined;

  constructor(sources: MetricSources) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    const gauges = makeGauges(registers);
    this.#readSources = async () => {
      const [jobs, lines, spool, device] = await Promise.all([
        told(() => sources.jobs()),
        told(async () => this.#batches?.()),
        told(() => sources.spool()),
        told(() => sources.device()),
      ]);
      for (const gauge of Object.values(gauges)) gauge.reset();
      gauges.databaseUp.set(jobs ? 1 : 0);
      if (jobs) {
        for (const [state, count] of Object.entries(jobs.byState)) gauges.jobs.set({ state }, count);
        gauges.oldestWaiting.set(jobs.oldestWaitingSeconds);
      }
      if (lines) {
        gauges.batchLines.set({ state: 'waiting' }, lines.waiting);
        gauges.batchLines.set({ state: 'set aside' }, lines.setAside);
      }
      if (spool) {
        gauges.spoolBytes.set(spool.used);
        gauges.spoolReserved.set(spool.reserved);
      }
      if (!device) return;
      const { requested, executionProvider, proof } = device;
      gauges.device.set({ requested, provider: executionProvider ?? 'none' }, 1);
      if (!proof) return;
      gauges.largestDifference.set(proof.largestDifference);
      gauges.speedRatio.set(proof.speedRatio);
    };
    this.#ended = new Counter({
      name: 'stain_jobs_ended_total',
      help: 'Jobs that ended in this process, by state and error code',
      labelNames: ['state', 'code'],
      registers,
    });
    this.#putBack = new Counter({
      name: 'stain_jobs_put_back_total',
      help: 'Attempts that met a passing fault, by its code',
      labelNames: ['code'],
      registers,
    });
    this.#stage = new Histogram({
      name: 'stain_stage_seconds',
      help: 'Duration of the stages of jobs',
      labelNames: ['stage'],
      buckets: JOB_SECONDS,
      registers,
    });
    this.#megapixels = new Counter({
      name: 'stain_megapixels_total',
      help: 'Megapixels of the base levels of jobs that were completed',
      registers,
    });
    this.#rate = new Histogram({
      name: 'stain_job_megapixels_per_second',
      help: 'Megapixels of the base level by seconds of the whole job',
      buckets: RATES,
      registers,
    });
    this.#request = new Histogram({
      name: 'stain_http_request_seconds',
      help: 'Requests to this service, up to the end of the answer; streams of events are left out',
      labelNames: ['method', 'route', 'status'],
      buckets: SECONDS,
      registers,
    });
    this.#archive = new Histogram({
      name: 'stain_archive_request_seconds',
      help: 'Requests to the archive, up to the headers of its answer',
      labelNames: ['method', 'outcome'],
      buckets: SECONDS,
      registers,
    });
    this.#lost = new Counter({
      name: 'stain_audit_lost_total',
      help: 'Events of the audit trail that could not be written or sent',
      labelNames: ['way'],
      registers,
    });
    this.#setAside = new Counter({
      name: 'stain_batch_lines_set_aside_total',
      help: 'How often a series of a batch could not be looked at and was set aside, by the code of the fault',
      labelNames: ['code'],
      registers,
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics, in Prometheus' text format. */
  async text(): Promise<string> {
    await this.#readSources();
    return this.#registry.metrics();
  }

  jobEnded({ state, error, result }: Job): void {
    this.#ended.inc({ state, code: error?.code ?? '' });
    if (!result) return;
    this.#megapixels.inc(result.megapixels);
    this.#rate.observe(result.megapixels / result.seconds);
  }

  jobPutBack({ waiting }: Job): void {
    this.#putBack.inc({ code: waiting?.code ?? 'interrupted' });
  }

  stageEnded(stage: Stage, seconds: number): void {
    this.#stage.observe({ stage }, seconds);
  }

  requestEnded(method: string, route: string, status: number | 'aborted', seconds: number): void {
    this.#request.observe({ method, route, status: String(status) }, seconds);
  }

  /** @param outcome status, or code of the fault */
  archiveAnswered(method: string, outcome: string, seconds: number): void {
    this.#archive.observe({ method, outcome }, seconds);
  }

  batchLineSetAside(code: string): void {
    this.#setAside.inc({ code });
  }

  /** Of a process that has batches. */
  readBatches(source: () => Promise<BatchLines>): void {
    this.#batches = source;
  }

  auditLost(way: 'file' | 'syslog'): void {
    this.#lost.inc({ way });
  }
}

/** Undefined where the source fails or does not answer. */
async function told<T>(source: () => Promise<T>): Promise<T | undefined> {
  const late = () => new StainError('TIMED_OUT', 'A source of the metrics did not answer in time.');
  return withinTime(source, SOURCE_TIMEOUT_MS, late).catch(() => undefined);
}

/** What is read from its sources when the metrics are. */
function makeGauges(registers: Registry[]) {
  return {
    jobs: new Gauge({
      name: 'stain_jobs',
      help: 'Jobs by state, of all processes on this queue',
      labelNames: ['state'],
      registers,
    }),
    databaseUp: new Gauge({
      name: 'stain_database_up',
      help: 'Whether the database answers this process',
      registers,
    }),
    batchLines: new Gauge({
      name: 'stain_batch_lines',
      help: 'Series of batches without a job, of all processes: those whose turn has not come, and those set aside',
      labelNames: ['state'],
      registers,
    }),
    oldestWaiting: new Gauge({
      name: 'stain_jobs_oldest_waiting_seconds',
      help: 'Age of the oldest job that waits',
      registers,
    }),
    spoolBytes: new Gauge({ name: 'stain_spool_bytes', help: 'Bytes in the spool', registers }),
    spoolReserved: new Gauge({
      name: 'stain_spool_reserved_bytes',
      help: 'Bytes in the spool that slides in work have, or may still take',
      registers,
    }),
    device: new Gauge({
      name: 'stain_device_info',
      help: 'The execution provider of the network; always 1',
      labelNames: ['requested', 'provider'],
      registers,
    }),
    // Of the proof that the network runs on a GPU (inference/device-proof.ts).
    largestDifference: new Gauge({
      name: 'stain_device_largest_difference_levels',
      help: 'Largest difference between GPU and CPU on a fixed tile, in grey levels; only on a GPU',
      registers,
    }),
    speedRatio: new Gauge({
      name: 'stain_device_speed_ratio',
      help: 'How many times as fast as the CPU the GPU is; only on a GPU',
      registers,
    }),
  };
}
