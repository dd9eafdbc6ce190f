/**
 * Batch records: the series and slides of each batch, and for each of them its job, its refusal or its next attempt. A
 * rule is a batch that never ends: `rules/` adds the series that it sees.
 */

import type { Batch, BatchSeries, NormalizationRequest } from '../../../core/src/contract/index.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { LOCAL } from '../auth/principal.ts';
import type { SeriesReference, SlideReference } from '../pipeline/series-reference.ts';
import type { Database } from './database.ts';
import { JOB, UNFINISHED } from './job-records.ts';
import { toJsonb } from './jsonb.ts';
import { OF_RULES, type RoomLimits, type RuleRoom } from './room.ts';

export const BATCH = 'stain_normalization.batch';
export const SERIES = 'stain_normalization.batch_series';

/** A line that is still to be dealt with. */
export const OPEN = 'job IS NULL AND refusal IS NULL AND fitted_at IS NULL';

/** What all series of a batch share. */
export type BatchRequest = Omit<NormalizationRequest, 'studyInstanceUid' | 'seriesInstanceUid' | 'slide'>;

/** A series of a new batch. */
export interface NewLine extends SeriesReference {
  /** Set if it is already known that the series gets no job. */
  readonly refusal?: Refusal | undefined;
}

/** A series, or one slide of a series, that has no job yet. One process holds it until its `lease` expires. */
export interface OpenLine extends SlideReference {
  readonly batch: string;
  /** Index of the series in the batch. */
  readonly position: number;
  /** Index of the slide in the series, from 0. */
  readonly part: number;
  readonly requestedBy: string;
  readonly request: BatchRequest;
  /** The rule that took it up. */
  readonly rule: string | undefined;
  readonly priority: 'batch' | 'low';
  /** The slide is only fitted, so that the normalised archive shows it at once. */
  readonly fits: boolean;
  /** Number of attempts so far that hit a transient fault, and how long ago the first one did, by the database's clock. */
  readonly attempts: number;
  readonly waitedSeconds: number;
  /** SHA-256 of the slide's instances when they were last checked; undefined before the first check. */
  readonly seen: string | undefined;
}

export interface Fault {
  readonly code: string;
  readonly message: string;
}

/**
 * What is kept of a fault. The text of an unexpected error may contain anything, so it goes only to the log.
 * @param onFault gets unexpected errors
 */
export function faultOf(thrown: unknown, onFault: (error: unknown) => void): Fault {
  const { code, message } = toStainError(thrown);
  if (code === 'INTERNAL') onFault(thrown);
  return { code, message: thrown instanceof StainError ? message : 'An unexpected error.' };
}

/** Why a rule holds a line back. */
export interface Hold extends Fault {
  /** Key of the scanner, and its name. */
  readonly scanner: string;
  readonly name: string;
}

export interface Refusal extends Fault {
  readonly state: 'REFUSED' | 'SKIPPED';
}

/** A line with what its job says. */
export interface LineRow {
  readonly study: string;
  readonly series: string;
  readonly slide: string | null;
  readonly job: string | null;
  readonly refusal: Refusal | null;
  readonly waiting: Fault | Hold | null;
  readonly attempts: number;
  readonly next_try: Date;
  readonly state: BatchSeries['state'] | null;
  readonly error: Fault | null;
  readonly result: { seriesInstanceUid: string; seconds: number } | null;
}

/** A line that a rule holds back because the scanner of the slide has no acceptance. */
export const HELD = `waiting->>'scanner' IS NOT NULL`;

/** With the longest that a line is put off as $7. */
const DUE = `(next_try <= now() OR next_try > now() + $7 * interval '1 second') AND NOT coalesce(${HELD}, false)`;

/** The state of a line `l` with its job `j`. */
export const STATE = `coalesce(l.refusal->>'state', j.state, CASE WHEN l.fitted_at IS NULL THEN 'WAITING' ELSE 'FITTED' END)`;

