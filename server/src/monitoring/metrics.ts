/**
 * Prometheus metrics of one process. Names and units follow the conventions of Prometheus; no label names a patient or
 * a user.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import {
  type Device,
  type Job,
  type JobState,
  type ResultState,
  STAGES,
  type Stage,
} from '../../../core/src/contract/index.ts';
import { ERROR_TABLE, StainError } from '../../../core/src/errors.ts';
import { withinTime } from '../sharing/within-time.ts';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];
const JOB_SECONDS = [1, 5, 15, 60, 300, 900, 3600, 4 * 3600];
const RATES = [0.1, 0.3, 1, 3, 10, 30, 100, 300];

/** How long to wait for a source, in milliseconds: the scraper has a time limit too. */
const SOURCE_TIMEOUT_MS = 3000;

const FRAME_OUTCOMES = ['computed', 'kept', 'failed'] as const;
const AUDIT_WAYS = ['file', 'syslog'] as const;
/** For an attempt that was put back because its process stopped. */
const INTERRUPTED = 'interrupted';

/** Sources read for each scrape. A source that does not answer in time is omitted; /ready says why. */
export interface MetricSources {
  jobs(): Promise<{
    readonly byState: Partial<Record<JobState, number>>;
    readonly oldestWaitingSeconds: number;
  }>;
  spool(): Promise<{ readonly used: number; readonly reserved: number }>;
  device(): Promise<Device>;
}

/** Batch series that have no job yet. */
export interface BatchLines {
  readonly waiting: number;
  readonly setAside: number;
}

/** What can become of a series that a rule takes up. */
const RULE_OUTCOMES = ['submitted', 'fitted', 'refused', 'skipped', 'set aside'] as const;

/** A rule, as of a scrape. */
export interface RuleNumbers {
  readonly name: string;
  /** Number of series by state. */
  readonly counts: Readonly<Record<string, number>>;
  readonly lagSeconds: number;
}

/** Number of stored results by state. */
export type ResultNumbers = Readonly<Partial<Record<ResultState, number>>>;

export interface RulesNumbers {
  /** Since the archive was last searched without a fault; undefined before the first time. */
  readonly sweepAgeSeconds: number | undefined;
  readonly rules: readonly RuleNumbers[];
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #readSources: () => Promise<void>;
  readonly #ended: Counter<'state' | 'code'>;
  readonly #requeue: Counter<'code'>;
  readonly #stage: Histogram<'stage'>;
  readonly #megapixels: Counter;
  readonly #rate: Histogram;
  readonly #request: Histogram<'method' | 'route' | 'status'>;
  readonly #archive: Histogram<'archive' | 'method' | 'outcome'>;
  readonly #frame: Histogram<'outcome'>;
  readonly #lost: Counter<'way'>;
  readonly #setAside: Counter<'code'>;
  readonly #ruleSeen: Counter<'rule'>;
  readonly #ruleLines: Counter<'rule' | 'outcome'>;
  readonly #sweeps: Counter<'outcome'>;
  #batches: (() => Promise<BatchLines>) | undefined;
  #rules: (() => Promise<RulesNumbers>) | undefined;
  #results: (() => Promise<ResultNumbers>) | undefined;

