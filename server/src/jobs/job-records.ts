/**
 * The records of jobs, in a table of our own: pg-boss deletes its rows after a while, and a person looks for a job
 * later than that. A record is the truth about a job; pg-boss's row with the same id is only the ticket to run it.
 */
import type { Job, JobListQuery } from '../contract/index.ts';
import type { NormalizationRequest, NormalizationResult, Progress } from '../normalization/types.ts';
import type { Database } from './database.ts';

const TABLE = 'stain_normalization.job';

/** Idempotent; the lock keeps services that start at the same time from making the table twice. */
const SCHEMA = `
BEGIN;
SELECT pg_advisory_xact_lock(hashtext('${TABLE}'));
CREATE SCHEMA IF NOT EXISTS stain_normalization;
CREATE TABLE IF NOT EXISTS ${TABLE} (
  sequence bigserial PRIMARY KEY,
  id uuid NOT NULL UNIQUE,
  key text NOT NULL,
  series text NOT NULL,
  request jsonb NOT NULL,
  state text NOT NULL DEFAULT 'SCHEDULED',
  progress jsonb,
  result jsonb,
  error jsonb,
  cancel_requested boolean NOT NULL DEFAULT false,
  runs integer NOT NULL DEFAULT 0,
  interruptions integer NOT NULL DEFAULT 0,
  revision integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  ended_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS job_unfinished_key ON ${TABLE} (key) WHERE state IN ('SCHEDULED', 'IN PROGRESS');
CREATE INDEX IF NOT EXISTS job_series ON ${TABLE} (series);
COMMIT;`;

const UNFINISHED = `state IN ('SCHEDULED', 'IN PROGRESS')`;

/**
 * One attempt at a job. `run` is a fence: an attempt that was given up for dead and has been followed by another
 * one finds that its writes no longer match.
 */
export interface Attempt {
  readonly job: Job;
  readonly run: number;
  /** Attempts that ended neither well nor badly, this one included: each but this one took the service with it. */
  readonly unexplained: number;
}

export type Outcome =
  | { readonly state: 'COMPLETED'; readonly result: NormalizationResult }
  | { readonly state: 'FAILED'; readonly error: NonNullable<Job['error']> }
  | { readonly state: 'CANCELED' };

interface Row {
  readonly sequence: string;
  readonly id: string;
  readonly request: NormalizationRequest;
  readonly state: Job['state'];
  readonly progress: Progress | null;
  readonly result: NormalizationResult | null;
  readonly error: Job['error'];
  readonly cancel_requested: boolean;
  readonly runs: number;
  readonly interruptions: number;
  readonly revision: number;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
}

const COLUMNS = `sequence::text, id, request, state, progress, result, error, cancel_requested, runs, interruptions,
  revision, created_at, started_at, ended_at`;

export class JobRecords {
  readonly #database: Database;

  private constructor(database: Database) {
    this.#database = database;
  }

  static async open(database: Database): Promise<JobRecords> {
    await database.query(SCHEMA);
    return new JobRecords(database);
  }

