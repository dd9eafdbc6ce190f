/** The records of batches: which series and slides each has, and the job, the refusal or the next try of each. */
import { LOCAL } from '../auth/principal.ts';
import type { Batch, BatchSeries } from '../contract/index.ts';
import type { SeriesReference, SlideReference } from '../normalization/open-series.ts';
import type { NormalizationRequest } from '../normalization/types.ts';
import type { Database } from './database.ts';
import { JOB, UNFINISHED } from './job-records.ts';
import type { RoomLimits } from './room.ts';

export const BATCH = 'stain_normalization.batch';
export const SERIES = 'stain_normalization.batch_series';

export const OPEN = 'job IS NULL AND refusal IS NULL';

/** `next_try` of a line that is being tried lies behind the end of that: what a crash leaves is tried again then. */
const SCHEMA = `
CREATE TABLE IF NOT EXISTS ${BATCH} (
  id uuid PRIMARY KEY,
  requested_by text NOT NULL,
  request jsonb NOT NULL,
  cancelled boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS ${SERIES} (
  batch uuid NOT NULL REFERENCES ${BATCH},
  position integer NOT NULL,
  study text NOT NULL,
  series text NOT NULL,
  job uuid,
  refusal jsonb
);
ALTER TABLE ${BATCH} ADD COLUMN IF NOT EXISTS served_at timestamptz NOT NULL DEFAULT 'epoch';
ALTER TABLE ${SERIES}
  ADD COLUMN IF NOT EXISTS next_try timestamptz NOT NULL DEFAULT 'epoch',
  ADD COLUMN IF NOT EXISTS attempts integer NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS waiting jsonb,
  ADD COLUMN IF NOT EXISTS waiting_since timestamptz,
  ADD COLUMN IF NOT EXISTS seen text,
  ADD COLUMN IF NOT EXISTS part integer NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS slide text;
CREATE UNIQUE INDEX IF NOT EXISTS batch_series_line ON ${SERIES} (batch, position, part);
-- Of versions that knew one slide a series.
ALTER TABLE ${SERIES} DROP CONSTRAINT IF EXISTS batch_series_pkey;
CREATE INDEX IF NOT EXISTS batch_served ON ${BATCH} (requested_by, served_at);
CREATE INDEX IF NOT EXISTS batch_series_next ON ${SERIES} (batch, next_try, position) WHERE ${OPEN};`;

/** What all series of a batch have in common. */
export type BatchRequest = Omit<NormalizationRequest, 'studyInstanceUid' | 'seriesInstanceUid' | 'slide'>;

/** A series of a new batch. */
export interface NewLine extends SeriesReference {
  /** Where it is known from the start that it gets no job. */
  readonly refusal?: Refusal | undefined;
}

/** A series, or a slide of one, that has no job yet, in the hands of one process until its `lease` ends. */
export interface OpenLine extends SlideReference {
  readonly batch: string;
  /** Of the series in the batch. */
  readonly position: number;
  /** Of the slide in the series, from 0. */
  readonly part: number;
  readonly requestedBy: string;
  readonly request: BatchRequest;
  /** Tries so far that met a passing fault, and since when. */
  readonly attempts: number;
  readonly waitingSince: Date | undefined;
  /** SHA-256 of the instances that the slide had at the last look; undefined before the first. */
  readonly seen: string | undefined;
}

export interface Fault {
  readonly code: string;
  readonly message: string;
}

export interface Refusal extends Fault {
  readonly state: 'REFUSED' | 'SKIPPED';
}

interface LineRow {
  readonly study: string;
  readonly series: string;
  readonly slide: string | null;
  readonly job: string | null;
  readonly refusal: Refusal | null;
  readonly waiting: Fault | null;
  readonly attempts: number;
  readonly next_try: Date;
  readonly state: BatchSeries['state'] | null;
  readonly error: Fault | null;
  readonly result: { seriesInstanceUid: string; seconds: number } | null;
}

const STATE = `coalesce(l.refusal->>'state', j.state, 'WAITING')`;

export class BatchRecords {
  readonly #database: Database;

  private constructor(database: Database) {
    this.#database = database;
  }

  /** After `JobRecords.open`, which makes the schema. */
  static async open(database: Database): Promise<BatchRecords> {
    await database.define(SCHEMA);
    return new BatchRecords(database);
  }

