/**
 * Stored results over the years: a corrected or merged patient, accession or study is noticed, superseded results are
 * rejected and made again, and results whose retention ends are announced and then rejected. Nothing is deleted here.
 */
import type { ArchiveNames } from '../../../core/src/contract/archive.ts';
import type { RejectionReason, ResultQuery, StoredResult } from '../../../core/src/contract/index.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import type { Config } from '../config.ts';
import type { JobService } from '../jobs/job-service.ts';
import { ResultRecords, type ResultRow } from '../jobs/result-records.ts';
import type { NormalizationEnvironment } from '../pipeline/environment.ts';
import { type RejectionEnvironment, rejectSeries } from '../pipeline/reject-series.ts';
import { rejectionOf } from '../pipeline/rejection.ts';
import { checkResult } from './check-result.ts';

/** Length of a round. */
const ROUND_MS = 60_000;
const DAY_MS = 24 * 60 * 60_000;
/** Results that one round checks, rejects or makes again at most: an archive should not feel it. */
const MOST = 20;
/** Results of one study that are checked on demand. */
const MOST_OF_STUDY = 200;

export interface ResultServiceOptions {
  readonly settings: Config['results'];
  readonly jobs: Pick<JobService, 'create' | 'database'>;
  /** Names of the archives in the settings, without the default one, which has none. */
  readonly archives: readonly string[];
  /** What a rejection needs in the archive of the results. @throws ARCHIVE_NOT_FOUND, ARCHIVE_READ_ONLY */
  environmentOf(names: Pick<ArchiveNames, 'destination'>): RejectionEnvironment;
  /** The archives that a request names, to read in. @throws ARCHIVE_NOT_FOUND */
  archivesOf(request: ArchiveNames): Pick<NormalizationEnvironment, 'source' | 'destination'>;
  /** Results by their state, after a check or at the end of retention; for the log. */
  onNotice(
    what: 'changed' | 'expiring' | 'rejected' | 'remade',
    facts: Readonly<Record<string, unknown>>,
  ): void;
  onFault(error: unknown): void;
  /** Default: a minute. */
  readonly roundMs?: number;
}

export class ResultService {
  readonly #options: ResultServiceOptions;
  readonly #records: ResultRecords;
  readonly #end = new AbortController();
  readonly #timer: NodeJS.Timeout;
  /** Archives that did not answer in this round, by name: nothing more is asked of them before the next. */
  readonly #away = new Set<unknown>();
  #round: Promise<void> | undefined;

  constructor(options: ResultServiceOptions) {
    this.#options = options;
    this.#records = new ResultRecords(options.jobs.database, options.archives);
    this.#startRound();
    this.#timer = setInterval(() => this.#startRound(), options.roundMs ?? ROUND_MS).unref();
  }