  constructor(sources: MetricSources) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    const gauges = makeGauges(registers);
    this.#readSources = async () => {
      const [jobs, lines, rules, results, spool, device] = await Promise.all([
        told(() => sources.jobs()),
        told(async () => this.#batches?.()),
        told(async () => this.#rules?.()),
        told(async () => this.#results?.()),
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
      if (rules?.sweepAgeSeconds !== undefined) gauges.sweepAge.set(rules.sweepAgeSeconds);
      for (const { name, counts, lagSeconds } of rules?.rules ?? []) {
        gauges.ruleLag.set({ rule: name }, lagSeconds);
        for (const [state, count] of Object.entries(counts))
          gauges.ruleSeries.set({ rule: name, state }, count);
      }
      for (const [state, count] of Object.entries(results ?? {})) gauges.results.set({ state }, count);
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
    this.#requeue = new Counter({
      name: 'stain_jobs_requeued_total',
      help: 'Attempts that met a transient fault, by its code',
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
      help: 'Requests to this service, up to the end of the response; without event streams',
      labelNames: ['method', 'route', 'status'],
      buckets: SECONDS,
      registers,
    });
    this.#archive = new Histogram({
      name: 'stain_archive_request_seconds',
      help: 'Requests to archives, by the name of each, up to the response headers',
      labelNames: ['archive', 'method', 'outcome'],
      buckets: SECONDS,
      registers,
    });
    this.#frame = new Histogram({
      name: 'stain_normalized_frame_seconds',
      help: 'Frames of the normalised archive, from the request to the encoded frame: computed, kept in memory, or failed',
      labelNames: ['outcome'],
      buckets: SECONDS,
      registers,
    });
    this.#lost = new Counter({
      name: 'stain_audit_lost_total',
      help: 'Events of the audit trail that could not be written or sent',
      labelNames: ['way'],
      registers,
    });
    this.#ruleSeen = new Counter({
      name: 'stain_rule_series_seen_total',
      help: 'New series that this process found to match a rule',
      labelNames: ['rule'],
      registers,
    });
    this.#ruleLines = new Counter({
      name: 'stain_rule_series_done_total',
      help: 'What this process did with the series of a rule: a job was submitted, it was fitted, refused, skipped, or set aside',
      labelNames: ['rule', 'outcome'],
      registers,
    });
    this.#sweeps = new Counter({
      name: 'stain_rules_sweeps_total',
      help: 'Searches of the archive for new series by this process, by outcome',
      labelNames: ['outcome'],
      registers,
    });
    this.#setAside = new Counter({
      name: 'stain_batch_lines_set_aside_total',
      help: 'Series of batches set aside because they could not be read, by error code',
      labelNames: ['code'],
      registers,
    });
    this.#startAtZero();
  }

  /**
   * `increase()` sees no rise in a series whose first value is 1, so every series that a rule may ask for begins at 0.
   * Routes and answers of archives are too many for that: rules ask for their rate.
   */
  #startAtZero(): void {
    const codes = Object.keys(ERROR_TABLE);
    this.#ended.inc({ state: 'COMPLETED', code: '' }, 0);
    for (const code of ['', ...codes]) this.#ended.inc({ state: 'CANCELED', code }, 0);
    for (const code of codes) {
      this.#ended.inc({ state: 'FAILED', code }, 0);
      this.#setAside.inc({ code }, 0);
    }
    for (const code of [INTERRUPTED, ...codes]) this.#requeue.inc({ code }, 0);
    for (const way of AUDIT_WAYS) this.#lost.inc({ way }, 0);
    for (const stage of STAGES) this.#stage.zero({ stage });
    for (const outcome of FRAME_OUTCOMES) this.#frame.zero({ outcome });
  }

  /** Every counter of a rule starts at 0, so that the first increase is seen. */
  readRules(names: readonly string[], source: () => Promise<RulesNumbers>): void {
    this.#rules = source;
    for (const outcome of ['ok', 'failed']) this.#sweeps.inc({ outcome }, 0);
    for (const rule of names) {
      this.#ruleSeen.inc({ rule }, 0);
      for (const outcome of RULE_OUTCOMES) this.#ruleLines.inc({ rule, outcome }, 0);
    }
  }

  readResults(source: () => Promise<ResultNumbers>): void {
    this.#results = source;
  }

  ruleSaw(rule: string, series: number): void {
    this.#ruleSeen.inc({ rule }, series);
  }

  ruleLine(rule: string, outcome: (typeof RULE_OUTCOMES)[number]): void {
    this.#ruleLines.inc({ rule, outcome });
  }

  sweepEnded(outcome: 'ok' | 'failed'): void {
    this.#sweeps.inc({ outcome });
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

  jobRequeued({ waiting }: Job): void {
    this.#requeue.inc({ code: waiting?.code ?? INTERRUPTED });
  }

  stageEnded(stage: Stage, seconds: number): void {
    this.#stage.observe({ stage }, seconds);
  }

  requestEnded(method: string, route: string, status: number | 'aborted', seconds: number): void {
    this.#request.observe({ method, route, status: String(status) }, seconds);
  }

  /** @param outcome status or error code */
  archiveAnswered(archive: string, method: string, outcome: string, seconds: number): void {
    this.#archive.observe({ archive, method, outcome }, seconds);
  }

  /** @param outcome of a frame of the normalised archive */
  frameAnswered(outcome: (typeof FRAME_OUTCOMES)[number], seconds: number): void {
    this.#frame.observe({ outcome }, seconds);
  }

  batchLineSetAside(code: string): void {
    this.#setAside.inc({ code });
  }

  /** For a process that runs batches. */
  readBatches(source: () => Promise<BatchLines>): void {
    this.#batches = source;
  }

  auditLost(way: (typeof AUDIT_WAYS)[number]): void {
    this.#lost.inc({ way });
  }
}

/** Undefined if the source fails or does not answer. */
async function told<T>(source: () => Promise<T>): Promise<T | undefined> {
  const late = () => new StainError('TIMED_OUT', 'A source of the metrics did not answer in time.');
  return withinTime(source, SOURCE_TIMEOUT_MS, late).catch(() => undefined);
}

/** Gauges read from their sources on each scrape. */
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
      help: 'Series of batches without a job, of all processes: those not yet tried, and those set aside',
      labelNames: ['state'],
      registers,
    }),
    ruleSeries: new Gauge({
      name: 'stain_rule_series',
      help: 'Series of a rule by state, of all processes',
      labelNames: ['rule', 'state'],
      registers,
    }),
    ruleLag: new Gauge({
      name: 'stain_rule_lag_seconds',
      help: 'How long the oldest series of a rule has been waiting for its job or its fit',
      labelNames: ['rule'],
      registers,
    }),
    sweepAge: new Gauge({
      name: 'stain_rules_sweep_age_seconds',
      help: 'Time since the archive was last searched for new series without a fault',
      registers,
    }),
    results: new Gauge({
      name: 'stain_results',
      help: 'Stored results by state, of all processes; DIFFERS and EXPIRING need attention',
      labelNames: ['state'],
      registers,
    }),
    oldestWaiting: new Gauge({
      name: 'stain_jobs_oldest_waiting_seconds',
      help: 'Age of the oldest waiting job',
      registers,
    }),
    spoolBytes: new Gauge({ name: 'stain_spool_bytes', help: 'Bytes in the spool', registers }),
    spoolReserved: new Gauge({
      name: 'stain_spool_reserved_bytes',
      help: 'Bytes in the spool that slides in progress use or may still take',
      registers,
    }),
    device: new Gauge({
      name: 'stain_device_info',
      help: 'The execution provider of the network, as a label; always 1',
      labelNames: ['requested', 'provider'],
      registers,
    }),
    // From the proof that the network runs on a GPU (inference/device-proof.ts).
    largestDifference: new Gauge({
      name: 'stain_device_largest_difference_levels',
      help: 'Largest difference between GPU and CPU on a fixed tile, in grey levels; only on a GPU',
      registers,
    }),
    speedRatio: new Gauge({
      name: 'stain_device_speed_ratio',
      help: 'Speed of the GPU as a multiple of the speed of the CPU; only on a GPU',
      registers,
    }),
  };
}
