/**
 * The records of jobs, in a table of our own: pg-boss deletes its rows after a while, and a person looks for a job
 * later than that. A record is the truth about a job; pg-boss's row with the same id is only the ticket to run it.
 */
import type { Job, JobListQuery } from '../contract/index.ts';
import { uidFromUuid, uuidFromUid } from '../dicom/uid.ts';
import type {
  NormalizationRequest,
  NormalizationResult,
  Progress,
  SeriesIdentity,
} from '../normalization/types.ts';
import type { Database } from './database.ts';
import { DERIVATION } from './derivation-records.ts';

export const JOB = 'stain_normalization.job';

/** Idempotent. */
const SCHEMA = `
CREATE TABLE IF NOT EXISTS ${JOB} (
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
  revision integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  ended_at timestamptz
);
ALTER TABLE ${JOB}
  ADD COLUMN IF NOT EXISTS requested_by text NOT NULL DEFAULT 'local',
  ADD COLUMN IF NOT EXISTS priority integer NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS batch uuid,
  ADD COLUMN IF NOT EXISTS series_uuid uuid,
  ADD COLUMN IF NOT EXISTS series_created_at timestamptz,
  ADD COLUMN IF NOT EXISTS workitem_uid text,
  ADD COLUMN IF NOT EXISTS waiting jsonb,
  ADD COLUMN IF NOT EXISTS stored jsonb,
  ADD COLUMN IF NOT EXISTS waiting_since timestamptz,
  ADD COLUMN IF NOT EXISTS unexplained integer NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX IF NOT EXISTS job_unfinished_key ON ${JOB} (key) WHERE state IN ('SCHEDULED', 'IN PROGRESS');
CREATE INDEX IF NOT EXISTS job_series_uuid ON ${JOB} (series_uuid);
CREATE INDEX IF NOT EXISTS job_series ON ${JOB} (series);
CREATE INDEX IF NOT EXISTS job_key ON ${JOB} (key, sequence);
CREATE INDEX IF NOT EXISTS job_state ON ${JOB} (state);
DROP INDEX IF EXISTS stain_normalization.job_workitem;
CREATE UNIQUE INDEX IF NOT EXISTS job_workitem_of_user ON ${JOB} (workitem_uid, requested_by);
CREATE INDEX IF NOT EXISTS job_batch ON ${JOB} (batch);
CREATE INDEX IF NOT EXISTS job_turn ON ${JOB} (requested_by, priority);
CREATE INDEX IF NOT EXISTS job_last_turn ON ${JOB} (priority) WHERE runs > 0;`;

export const UNFINISHED = `state IN ('SCHEDULED', 'IN PROGRESS')`;

/**
 * Priorities fall from job to job for as long as there are jobs, within the bounds of an integer: those of batch
 * priority from 0 on, the others from far above, so that each of them comes first.
 */
const PRIORITIES = {
  interactive: { first: 1_000_000_000, from: 500_001, to: 2 ** 31 - 1 },
  batch: { first: 0, from: -(2 ** 31), to: 500_000 },
} as const;

/** Who asked for a job, and how urgent it is. */
export interface JobOrigin {
  /** Id of the principal; `local` where there is no login. */
  readonly requestedBy: string;
  /** Interactive requests come before those of batches. */
  readonly priority: 'interactive' | 'batch';
  /** The batch it belongs to. */
  readonly batch?: string | undefined;
  /** UID of its work item (UPS), where whoever asks for it has chosen one. */
  readonly workitemUid?: string | undefined;
}

/**
 * One attempt at a job. `run` is a fence: an attempt that was given up for dead and has been followed by another
 * one finds that its writes no longer match.
 */
export interface Attempt {
  readonly job: Job;
  readonly run: number;
  /** What the UIDs and dates of the derived series are made from. */
  readonly identity: SeriesIdentity;
  /**
   * Attempts since the work last got further that ended neither well nor badly, this one included: each but this one
   * took the service with it.
   */
  readonly unexplained: number;
  /** Since when the job has met passing faults and got no further. */
  readonly waitingSince: Date | undefined;
}