  async list(query: ResultQuery): Promise<{ results: StoredResult[]; next: string | null }> {
    const rows = await this.#records.list(query);
    const results = rows.map((row) => this.#told(row));
    return { results, next: rows.length < query.limit ? null : results.at(-1)!.seriesInstanceUid };
  }

  /** Number of results by state. */
  counts(): ReturnType<ResultRecords['counts']> {
    return this.#records.counts();
  }

  /** Compares the results of a study, and those of its slides, with their slides now. */
  async check(studyInstanceUid: string, signal: AbortSignal): Promise<StoredResult[]> {
    await this.#records.takeIn();
    const rows = await this.#records.ofStudy(studyInstanceUid, MOST_OF_STUDY);
    const faults: unknown[] = [];
    const comparable = rows.filter((row) => this.#missingArchives(row).length === 0);
    for (const row of comparable)
      await this.#check(row, signal).catch((error: unknown) => faults.push(error));
    // What an archive that is away holds does not keep the others from being compared.
    if (faults.length > 0) throw faults[0];
    const checked = await Promise.all(rows.map(({ series }) => this.#find(series.seriesInstanceUid)));
    return checked.map((row) => this.#told(row));
  }

  /** @throws RESULT_NOT_FOUND, and whatever `rejectSeries` throws */
  async reject(
    seriesInstanceUid: string,
    reason: RejectionReason,
    signal: AbortSignal,
  ): Promise<StoredResult> {
    await this.#reject(await this.#find(seriesInstanceUid), reason, { remake: false }, signal);
    return this.#told(await this.#find(seriesInstanceUid));
  }

  /**
   * Rejects a result, and makes it again from the slide as it is now.
   * @throws RESULT_NOT_FOUND, ARCHIVE_NOT_FOUND, and whatever `rejectSeries` and `JobService.create` throw
   */
  async remake(seriesInstanceUid: string, signal: AbortSignal): Promise<StoredResult> {
    const row = await this.#find(seriesInstanceUid);
    // Nothing is rejected that cannot be made again.
    this.#options.archivesOf(row.request);
    await this.#reject(row, 'worklist', { remake: true }, signal);
    await this.#makeAgain(row, signal);
    return this.#told(await this.#find(seriesInstanceUid));
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#end.abort();
    await this.#round;
  }

  async #find(seriesInstanceUid: string): Promise<ResultRow> {
    let row = await this.#records.find(seriesInstanceUid);
    if (!row) {
      await this.#records.takeIn();
      row = await this.#records.find(seriesInstanceUid);
    }
    if (row) return row;
    throw new StainError('RESULT_NOT_FOUND', 'No job of this service has stored that series.');
  }

  #told(row: ResultRow): StoredResult {
    const { keepDays } = this.#options.settings;
    const isKept = keepDays === undefined || row.state === 'REJECTED' || row.state === 'GONE';
    const { source, destination } = row.request;
    return {
      ...row.series,
      ...(destination !== undefined && { archive: destination }),
      source: { ...row.source, ...(source !== undefined && { archive: source }) },
      state: row.state,
      differs: row.differs,
      missingArchives: this.#missingArchives(row),
      reason: row.reason,
      replacement: row.replacement,
      storedAt: row.storedAt.toISOString(),
      checkedAt: row.checkedAt?.toISOString() ?? null,
      expiresAt: isKept ? null : new Date(row.storedAt.getTime() + keepDays * DAY_MS).toISOString(),
    };
  }

  #missingArchives({ request: { source, destination } }: ResultRow): string[] {
    const named = new Set([destination, source].filter((name) => name !== undefined));
    return [...named].filter((name) => !this.#options.archives.includes(name));
  }

  /** One at a time, however long an archive takes to answer. */
  #startRound(): void {
    this.#round ??= this.#runRound().finally(() => {
      this.#round = undefined;
    });
  }

