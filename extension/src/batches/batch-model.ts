/** Many slides at once: studies are chosen from a list, the service normalises them, and reports on each slide. */
import { DEFAULT_MODEL } from '../../../core/src/contract/default-model.ts';
import type { Batch, BatchReport, Template } from '../../../core/src/contract/index.ts';
import { MAX_STUDIES } from '../../../core/src/contract/max-studies.ts';
import { DEFAULT_TRANSFER, type TransferName } from '../../../core/src/stain/transfer-name.ts';
import { pause } from '../pause.ts';
import { userErrorOf } from '../plugin-error.ts';
import type { ServiceClient } from '../service/service-client.ts';
import type { Loadable, UserError } from '../state.ts';
import {
  findSlides,
  findStudy,
  type StudyPage,
  type StudyQuery,
  type StudyRow,
  searchStudies,
  slideKey,
} from './study-search.ts';

const LOOK_EVERY_MS = 2000;
/** Studies that are named at the same time. */
const NAMED_AT_ONCE = 4;
/** States from which a slide does not come back. */
const FINAL: ReadonlySet<string> = new Set(['REFUSED', 'SKIPPED', 'COMPLETED', 'FAILED', 'CANCELED']);

export interface BatchState {
  readonly templates: Loadable<readonly Template[]>;
  readonly template: string | null;
  readonly transfer: TransferName;
  readonly query: StudyQuery;
  readonly offset: number;
  readonly studies: Loadable<StudyPage>;
  /** By UID, across the pages of the list. */
  readonly selected: ReadonlyMap<string, StudyRow>;
  readonly isStarting: boolean;
  readonly report: BatchReport | null;
  /** Studies of the report, by UID. */
  readonly names: ReadonlyMap<string, StudyRow>;
  /** Series Description of its slides, by `slideKey`. */
  readonly slides: ReadonlyMap<string, string>;
  /** The user's batches, the newest first. */
  readonly earlier: readonly Batch[];
  readonly error: UserError | null;
}

export type BatchClient = Pick<
  ServiceClient,
  'templates' | 'search' | 'createBatch' | 'batch' | 'batches' | 'cancelBatch' | 'batchCsv'
>;

