/** Prometheus metrics of one process. Names and units by the conventions of Prometheus; no label names a patient or a user. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Device, Job, JobState } from '../contract/index.ts';
import type { Stage } from '../normalization/types.ts';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];
const JOB_SECONDS = [1, 5, 15, 60, 300, 900, 3600, 4 * 3600];
const RATES = [0.1, 0.3, 1, 3, 10, 30, 100, 300];

/** What is asked for when the metrics are read. */
export interface MetricSources {
  jobs(): Promise<{
    readonly byState: Partial<Record<JobState, number>>;
    readonly oldestWaitingSeconds: number;
  }>;
  spool(): Promise<{ readonly used: number; readonly reserved: number }>;
  device(): Promise<Device>;
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

  constructor(sources: MetricSources) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    const gauges = makeGauges(registers);
    this.#readSources = async () => {
      const [jobs, spool, device] = await Promise.all([sources.jobs(), sources.spool(), sources.device()]);
      for (const gauge of Object.values(gauges)) gauge.reset();
      for (const [state, count] of Object.entries(jobs.byState)) gauges.jobs.set({ state }, count);
      gauges.oldestWaiting.set(jobs.oldestWaitingSeconds);
      gauges.spoolBytes.set(spool.used);
      gauges.spoolReserved.set(spool.reserved);
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

  auditLost(way: 'file' | 'syslog'): void {
    this.#lost.inc({ way });
  }
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