/** A job that can be run, as its ticket in the queue. */
export interface Ticket {
  readonly id: string;
  readonly priority: number;
}

export type Outcome =
  | { readonly state: 'COMPLETED'; readonly result: NormalizationResult }
  | { readonly state: 'FAILED'; readonly error: NonNullable<Job['error']> }
  | { readonly state: 'CANCELED'; readonly error?: NonNullable<Job['error']> };

export interface JobFilter extends JobListQuery {
  /** Only jobs of this study. */
  readonly study?: string | undefined;
}

export interface JobPage {
  readonly jobs: Job[];
  /** Of each job: the page after it begins there. */
  readonly cursors: readonly string[];
  readonly next: string | null;
}

interface Row {
  /** Its sequence. ORDER BY would take a column of that name for this text. */
  readonly cursor: string;
  readonly id: string;
  readonly request: NormalizationRequest;
  readonly state: Job['state'];
  readonly progress: Progress | null;
  readonly result: NormalizationResult | null;
  readonly error: Job['error'];
  readonly waiting: Job['waiting'];
  readonly stored: Job['stored'];
  readonly waiting_since: Date | null;
  readonly cancel_requested: boolean;
  readonly requested_by: string;
  readonly priority: number;
  readonly batch: string | null;
  readonly workitem_uid: string | null;
  readonly series_uuid: string;
  readonly series_created_at: Date;
  /** None for jobs of older versions. */
  readonly derivation: { readonly revision: number; readonly supersedes: string | null } | null;
  readonly runs: number;
  readonly unexplained: number;
  readonly revision: number;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
}

const COLUMNS = `sequence::text AS cursor, id, request, state, progress, result, error, waiting, stored, waiting_since, cancel_requested,
  requested_by, priority, batch, workitem_uid, coalesce(series_uuid, id) AS series_uuid,
  coalesce(series_created_at, created_at) AS series_created_at,
  (SELECT jsonb_build_object('revision', d.revision, 'supersedes', d.supersedes) FROM ${DERIVATION} d
   WHERE d.series_uuid = ${JOB}.series_uuid) AS derivation, runs, unexplained, revision, created_at, started_at,
  ended_at`;

export class JobRecords {
  readonly #database: Database;

  private constructor(database: Database) {
    this.#database = database;
  }

  static async open(database: Database): Promise<JobRecords> {
    await database.define(SCHEMA);
    return new JobRecords(database);
  }