  async #runRound(): Promise<void> {
    const { signal } = this.#end;
    this.#away.clear();
    const parts = [
      () => this.#records.takeIn(),
      () => this.#checkDue(signal),
      () => this.#rejectSuperseded(signal),
      () => this.#endRetention(signal),
      () => this.#makeWantedAgain(signal),
    ];
    for (const part of parts) await this.#goOn(part);
  }

  async #checkDue(signal: AbortSignal): Promise<void> {
    const { checkDays } = this.#options.settings;
    if (checkDays === 0) return;
    const rounds = (checkDays * DAY_MS) / (this.#options.roundMs ?? ROUND_MS);
    await this.#forEach(await this.#records.takeDue(checkDays, rounds, MOST), async (row) => {
      const { state } = await this.#check(row, signal);
      if (state === 'DIFFERS' && this.#options.settings.onCorrection === 'remake')
        await this.#reject(row, 'worklist', { remake: true }, signal);
    });
  }

  async #forEach(rows: readonly ResultRow[], work: (row: ResultRow) => Promise<void>): Promise<void> {
    for (const row of rows) {
      const { source, destination } = row.request;
      if (this.#away.has(source) || this.#away.has(destination)) continue;
      await this.#goOn(() =>
        work(row).catch((error: unknown) => {
          const { code, data } = toStainError(error);
          if (code === 'ARCHIVE_UNREACHABLE' || code === 'ARCHIVE_TIMEOUT') this.#away.add(data['archive']);
          throw error;
        }),
      );
    }
  }

  /** What fails must not hold up the rest. */
  async #goOn(work: () => Promise<unknown>): Promise<void> {
    const { signal } = this.#end;
    if (signal.aborted) return;
    try {
      await work();
    } catch (error) {
      if (!signal.aborted) this.#options.onFault(error);
    }
  }

  async #check(row: ResultRow, signal: AbortSignal): Promise<{ readonly state: string }> {
    const { source, destination } = this.#options.archivesOf(row.request);
    const finding = await checkResult(row, { source, destination }, signal);
    await this.#records.found(row.seriesUuid, finding);
    const reason =
      finding.state === 'GONE' ? undefined : await rejectionOf(finding.series, destination, signal);
    if (reason !== undefined) {
      await this.#records.rejected(row.seriesUuid, reason);
      this.#options.onNotice('rejected', { reason, by: 'others' });
      return { state: 'REJECTED' };
    }
    const { state, differs } = finding;
    if (state !== 'CURRENT' && state !== row.state) this.#options.onNotice('changed', { state, differs });
    return finding;
  }

  /** In a study there is one result of a kind: the newest. */
  async #rejectSuperseded(signal: AbortSignal): Promise<void> {
    await this.#forEach(await this.#records.takeSuperseded(MOST), (row) =>
      this.#reject(row, 'quality', { remake: false }, signal),
    );
  }

  async #endRetention(signal: AbortSignal): Promise<void> {
    const { keepDays, warnDays } = this.#options.settings;
    if (keepDays === undefined) return;
    const expiring = await this.#records.warn(keepDays, warnDays);
    if (expiring > 0) this.#options.onNotice('expiring', { expiring, warnDays });
    await this.#forEach(await this.#records.takeExpired(keepDays, warnDays, MOST), (row) =>
      this.#reject(row, 'retention', { remake: false }, signal),
    );
  }

  /** With a note in the archive, unless the archive takes none. */
  async #reject(
    row: ResultRow,
    reason: RejectionReason,
    { remake }: { readonly remake: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    const { settings, environmentOf, onNotice } = this.#options;
    if (row.state !== 'REJECTED') {
      if (settings.rejectionNotes)
        await rejectSeries(
          (await this.#find(row.series.seriesInstanceUid)).series,
          reason,
          // The archive of the slide may have left the settings.
          environmentOf({ destination: row.request.destination }),
          signal,
        ).catch((error: unknown) => {
          // What is gone needs no note.
          if (toStainError(error).code !== 'SERIES_NOT_FOUND') throw error;
        });
      onNotice('rejected', { reason });
    }
    await this.#records.rejected(row.seriesUuid, reason, remake);
  }

  async #makeWantedAgain(signal: AbortSignal): Promise<void> {
    await this.#forEach(await this.#records.takeToRemake(MOST), (row) => this.#makeAgain(row, signal));
  }

  async #makeAgain({ seriesUuid, series }: ResultRow, signal: AbortSignal): Promise<void> {
    const { request, requestedBy, source } = await this.#find(series.seriesInstanceUid);
    try {
      const { job } = await this.#options.jobs.create(
        { ...request, ...source },
        { requestedBy, priority: 'low' },
        signal,
      );
      await this.#records.remade(seriesUuid, job.id);
      this.#options.onNotice('remade', { job: job.id });
    } catch (error) {
      const { code, retry } = toStainError(error);
      // Whatever may pass is tried again in the next round.
      const isOver = retry === undefined && code !== 'QUEUE_FULL' && code !== 'SERIES_ARRIVING';
      if (isOver && !signal.aborted) await this.#records.remade(seriesUuid, undefined);
      throw error;
    }
  }
}