  async insert(
    id: string,
    requestedBy: string,
    request: BatchRequest,
    createdAt: string,
    lines: readonly NewLine[],
  ): Promise<void> {
    await this.#database.query(
      `WITH made AS (INSERT INTO ${BATCH} (id, requested_by, request, created_at) VALUES ($1, $2, $3::jsonb, $4) RETURNING id)
       INSERT INTO ${SERIES} (batch, position, study, series, refusal)
       SELECT made.id, line.position, line.study, line.series, line.refusal::jsonb FROM made,
         ROWS FROM (unnest($5::text[]), unnest($6::text[]), unnest($7::text[])) WITH ORDINALITY
           AS line (study, series, refusal, position)`,
      [
        id,
        requestedBy,
        JSON.stringify(request),
        createdAt,
        lines.map(({ studyInstanceUid }) => studyInstanceUid),
        lines.map(({ seriesInstanceUid }) => seriesInstanceUid),
        lines.map(({ refusal }) => (refusal ? JSON.stringify(refusal) : null)),
      ],
    );
  }

  /** Batches of a user that have series without a job. */
  async countOpen(requestedBy: string): Promise<number> {
    const [row] = await this.#database.query<{ n: number }>(
      `SELECT count(*)::integer AS n FROM ${BATCH} b
       WHERE requested_by = $1 AND EXISTS (SELECT FROM ${SERIES} WHERE batch = b.id AND ${OPEN})`,
      [requestedBy],
    );
    return row!.n;
  }

  /**
   * Takes the next line that may be tried now. Users take turns, and so do the batches of a user; lines that were never
   * tried come before those that were set aside. Whoever has no room is passed over. Undefined where nothing is to do.
   * @param passedOver users that get no turn @param mostAttempts of lines that were tried more often none is taken
   * @param lease for how long nobody else takes it: doubled with each attempt, up to the most
   */
  async claim(
    room: RoomLimits,
    passedOver: readonly string[],
    mostAttempts: number,
    lease: { readonly seconds: number; readonly mostSeconds: number },
  ): Promise<OpenLine | undefined> {
    const [row] = await this.#database.query<{
      batch: string;
      position: number;
      part: number;
      study: string;
      series: string;
      slide: string | null;
      attempts: number;
      waiting_since: Date | null;
      seen: string | null;
      requested_by: string;
      request: BatchRequest;
    }>(
      `WITH ready AS MATERIALIZED (
         SELECT id, requested_by, request, served_at, created_at FROM ${BATCH} b
         WHERE requested_by <> ALL ($1::text[])
           AND (SELECT count(*) FROM ${JOB} WHERE state = 'SCHEDULED' AND batch IS NOT NULL) < $2
           AND EXISTS (SELECT FROM ${SERIES} WHERE batch = b.id AND ${OPEN} AND next_try <= now() AND attempts <= $6)),
       turns AS (
         SELECT requested_by, (SELECT max(served_at) FROM ${BATCH} WHERE requested_by = u.requested_by) AS last
         FROM (SELECT DISTINCT requested_by FROM ready) u
         WHERE requested_by = '${LOCAL.id}' OR $3 > (
           SELECT count(*) FROM ${JOB}
           WHERE requested_by = u.requested_by AND batch IS NOT NULL AND ${UNFINISHED})),
       next AS (
         SELECT ready.id, ready.requested_by, ready.request, l.position, l.part
         FROM turns JOIN ready USING (requested_by)
         CROSS JOIN LATERAL (
           SELECT position, part FROM ${SERIES} WHERE batch = ready.id AND ${OPEN} AND next_try <= now() AND attempts <= $6
           ORDER BY next_try, position, part LIMIT 1 FOR UPDATE SKIP LOCKED) AS l
         ORDER BY turns.last, ready.served_at, ready.created_at LIMIT 1),
       served AS (UPDATE ${BATCH} SET served_at = clock_timestamp() WHERE id = (SELECT id FROM next))
       UPDATE ${SERIES} l SET next_try = now() + least($4::float8 * 2 ^ least(l.attempts, 20), $5::float8) * interval '1 second'
       FROM next WHERE l.batch = next.id AND l.position = next.position AND l.part = next.part
       RETURNING l.batch, l.position, l.part, l.study, l.series, l.slide, l.attempts, l.waiting_since, l.seen, next.requested_by, next.request`,
      [passedOver, room.maxQueuedJobs, room.jobsPerUser, lease.seconds, lease.mostSeconds, mostAttempts],
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
        attempts: row.attempts,
        waitingSince: row.waiting_since ?? undefined,
        seen: row.seen ?? undefined,
      }
    );
  }

  /** False where the line was cancelled in the meantime. */
  async setJob({ batch, position, part }: OpenLine, job: string): Promise<boolean> {
    const rows = await this.#database.query(
      `UPDATE ${SERIES} SET job = $4, waiting = NULL WHERE batch = $1 AND position = $2 AND part = $3 AND ${OPEN} RETURNING position`,
      [batch, position, part, job],
    );
    return rows.length > 0;
  }

  async refuse({ batch, position, part }: OpenLine, refusal: Refusal): Promise<void> {
    await this.#database.query(
      `UPDATE ${SERIES} SET refusal = $4::jsonb, waiting = NULL WHERE batch = $1 AND position = $2 AND part = $3 AND ${OPEN}`,
      [batch, position, part, JSON.stringify(refusal)],
    );
  }

  /** The line waits for a passing fault to end. */
  async setAside({ batch, position, part }: OpenLine, fault: Fault, seconds: number): Promise<void> {
    await this.#database.query(
      `UPDATE ${SERIES} SET waiting = $4::jsonb, attempts = attempts + 1, waiting_since = coalesce(waiting_since, now()),
         next_try = now() + $5 * interval '1 second'
       WHERE batch = $1 AND position = $2 AND part = $3 AND ${OPEN}`,
      [batch, position, part, JSON.stringify(fault), seconds],
    );
  }

  /** The slide was looked at; whether it is still arriving is seen at the next look. @param fault where it is */
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
      [batch, position, part, seen, seconds, fault ? JSON.stringify(fault) : null],
    );
  }

  /** The series turned out to hold several slides: each has a line of its own from here on. */
  async split({ batch, position, part }: OpenLine, slides: readonly string[]): Promise<void> {
    await this.#database.query(
      `WITH open AS (SELECT id FROM ${BATCH} WHERE id = $1 AND NOT cancelled FOR SHARE),
       first AS (
         UPDATE ${SERIES} SET slide = $4, seen = NULL, waiting = NULL, attempts = 0, waiting_since = NULL, next_try = 'epoch'
         WHERE batch = $1 AND position = $2 AND part = $3 AND slide IS NULL AND ${OPEN}
           AND EXISTS (SELECT FROM open) RETURNING study, series)
       INSERT INTO ${SERIES} (batch, position, part, study, series, slide)
       SELECT $1, $2, other.number, first.study, first.series, other.slide
       FROM first, unnest($5::text[]) WITH ORDINALITY AS other (slide, number)`,
      [batch, position, part, slides[0], slides.slice(1)],
    );
  }

  /** The line was not tried after all. */
  async putBack({ batch, position, part }: OpenLine, seconds: number): Promise<void> {
    await this.#database.query(
      `UPDATE ${SERIES} SET next_try = now() + $4 * interval '1 second' WHERE batch = $1 AND position = $2 AND part = $3 AND ${OPEN}`,
      [batch, position, part, seconds],
    );
  }

  /** What has no job gets none. @returns the unfinished jobs that were made for this batch */
  async cancel(id: string, refusal: Refusal): Promise<string[]> {
    await this.#database.query(`UPDATE ${BATCH} SET cancelled = true WHERE id = $1`, [id]);
    await this.#database.query(
      `UPDATE ${SERIES} SET refusal = $2::jsonb, waiting = NULL WHERE batch = $1 AND ${OPEN}`,
      [id, JSON.stringify(refusal)],
    );
    const rows = await this.#database.query<{ id: string }>(
      `SELECT id FROM ${JOB} WHERE batch = $1 AND ${UNFINISHED}`,
      [id],
    );
    return rows.map((row) => row.id);
  }

  async find(id: string): Promise<Batch | undefined> {
    return (await this.#select('WHERE b.id = $1', [id]))[0];
  }

  /** Newest first. @param requestedBy only theirs */
  list(requestedBy: string | undefined, limit: number): Promise<Batch[]> {
    return this.#select(
      'WHERE ($1::text IS NULL OR b.requested_by = $1)',
      [requestedBy ?? null, limit],
      'LIMIT $2',
    );
  }

  /** In the order in which the archive named them. */
  async series(id: string): Promise<BatchSeries[]> {
    const rows = await this.#database.query<LineRow>(
      `SELECT l.study, l.series, l.slide, l.job, l.refusal, l.waiting, l.attempts, l.next_try, ${STATE} AS state, j.error, j.result
       FROM ${SERIES} l LEFT JOIN ${JOB} j ON j.id = l.job WHERE l.batch = $1 ORDER BY l.position, l.part`,
      [id],
    );
    return rows.map(
      ({ study, series, slide, job, refusal, waiting, attempts, next_try, state, error, result }) => {
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
          nextTryAt: waiting ? next_try.toISOString() : null,
          derivedSeriesInstanceUid: result?.seriesInstanceUid ?? null,
          seconds: result?.seconds ?? null,
        };
      },
    );
  }

  /** Series without a job, of all batches: those whose turn has not come, and those that were set aside. */
  async countLines(): Promise<{ waiting: number; setAside: number }> {
    const [row] = await this.#database.query<{ waiting: number; set_aside: number }>(
      `SELECT count(*) FILTER (WHERE waiting IS NULL)::integer AS waiting,
         count(*) FILTER (WHERE waiting IS NOT NULL)::integer AS set_aside FROM ${SERIES} WHERE ${OPEN}`,
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
      isCancelled: row.cancelled,
      counts: row.counts,
    }));
  }
}