  /** The unfinished job with the same key, or a new one; undefined when there would be one but it may not be made. */
  async insert(
    id: string,
    key: string,
    request: NormalizationRequest,
    createdAt: string,
    { onlyExisting }: { onlyExisting: boolean },
  ): Promise<{ job: Job; existing: boolean } | undefined> {
    for (;;) {
      const [found] = await this.#rows(`SELECT ${COLUMNS} FROM ${TABLE} WHERE key = $1 AND ${UNFINISHED}`, [
        key,
      ]);
      if (found) return { job: toJob(found), existing: true };
      if (onlyExisting) return undefined;
      const [made] = await this.#rows(
        `INSERT INTO ${TABLE} (id, key, series, request, created_at) VALUES ($1, $2, $3, $4::jsonb, $5)
         ON CONFLICT (key) WHERE ${UNFINISHED} DO NOTHING RETURNING ${COLUMNS}`,
        [id, key, request.seriesInstanceUid, JSON.stringify(request), createdAt],
      );
      if (made) return { job: toJob(made), existing: false };
      // Another request was faster between the two statements: its job is found now, unless it has ended as well.
    }
  }

  async find(id: string): Promise<Job | undefined> {
    const [row] = await this.#rows(`SELECT ${COLUMNS} FROM ${TABLE} WHERE id = $1`, [id]);
    return row && toJob(row);
  }

  /** Newest first. */
  async list({ series, state, limit, cursor }: JobListQuery): Promise<{ jobs: Job[]; next: string | null }> {
    const rows = await this.#rows(
      `SELECT ${COLUMNS} FROM ${TABLE}
       WHERE ($1::text IS NULL OR series = $1) AND ($2::text IS NULL OR state = $2) AND ($3::bigint IS NULL OR sequence < $3)
       ORDER BY sequence DESC LIMIT $4`,
      [series ?? null, state ?? null, cursor ?? null, limit + 1],
    );
    const page = rows.slice(0, limit);
    return { jobs: page.map(toJob), next: rows.length > limit ? page.at(-1)!.sequence : null };
  }

  /** What a crash left IN PROGRESS waits again. Only for a database that nobody else works on. */
  async recover(): Promise<void> {
    await this.#database.query(
      `UPDATE ${TABLE} SET state = 'SCHEDULED', progress = NULL, revision = revision + 1 WHERE state = 'IN PROGRESS'`,
    );
  }

  /** Ids in the order in which they were asked for. */
  async unfinished(): Promise<string[]> {
    const rows = await this.#database.query<{ id: string }>(
      `SELECT id FROM ${TABLE} WHERE ${UNFINISHED} ORDER BY sequence`,
    );
    return rows.map(({ id }) => id);
  }

  async countScheduled(): Promise<number> {
    const [row] = await this.#database.query<{ n: number }>(
      `SELECT count(*)::integer AS n FROM ${TABLE} WHERE state = 'SCHEDULED'`,
    );
    return row!.n;
  }

  /** Undefined when there is nothing to run: the job ended, or was cancelled while nobody ran it. */
  async start(id: string): Promise<Attempt | undefined> {
    await this.#database.query(
      `UPDATE ${TABLE} SET state = 'CANCELED', ended_at = now(), revision = revision + 1 WHERE id = $1 AND ${UNFINISHED} AND cancel_requested`,
      [id],
    );
    const [row] = await this.#rows(
      `UPDATE ${TABLE} SET state = 'IN PROGRESS', progress = NULL, started_at = now(), runs = runs + 1, revision = 0
       WHERE id = $1 AND ${UNFINISHED} RETURNING ${COLUMNS}`,
      [id],
    );
    return row && { job: toJob(row), run: row.runs, unexplained: row.runs - row.interruptions };
  }

  /** Undefined when this attempt has been overtaken. */
  async saveProgress(
    id: string,
    run: number,
    progress: Progress | null,
    revision: number,
  ): Promise<{ cancelRequested: boolean } | undefined> {
    const [row] = await this.#rows(
      `UPDATE ${TABLE} SET progress = $3::jsonb, revision = greatest(revision, $4) WHERE id = $1 AND runs = $2 AND state = 'IN PROGRESS'
       RETURNING ${COLUMNS}`,
      [id, run, progress && JSON.stringify(progress), revision],
    );
    return row && { cancelRequested: row.cancel_requested };
  }

  /** Undefined when this attempt has been overtaken. */
  async finish(
    id: string,
    run: number,
    outcome: Outcome,
    progress: Progress | null,
    revision: number,
  ): Promise<Job | undefined> {
    const result = outcome.state === 'COMPLETED' ? JSON.stringify(outcome.result) : null;
    const error = outcome.state === 'FAILED' ? JSON.stringify(outcome.error) : null;
    const [row] = await this.#rows(
      `UPDATE ${TABLE} SET state = $3, result = $4::jsonb, error = $5::jsonb, ended_at = now(), progress = $6::jsonb,
         revision = greatest(revision, $7) + 1
       WHERE id = $1 AND runs = $2 AND state = 'IN PROGRESS' RETURNING ${COLUMNS}`,
      [id, run, outcome.state, result, error, progress && JSON.stringify(progress), revision],
    );
    return row && toJob(row);
  }

  /** Back into the queue, because the service stops. */
  async interrupt(id: string, run: number): Promise<void> {
    await this.#database.query(
      `UPDATE ${TABLE} SET state = 'SCHEDULED', progress = NULL, interruptions = interruptions + 1, revision = revision + 1
       WHERE id = $1 AND runs = $2 AND state = 'IN PROGRESS'`,
      [id, run],
    );
  }

  /** A waiting job is CANCELED at once, a running one is marked. Undefined when it had ended, or never was. */
  async requestCancel(id: string): Promise<Job | undefined> {
    const [row] = await this.#rows(
      `UPDATE ${TABLE} SET cancel_requested = true, revision = revision + 1,
         ended_at = CASE state WHEN 'SCHEDULED' THEN now() END,
         state = CASE state WHEN 'SCHEDULED' THEN 'CANCELED' ELSE state END
       WHERE id = $1 AND ${UNFINISHED} RETURNING ${COLUMNS}`,
      [id],
    );
    return row && toJob(row);
  }

  #rows(sql: string, values: readonly unknown[]): Promise<Row[]> {
    return this.#database.query<Row>(sql, values);
  }
}

/** `runs` is part of a revision: progress of an attempt that crashed may never have been written. */
export function revisionOf(run: number, revision: number): string {
  return `${run}-${revision}`;
}

function toJob(row: Row): Job {
  return {
    id: row.id,
    state: row.state,
    request: row.request,
    progress: row.progress,
    result: row.result,
    error: row.error,
    cancelRequested: row.cancel_requested,
    createdAt: row.created_at.toISOString(),
    startedAt: row.started_at?.toISOString() ?? null,
    endedAt: row.ended_at?.toISOString() ?? null,
    revision: revisionOf(row.runs, row.revision),
  };
}