export class BatchModel {
  readonly #client: BatchClient;
  readonly #end = new AbortController();
  readonly #listeners = new Set<() => void>();
  #searching = new AbortController();
  #state: BatchState = {
    templates: { state: 'loading' },
    template: null,
    transfer: DEFAULT_TRANSFER,
    query: {},
    offset: 0,
    studies: { state: 'loading' },
    selected: new Map(),
    isStarting: false,
    report: null,
    names: new Map(),
    slides: new Map(),
    earlier: [],
    error: null,
  };

  /** @param batch identifier of the one to report on; undefined to choose for a new one */
  constructor(client: BatchClient, batch?: string) {
    this.#client = client;
    void this.#try(async (signal) => {
      try {
        const value = (await client.templates(signal)).filter(({ usable }) => usable);
        this.#change({ templates: { state: 'ready', value }, template: value[0]?.id ?? null });
      } catch (error) {
        this.#change({ templates: { state: 'failed', error: userErrorOf(error) } });
        throw error;
      }
    });
    if (batch !== undefined) this.#follow(batch);
    else {
      void this.#try(async (signal) => this.#change({ earlier: (await client.batches(signal)).batches }));
      this.search({});
    }
  }

  get state(): BatchState {
    return this.#state;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#end.abort();
  }

  search(query: StudyQuery, offset = 0): void {
    this.#searching.abort();
    this.#searching = new AbortController();
    const signal = AbortSignal.any([this.#end.signal, this.#searching.signal]);
    this.#change({ query, offset, studies: { state: 'loading' } });
    searchStudies(this.#client, query, offset, signal).then(
      (value) => signal.aborted || this.#change({ studies: { state: 'ready', value } }),
      (error: unknown) =>
        signal.aborted || this.#change({ studies: { state: 'failed', error: userErrorOf(error) } }),
    );
  }

  /** No more than a batch may have; what comes after that stays as it is. */
  select(rows: readonly StudyRow[], isSelected: boolean): void {
    const selected = new Map(this.#state.selected);
    for (const row of rows) {
      if (!isSelected) selected.delete(row.studyInstanceUid);
      else if (selected.size < MAX_STUDIES) selected.set(row.studyInstanceUid, row);
    }
    this.#change({ selected });
  }

  chooseTemplate(template: string): void {
    this.#change({ template });
  }

  chooseTransfer(transfer: TransferName): void {
    this.#change({ transfer });
  }

  start(onStarted: (batch: string) => void): void {
    const { selected, template, transfer, isStarting } = this.#state;
    if (isStarting || template === null || selected.size === 0) return;
    void this.#try(async (signal) => {
      this.#change({ isStarting: true, error: null });
      try {
        const wanted = { studies: [...selected.keys()], template, model: DEFAULT_MODEL, transfer };
        const { id } = await this.#client.createBatch(wanted, signal);
        this.#change({ names: selected });
        onStarted(id);
        this.#follow(id);
      } finally {
        this.#change({ isStarting: false });
      }
    });
  }

  cancel(): void {
    void this.#try(async (signal) => {
      const { report } = this.#state;
      if (!report) return;
      await this.#client.cancelBatch(report.id, signal);
      this.#learn(await this.#client.batch(report.id, signal));
    });
  }

  /** The report as a file. */
  csv(save: (file: Blob) => void): void {
    void this.#try(async (signal) => {
      const { report } = this.#state;
      if (report) save(await this.#client.batchCsv(report.id, signal));
    });
  }

  dismissError(): void {
    this.#change({ error: null });
  }

  /** Until nothing can change any more. A service that is away is asked again. */
  #follow(id: string): void {
    void this.#try(async (signal) => {
      for (;;) {
        const report = await this.#client.batch(id, signal).catch((error: unknown) => {
          const { code } = userErrorOf(error);
          if (signal.aborted || (code !== 'SERVICE_AWAY' && this.#state.report === null)) throw error;
          this.#change({ error: userErrorOf(error) });
          return null;
        });
        if (report) {
          this.#learn(report);
          if (this.#state.error?.code === 'SERVICE_AWAY') this.#change({ error: null });
          await this.#name(report, signal);
          if (isOver(report)) return;
        }
        await pause(LOOK_EVERY_MS, signal);
      }
    });
  }

  /** An answer may be older than the one before it: what is over stays so. */
  #learn(report: BatchReport): void {
    const known = this.#state.report;
    if (known?.id === report.id && isOver(known)) return;
    this.#change({ report });
  }

  /** A slide can be told by its UID where its names cannot be had. */
  async #name({ series }: BatchReport, signal: AbortSignal): Promise<void> {
    const { names, slides } = this.#state;
    const unknown = series.filter((one) => !slides.has(slideKey(one)));
    const waiting = [...new Set(unknown.map(({ studyInstanceUid }) => studyInstanceUid))].slice(
      0,
      MAX_STUDIES,
    );
    const namelessOf = (uid: string): [string, string][] =>
      unknown.filter(({ studyInstanceUid }) => studyInstanceUid === uid).map((one) => [slideKey(one), '']);
    const next = async (): Promise<void> => {
      for (let uid = waiting.shift(); uid !== undefined; uid = waiting.shift()) {
        const [row, descriptions] = await Promise.all([
          names.get(uid) ?? findStudy(this.#client, uid, signal).catch(() => undefined),
          findSlides(this.#client, uid, signal).catch(() => []),
        ]);
        this.#change({
          // What has no name has been asked for, too.
          slides: new Map([...namelessOf(uid), ...this.#state.slides, ...descriptions]),
          ...(row && { names: new Map(this.#state.names).set(uid, row) }),
        });
      }
    };
    await Promise.all(Array.from({ length: NAMED_AT_ONCE }, next));
  }

  async #try(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#end;
    try {
      await work(signal);
    } catch (error) {
      if (!signal.aborted) this.#change({ error: userErrorOf(error) });
    }
  }

  #change(change: Partial<BatchState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}

/** How many slides of a batch are through, whatever came of them. */
export function countDone({ counts }: Pick<Batch, 'counts'>): {
  readonly done: number;
  readonly total: number;
} {
  let [done, total] = [0, 0];
  for (const [state, count] of Object.entries(counts)) {
    total += count;
    if (FINAL.has(state)) done += count;
  }
  return { done, total };
}

export function isOver(batch: Pick<Batch, 'counts'>): boolean {
  const { done, total } = countDone(batch);
  return done === total;
}