  /** The newest job with the same key that is unfinished or has made the series. */
  async findSame(key: string): Promise<Job | undefined> {
    const [row] = await this.#rows(
      `SELECT ${COLUMNS} FROM ${JOB} WHERE key = $1 AND (${UNFINISHED} OR state = 'COMPLETED')
       ORDER BY sequence DESC LIMIT 1`,
      [key],
    );
    return row && toJob(row);
  }

  /**
   * A new job; undefined when there is an unfinished one with that key.
   *
   * Requesters take turns (start-time fair queueing): a job comes a turn after the last one of its requester, but not
   * before the turn that is being served. So neither many waiting jobs nor a steady flow of new ones keeps others away.
   */
  async insert(
    id: string,
    key: string,
    { seriesUuid, createdAt: seriesCreatedAt }: SeriesIdentity,
    request: NormalizationRequest,
    { requestedBy, priority, batch, workitemUid }: JobOrigin,
    createdAt: string,
  ): Promise<{ job: Job; ticket: Ticket } | undefined> {
    const { first, from, to } = PRIORITIES[priority];
    const [row] = await this.#rows(
      `INSERT INTO ${JOB} (id, key, series, request, created_at, requested_by, batch, workitem_uid, priority,
         series_uuid, series_created_at)
       SELECT $1, $2, $3, $4::jsonb, $5, $6, $7, $9,
         least(
           $8,
           (SELECT min(priority) FROM ${JOB} WHERE runs > 0 AND priority BETWEEN $10 AND $11),
           (SELECT min(priority) - 1 FROM ${JOB} WHERE requested_by = $6 AND priority BETWEEN $10 AND $11)),
         $12, $13
       ON CONFLICT DO NOTHING RETURNING ${COLUMNS}`,
      [
        id,
        key,
        request.seriesInstanceUid,
        JSON.stringify(request),
        createdAt,
        requestedBy,
        batch ?? null,
        first,
        workitemUid ?? null,
        from,
        to,
        seriesUuid,
        seriesCreatedAt,
      ],
    );
    return row && { job: toJob(row), ticket: { id, priority: row.priority } };
  }

  async find(id: string): Promise<Job | undefined> {
    const [row] = await this.#rows(`SELECT ${COLUMNS} FROM ${JOB} WHERE id = $1`, [id]);
    return row && toJob(row);
  }

  /**
   * By the UID that was chosen for it, or the one that follows from the job's UUID. Users choose for themselves: the items
   * of several may have the same, oldest first.
   */
  async findWorkitems(uid: string): Promise<Job[]> {
    const rows = await this.#rows(
      `SELECT ${COLUMNS} FROM ${JOB} WHERE workitem_uid = $1 OR (workitem_uid IS NULL AND id = $2) ORDER BY sequence`,
      [uid, uuidFromUid(uid) ?? null],
    );
    return rows.map(toJob);
  }

  /** Newest first. */
  async list({ series, study, state, limit, cursor }: JobFilter): Promise<JobPage> {
    const rows = await this.#rows(
      `SELECT ${COLUMNS} FROM ${JOB}
       WHERE ($1::text IS NULL OR series = $1) AND ($2::text IS NULL OR state = $2) AND ($3::bigint IS NULL OR sequence < $3)
         AND ($5::text IS NULL OR request->>'studyInstanceUid' = $5)
       ORDER BY sequence DESC LIMIT $4`,
      [series ?? null, state ?? null, cursor ?? null, limit + 1, study ?? null],
    );
    const page = rows.slice(0, limit);
    const cursors = page.map((row) => row.cursor);
    return { jobs: page.map(toJob), cursors, next: rows.length > limit ? cursors.at(-1)! : null };
  }

  /** What a crash left IN PROGRESS waits again. Only for a database that nobody else works on. */
  async recover(): Promise<void> {
    await this.#database.query(
      `UPDATE ${JOB} SET state = 'SCHEDULED', progress = NULL, revision = revision + 1 WHERE state = 'IN PROGRESS'`,
    );
  }

  /** The tickets of all unfinished jobs, in the order in which they were asked for. */
  tickets(): Promise<Ticket[]> {
    return this.#database.query<Ticket>(
      `SELECT id, priority FROM ${JOB} WHERE ${UNFINISHED} ORDER BY sequence`,
    );
  }

  /** @param isBatch only those of batches, or only the others */
  async countScheduled(isBatch: boolean): Promise<number> {
    const [row] = await this.#database.query<{ n: number }>(
      `SELECT count(*)::integer AS n FROM ${JOB} WHERE state = 'SCHEDULED' AND (batch IS NOT NULL) = $1`,
      [isBatch],
    );
    return row!.n;
  }

  /** @throws where the database is read-only, as a standby is */
  async requireWritable(): Promise<void> {
    await this.#database.query(`UPDATE ${JOB} SET revision = revision WHERE false`);
  }

  async statistics(): Promise<{
    byState: Partial<Record<Job['state'], number>>;
    oldestWaitingSeconds: number;
  }> {
    const rows = await this.#database.query<{ state: Job['state']; n: number; oldest: number | null }>(
      `SELECT state, count(*)::integer AS n, extract(epoch FROM now() - min(created_at))::float8 AS oldest
       FROM ${JOB} GROUP BY state`,
    );
    return {
      byState: Object.fromEntries(rows.map(({ state, n }) => [state, n])),
      oldestWaitingSeconds: Number(rows.find(({ state }) => state === 'SCHEDULED')?.oldest ?? 0),
    };
  }

  /** @param isBatch only those of batches, or only the others */
  async countUnfinished(requestedBy: string, isBatch: boolean): Promise<number> {
    const [row] = await this.#database.query<{ n: number }>(
      `SELECT count(*)::integer AS n FROM ${JOB} WHERE requested_by = $1 AND (batch IS NOT NULL) = $2 AND ${UNFINISHED}`,
      [requestedBy, isBatch],
    );
    return row!.n;
  }

  /** Of a job that exists. */
  async identity(id: string): Promise<SeriesIdentity> {
    const [row] = await this.#rows(`SELECT ${COLUMNS} FROM ${JOB} WHERE id = $1`, [id]);
    return identityOf(row!);
  }

  /** What the newest job that has made a series says of it. */
  async resultOf({ seriesUuid }: SeriesIdentity): Promise<NormalizationResult | undefined> {
    const [row] = await this.#rows(
      `SELECT ${COLUMNS} FROM ${JOB} WHERE series_uuid = $1 AND state = 'COMPLETED' ORDER BY sequence DESC LIMIT 1`,
      [seriesUuid],
    );
    return row?.result ?? undefined;
  }

  /** Whether the archive has taken any instance of a series. */
  async wasStored({ seriesUuid }: SeriesIdentity): Promise<boolean> {
    const rows = await this.#database.query(
      `SELECT 1 FROM ${JOB} WHERE series_uuid = $1 AND (state = 'COMPLETED' OR stored IS NOT NULL) LIMIT 1`,
      [seriesUuid],
    );
    return rows.length > 0;
  }

  /** Whether the newest job that makes a series has made it or was cancelled. False where there is no such job. */
  async isOver(seriesUuid: string): Promise<boolean> {
    const [row] = await this.#database.query<{ state: Job['state'] }>(
      `SELECT state FROM ${JOB} WHERE coalesce(series_uuid, id) = $1 ORDER BY sequence DESC LIMIT 1`,
      [seriesUuid],
    );
    return row?.state === 'COMPLETED' || row?.state === 'CANCELED';
  }

  /** Undefined when there is nothing to run: the job ended, or was cancelled while nobody ran it. */
  async start(id: string): Promise<Attempt | undefined> {
    await this.#database.query(
      `UPDATE ${JOB} SET state = 'CANCELED', ended_at = now(), revision = revision + 1 WHERE id = $1 AND ${UNFINISHED} AND cancel_requested`,
      [id],
    );
    const [row] = await this.#rows(
      `UPDATE ${JOB} SET state = 'IN PROGRESS', progress = NULL, waiting = NULL, started_at = now(), runs = runs + 1,
         unexplained = unexplained + 1, revision = 0
       WHERE id = $1 AND ${UNFINISHED} RETURNING ${COLUMNS}`,
      [id],
    );
    return (
      row && {
        job: toJob(row),
        run: row.runs,
        identity: identityOf(row),
        unexplained: row.unexplained,
        waitingSince: row.waiting_since ?? undefined,
      }
    );
  }

  /** Undefined when this attempt has been overtaken. */
  async saveProgress(
    id: string,
    run: number,
    progress: Progress | null,
    revision: number,
  ): Promise<{ cancelRequested: boolean } | undefined> {
    const [row] = await this.#rows(
      `UPDATE ${JOB} SET progress = $3::jsonb, revision = greatest(revision, $4) WHERE id = $1 AND runs = $2 AND state = 'IN PROGRESS'
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
    const error = 'error' in outcome ? JSON.stringify(outcome.error) : null;
    const [row] = await this.#rows(
      `UPDATE ${JOB} SET state = $3, result = $4::jsonb, error = $5::jsonb, ended_at = now(), progress = $6::jsonb,
         revision = greatest(revision, $7) + 1
       WHERE id = $1 AND runs = $2 AND state = 'IN PROGRESS' RETURNING ${COLUMNS}`,
      [id, run, outcome.state, result, error, progress && JSON.stringify(progress), revision],
    );
    return row && toJob(row);
  }

  /** The archive has taken a part of the series: whatever becomes of the job, this is kept. */
  async saveStored(id: string, run: number, stored: NonNullable<Job['stored']>): Promise<void> {
    await this.#database.query(
      `UPDATE ${JOB} SET stored = $3::jsonb WHERE id = $1 AND runs = $2 AND state = 'IN PROGRESS'`,
      [id, run, JSON.stringify(stored)],
    );
  }

  /** The work has got further than any attempt before. */
  async advance(id: string, run: number): Promise<void> {
    await this.#database.query(
      `UPDATE ${JOB} SET unexplained = 1, waiting_since = NULL WHERE id = $1 AND runs = $2 AND state = 'IN PROGRESS'`,
      [id, run],
    );
  }

  /**
   * Back into the queue: because the service stops, or with the passing fault that it waits for to end.
   * @param isInLine it waits for other jobs, however long they take
   */
  async putBack(id: string, run: number, waiting: Job['waiting'] = null, isInLine = false): Promise<void> {
    await this.#database.query(
      `UPDATE ${JOB} SET state = 'SCHEDULED', progress = NULL, unexplained = 0, revision = revision + 1, waiting = $3::jsonb,
         waiting_since = CASE WHEN $3::jsonb IS NULL OR $4 THEN waiting_since ELSE coalesce(waiting_since, now()) END
       WHERE id = $1 AND runs = $2 AND state = 'IN PROGRESS'`,
      [id, run, waiting && JSON.stringify(waiting), isInLine],
    );
  }

  /** Ids of the jobs that wait for room in the spool, oldest first. */
  async waitingForRoom(most: number): Promise<string[]> {
    const rows = await this.#database.query<{ id: string }>(
      `SELECT id FROM ${JOB} WHERE state = 'SCHEDULED' AND waiting->>'code' = 'SPOOL_FULL'
       ORDER BY coalesce(series_created_at, created_at) LIMIT $1`,
      [most],
    );
    return rows.map(({ id }) => id);
  }

  /** A waiting job is CANCELED at once, a running one is marked. Undefined when it had ended, or never was. */
  async requestCancel(id: string): Promise<Job | undefined> {
    const [row] = await this.#rows(
      `UPDATE ${JOB} SET cancel_requested = true, revision = revision + 1,
         ended_at = CASE state WHEN 'SCHEDULED' THEN now() END, waiting = NULL,
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

function identityOf({ series_uuid, series_created_at, derivation }: Row): SeriesIdentity {
  return {
    seriesUuid: series_uuid,
    revision: derivation?.revision ?? 1,
    supersedes: derivation?.supersedes ?? undefined,
    createdAt: series_created_at.toISOString(),
  };
}

function toJob(row: Row): Job {
  return {
    id: row.id,
    state: row.state,
    request: row.request,
    progress: row.progress,
    result: row.result,
    error: row.error,
    waiting: row.waiting,
    stored: row.stored,
    cancelRequested: row.cancel_requested,
    requestedBy: row.requested_by,
    priority: row.priority >= PRIORITIES.interactive.from ? 'interactive' : 'batch',
    workitemUid: row.workitem_uid ?? uidFromUuid(row.id),
    batch: row.batch,
    createdAt: row.created_at.toISOString(),
    startedAt: row.started_at?.toISOString() ?? null,
    endedAt: row.ended_at?.toISOString() ?? null,
    revision: revisionOf(row.runs, row.revision),
  };
}