/** Lines `l` with their jobs `j`, if any. */
export const LINES = `${SERIES} l LEFT JOIN ${JOB} j ON j.id = l.job`;
export const LINE_COLUMNS = `l.study, l.series, l.slide, l.job, l.refusal, l.waiting, l.attempts, l.next_try, ${STATE} AS state, j.error, j.result`;

export function toLine(row: LineRow): BatchSeries {
  const { study, series, slide, job, refusal, waiting, attempts, next_try, state, error, result } = row;
  const fault = refusal ?? waiting ?? error;
  return {
    studyInstanceUid: study,
    seriesInstanceUid: series,
    slide,
    state: state!,
    job,
    code: fault?.code ?? null,
    message: fault?.message ?? null,
    attempts,
    nextTryAt: waiting && !('scanner' in waiting) ? next_try.toISOString() : null,
    derivedSeriesInstanceUid: result?.seriesInstanceUid ?? null,
    seconds: result?.seconds ?? null,
  };
}

export class BatchRecords {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async insert(
    id: string,
    requestedBy: string,
    request: BatchRequest,
    lines: readonly NewLine[],
  ): Promise<void> {
    await this.#database.query(
      `WITH made AS (INSERT INTO ${BATCH} (id, requested_by, request, created_at) VALUES ($1, $2, $3::jsonb, now()) RETURNING id)
       INSERT INTO ${SERIES} (batch, position, study, series, refusal)
       SELECT made.id, line.position, line.study, line.series, line.refusal::jsonb FROM made,
         ROWS FROM (unnest($4::text[]), unnest($5::text[]), unnest($6::text[])) WITH ORDINALITY
           AS line (study, series, refusal, position)`,
      [
        id,
        requestedBy,
        toJsonb(request),
        lines.map(({ studyInstanceUid }) => studyInstanceUid),
        lines.map(({ seriesInstanceUid }) => seriesInstanceUid),
        lines.map(({ refusal }) => (refusal ? toJsonb(refusal) : null)),
      ],
    );
  }

  /** Number of the user's batches that have series without a job. */
  async countOpen(requestedBy: string): Promise<number> {
    const [row] = await this.#database.query<{ n: number }>(
      `SELECT count(*)::integer AS n FROM ${BATCH} b
       WHERE requested_by = $1 AND EXISTS (SELECT FROM ${SERIES} WHERE batch = b.id AND ${OPEN})`,
      [requestedBy],
    );
    return row!.n;
  }

  /**
   * Claims the next line that is due. Users take turns, and so do the batches of a user. Lines that were never tried
   * come before lines that were set aside. Users without room are skipped. Rules take turns like users, those of high
   * priority first and those of low priority last, and only in their hours. Returns undefined if there is nothing to do.
   * @param ruleRoom for the jobs of all rules
   * @param passedOver users to skip @param maxAttempts lines with more attempts than this are not claimed
   * @param maxDelaySeconds a line that is put off for longer than this is due: the clock of the database was set back
   * @param lease how long no other process may claim the line: doubles with each attempt, up to the maximum
   */
  async claim(
    room: RoomLimits,
    ruleRoom: RuleRoom,
    passedOver: readonly string[],
    maxAttempts: number,
    lease: { readonly seconds: number; readonly maxSeconds: number },
    maxDelaySeconds: number,
  ): Promise<OpenLine | undefined> {
    const [row] = await this.#database.query<{
      batch: string;
      position: number;
      part: number;
      study: string;
      series: string;
      slide: string | null;
      attempts: number;
      waited_seconds: number;
      seen: string | null;
      requested_by: string;
      request: BatchRequest;
      rule: string | null;
      rank: number;
      fits: boolean;
    }>(
      `WITH ready AS MATERIALIZED (
         SELECT id, requested_by, request, rule, rank, fits, served_at, created_at FROM ${BATCH} b
         WHERE requested_by <> ALL ($1::text[]) AND served_until > now()
           AND CASE
             WHEN rule IS NULL THEN (SELECT count(*) FROM ${JOB} WHERE state = 'SCHEDULED' AND batch IS NOT NULL AND rule IS NULL) < $2
             ELSE fits OR (SELECT count(*) FROM ${JOB} WHERE ${OF_RULES}) < $8 END
           AND EXISTS (SELECT FROM ${SERIES} WHERE batch = b.id AND ${OPEN} AND ${DUE} AND attempts <= $6)),
       turns AS (
         SELECT requested_by, (SELECT max(served_at) FROM ${BATCH} WHERE requested_by = u.requested_by) AS last
         FROM (SELECT DISTINCT requested_by FROM ready) u
         WHERE requested_by = '${LOCAL.id}' OR $3 > (
           SELECT count(*) FROM ${JOB}
           WHERE requested_by = u.requested_by AND batch IS NOT NULL AND ${UNFINISHED})),
       next AS (
         SELECT ready.id, ready.requested_by, ready.request, ready.rule, ready.rank, ready.fits, l.position, l.part
         FROM turns JOIN ready USING (requested_by)
         CROSS JOIN LATERAL (
           SELECT position, part FROM ${SERIES} WHERE batch = ready.id AND ${OPEN} AND ${DUE} AND attempts <= $6
           ORDER BY next_try, position, part LIMIT 1 FOR UPDATE SKIP LOCKED) AS l
         ORDER BY ready.rank DESC, turns.last, ready.served_at, ready.created_at LIMIT 1),
       served AS (UPDATE ${BATCH} SET served_at = clock_timestamp() WHERE id = (SELECT id FROM next))
       UPDATE ${SERIES} l SET next_try = now() + least($4::float8 * 2 ^ least(l.attempts, 20), $5::float8) * interval '1 second'
       FROM next WHERE l.batch = next.id AND l.position = next.position AND l.part = next.part
       RETURNING l.batch, l.position, l.part, l.study, l.series, l.slide, l.attempts, l.seen,
         coalesce(extract(epoch FROM now() - l.waiting_since), 0)::float8 AS waited_seconds, next.requested_by, next.request,
         next.rule, next.rank, next.fits`,
      [
        passedOver,
        room.maxQueuedJobs,
        room.jobsPerUser,
        lease.seconds,
        lease.maxSeconds,
        maxAttempts,
        maxDelaySeconds,
        ruleRoom.runnable,
      ],
    );
    return (
      row && {
        batch: row.batch,
        position: row.position,
        part: row.part,
        studyInstanceUid: row.study,
        seriesInstanceUid: row.series,
        slide: row.slide ?? undefined,
        requestedBy: row.requested_by,
        request: row.request,
        rule: row.rule ?? undefined,
        priority: row.rank < 0 ? 'low' : 'batch',
        fits: row.fits,
        attempts: row.attempts,
        waitedSeconds: row.waited_seconds,
        seen: row.seen ?? undefined,
      }
    );
  }

  /** Returns false if the line was cancelled in the meantime. */
  async setJob({ batch, position, part }: OpenLine, job: string): Promise<boolean> {
    const rows = await this.#database.query(
      `UPDATE ${SERIES} SET job = $4, waiting = NULL WHERE batch = $1 AND position = $2 AND part = $3 AND ${OPEN} RETURNING position`,
      [batch, position, part, job],
    );
    return rows.length > 0;
  }

  async setFitted({ batch, position, part }: OpenLine): Promise<void> {
    await this.#database.query(
      `UPDATE ${SERIES} SET fitted_at = now(), waiting = NULL WHERE batch = $1 AND position = $2 AND part = $3 AND ${OPEN}`,
      [batch, position, part],
    );
  }

  /** What is refused is not tried again; from then on `next_try` says when that was. */
  async refuse({ batch, position, part }: OpenLine, refusal: Refusal): Promise<void> {
    await this.#database.query(
      `UPDATE ${SERIES} SET refusal = $4::jsonb, waiting = NULL, next_try = now() WHERE batch = $1 AND position = $2 AND part = $3 AND ${OPEN}`,
      [batch, position, part, toJsonb(refusal)],
    );
  }

  /** Sets the line aside until a transient fault has passed. */
  async setAside({ batch, position, part }: OpenLine, fault: Fault, seconds: number): Promise<void> {
    await this.#database.query(
      `UPDATE ${SERIES} SET waiting = $4::jsonb, attempts = attempts + 1, waiting_since = coalesce(waiting_since, now()),
         next_try = now() + $5 * interval '1 second'
       WHERE batch = $1 AND position = $2 AND part = $3 AND ${OPEN}`,
      [batch, position, part, toJsonb(fault), seconds],
    );
  }

  /**
   * Records what the check of the slide found; the next check tells whether it is still arriving.
   * @param fault set if it is
   */
  async lookAgain(
    { batch, position, part }: OpenLine,
    seen: string,
    seconds: number,
    fault: Fault | undefined,
  ): Promise<void> {
    await this.#database.query(
      `UPDATE ${SERIES} SET seen = $4, next_try = now() + $5 * interval '1 second', waiting = $6::jsonb,
         waiting_since = CASE WHEN $6::jsonb IS NULL THEN waiting_since ELSE coalesce(waiting_since, now()) END
       WHERE batch = $1 AND position = $2 AND part = $3 AND ${OPEN}`,
      [batch, position, part, seen, seconds, fault ? toJsonb(fault) : null],
    );
  }

  /** The series holds several slides: from now on each has its own line. */
  async split({ batch, position, part }: OpenLine, slides: readonly string[]): Promise<void> {
    await this.#database.query(
      `WITH open AS (SELECT id FROM ${BATCH} WHERE id = $1 AND NOT cancelled FOR SHARE),
       first AS (
         UPDATE ${SERIES} SET slide = $4, seen = NULL, waiting = NULL, attempts = 0, waiting_since = NULL, next_try = 'epoch'
         WHERE batch = $1 AND position = $2 AND part = $3 AND slide IS NULL AND ${OPEN}
           AND EXISTS (SELECT FROM open) RETURNING study, series, instances, added_at)
       INSERT INTO ${SERIES} (batch, position, part, study, series, slide, instances, added_at)
       SELECT $1, $2, other.number, first.study, first.series, other.slide, first.instances, first.added_at
       FROM first, unnest($5::text[]) WITH ORDINALITY AS other (slide, number)`,
      [batch, position, part, slides[0], slides.slice(1)],
    );
  }

  /** Returns a line that was not tried after all. */
  async requeue({ batch, position, part }: OpenLine, seconds: number): Promise<void> {
    await this.#database.query(
      `UPDATE ${SERIES} SET next_try = now() + $4 * interval '1 second' WHERE batch = $1 AND position = $2 AND part = $3 AND ${OPEN}`,
      [batch, position, part, seconds],
    );
  }

  /**
   * Another attempt at lines that were refused, or whose job failed, of batches that were not cancelled; those of rules
   * too. @param which SQL for the lines `l` with their jobs `j` @returns their number
   */
  async #again(which: string, values: readonly unknown[]): Promise<number> {
    const rows = await this.#database.query(
      `UPDATE ${SERIES} o SET job = NULL, refusal = NULL, seen = NULL, waiting = NULL, attempts = 0, waiting_since = NULL, next_try = 'epoch'
       FROM ${LINES} JOIN ${BATCH} b ON b.id = l.batch
       WHERE o.batch = l.batch AND o.position = l.position AND o.part = l.part AND NOT b.cancelled
         AND (l.refusal->>'state' = 'REFUSED' OR j.state = 'FAILED') AND ${which} RETURNING o.position`,
      values,
    );
    return rows.length;
  }

  /** @see #again */
  retryBatch(id: string): Promise<number> {
    return this.#again('l.batch = $1 AND b.rule IS NULL', [id]);
  }

  /** @see #again */
  retryLine({ batch, position, part }: Pick<OpenLine, 'batch' | 'position' | 'part'>): Promise<number> {
    return this.#again('l.batch = $1 AND l.position = $2 AND l.part = $3', [batch, position, part]);
  }

  /** @see #again */
  retryJob(job: string): Promise<number> {
    return this.#again('l.job = $1', [job]);
  }

  /** Refuses every line that has no job. @returns the unfinished jobs that were created for this batch */
  async cancel(id: string, refusal: Refusal): Promise<string[]> {
    await this.#database.query(`UPDATE ${BATCH} SET cancelled = true WHERE id = $1`, [id]);
    await this.#database.query(
      `UPDATE ${SERIES} SET refusal = $2::jsonb, waiting = NULL WHERE batch = $1 AND ${OPEN}`,
      [id, toJsonb(refusal)],
    );
    const rows = await this.#database.query<{ id: string }>(
      `SELECT id FROM ${JOB} WHERE batch = $1 AND ${UNFINISHED}`,
      [id],
    );
    return rows.map((row) => row.id);
  }

  async find(id: string): Promise<Batch | undefined> {
    return (await this.#select('WHERE b.id = $1 AND b.rule IS NULL', [id]))[0];
  }

  /** Newest first. @param requestedBy lists only this user's batches */
  list(requestedBy: string | undefined, limit: number): Promise<Batch[]> {
    return this.#select(
      'WHERE ($1::text IS NULL OR b.requested_by = $1) AND b.rule IS NULL',
      [requestedBy ?? null, limit],
      'LIMIT $2',
    );
  }

  /** In the order in which the archive listed them. */
  async series(id: string): Promise<BatchSeries[]> {
    const rows = await this.#database.query<LineRow>(
      `SELECT ${LINE_COLUMNS} FROM ${LINES} WHERE l.batch = $1 ORDER BY l.position, l.part`,
      [id],
    );
    return rows.map(toLine);
  }

  /** Counts the series without a job, over all batches, without those of rules: those not yet tried, and those set aside. */
  async countLines(): Promise<{ waiting: number; setAside: number }> {
    const [row] = await this.#database.query<{ waiting: number; set_aside: number }>(
      `SELECT count(*) FILTER (WHERE waiting IS NULL)::integer AS waiting,
         count(*) FILTER (WHERE waiting IS NOT NULL)::integer AS set_aside FROM ${SERIES}
       WHERE ${OPEN} AND instances IS NULL`,
    );
    return { waiting: row!.waiting, setAside: row!.set_aside };
  }

  async #select(where: string, values: readonly unknown[], limit = ''): Promise<Batch[]> {
    const rows = await this.#database.query<{
      id: string;
      requested_by: string;
      request: BatchRequest;
      cancelled: boolean;
      created_at: Date;
      counts: Record<string, number>;
    }>(
      `SELECT b.id, b.requested_by, b.request, b.cancelled, b.created_at, (
         SELECT coalesce(jsonb_object_agg(c.state, c.n), '{}') FROM (
           SELECT ${STATE} AS state, count(*)::integer AS n
           FROM ${SERIES} l LEFT JOIN ${JOB} j ON j.id = l.job WHERE l.batch = b.id GROUP BY 1) c) AS counts
       FROM ${BATCH} b ${where} ORDER BY b.created_at DESC ${limit}`,
      values,
    );
    return rows.map((row) => ({
      id: row.id,
      requestedBy: row.requested_by,
      createdAt: row.created_at.toISOString(),
      template: row.request.template,
      model: row.request.model,
      transfer: row.request.transfer,
      source: row.request.source,
      destination: row.request.destination,
      isCancelled: row.cancelled,
      counts: row.counts,
    }));
  }
}
