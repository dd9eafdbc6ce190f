/**
 * Job records, in a table of our own: pg-boss deletes its rows after a while, and people look up jobs later than that.
 * The record is the source of truth; the pg-boss row with the same id is only the ticket to run the job.
 */
import { DEFAULT_ARCHIVE } from '../../../core/src/contract/default-archive.ts';
import type {
  Job,
  JobListQuery,
  NormalizationRequest,
  NormalizationResult,
  Progress,
  RejectionReason,
} from '../../../core/src/contract/index.ts';
import { type Note, noteOf } from '../../../core/src/notes.ts';
import { uidFromUuid, uuidFromUid } from '../dicom/uid.ts';
import type { SeriesIdentity } from '../pipeline/series-identity.ts';
import type { Database } from './database.ts';
import { DERIVATION } from './derivation-records.ts';
import { toJsonb } from './jsonb.ts';
import { type Asker, JOBS_OF } from './room.ts';

export const JOB = 'stain_normalization.job';
/** Of stored results (result-records.ts). */
export const RESULT = 'stain_normalization.result';

export const UNFINISHED = `state IN ('SCHEDULED', 'IN PROGRESS')`;

/**
 * Priorities fall from job to job and stay within the bounds of an integer: batch jobs start at 0, those of people far
 * above, so that every one of those comes first, and those of low priority far below.
 */
const PRIORITIES = {
  interactive: { first: 1_000_000_000, from: 500_001, to: 2 ** 31 - 1 },
  batch: { first: 0, from: -1_000_000_000, to: 500_000 },
  low: { first: -1_000_000_001, from: -(2 ** 31), to: -1_000_000_001 },
} as const;

/**
 * SQL for the priority of a new job. Requesters take turns (start-time fair queueing): a job comes one turn after the
 * last job of its requester, but not before the turn being served. Neither a long queue nor a steady stream of new jobs
 * of one user starves the others.
 * @param requester SQL for the id of the principal
 */
function nextTurn(priority: keyof typeof PRIORITIES, requester: string): string {
  const { first, from, to } = PRIORITIES[priority];
  const band = `priority BETWEEN ${from} AND ${to}`;
  return `least(${first},
    (SELECT min(priority) FROM ${JOB} WHERE runs > 0 AND ${band}),
    (SELECT min(priority) - 1 FROM ${JOB} WHERE requested_by = ${requester} AND ${band}))`;
}

/** Who asked for a job, and how urgent it is. */
export interface JobOrigin {
  /** Id of the principal; `local` if there is no login. */
  readonly requestedBy: string;
  /** Interactive requests come before batch requests, and those before requests of low priority. */
  readonly priority: keyof typeof PRIORITIES;
  /** The batch it belongs to. */
  readonly batch?: string | undefined;
  /** The rule that asks, if the batch is that of a rule. */
  readonly rule?: string | undefined;
  /** UID of its work item (UPS), if the requester chose one. */
  readonly workitemUid?: string | undefined;
}

/**
 * One attempt at a job. `run` is a fencing token: if an attempt was presumed dead and another one followed, the writes
 * of the first no longer match.
 */
export interface Attempt {
  readonly job: Job;
  readonly run: number;
  /** What the UIDs and dates of the derived series are generated from. */
  readonly identity: SeriesIdentity;
  /**
   * Number of attempts, including this one, that neither succeeded nor failed since the job last made progress. Each
   * of those before this one took the service down with it.
   */
  readonly unexplained: number;
  /**
   * How long the job has been hitting transient faults without making progress, by the database's clock; undefined if it
   * has not. The clock of a worker may be an hour off.
   */
  readonly waitedMs: number | undefined;
}

/** A runnable job, as queued in pg-boss. */
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
  /** One for each job: the page after that job starts there. */
  readonly cursors: readonly string[];
  readonly next: string | null;
}

interface Row {
  /** The sequence. (ORDER BY would use a column named `sequence` instead of this text.) */
  readonly cursor: string;
  readonly id: string;
  readonly request: NormalizationRequest;
  readonly state: Job['state'];
  readonly progress: Progress | null;
  readonly result: NormalizationResult | null;
  readonly error: Job['error'];
  readonly waiting: Job['waiting'];
  readonly stored: Job['stored'];
  readonly waited_ms: number | null;
  readonly cancel_requested: boolean;
  readonly requested_by: string;
  readonly priority: number;
  readonly batch: string | null;
  readonly workitem_uid: string | null;
  readonly series_uuid: string;
  readonly series_created_at: Date;
  /** Null for jobs of older versions. */
  readonly derivation: { readonly revision: number; readonly supersedes: string | null } | null;
  readonly rejected: RejectionReason | null;
  readonly runs: number;
  readonly unexplained: number;
  readonly revision: number;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
}

const COLUMNS = `sequence::text AS cursor, id, request, state, progress, result, error, waiting, stored,
  extract(epoch FROM now() - waiting_since)::float8 * 1000 AS waited_ms, cancel_requested,
  requested_by, priority, batch, workitem_uid, coalesce(series_uuid, id) AS series_uuid,
  coalesce(series_created_at, created_at) AS series_created_at,
  (SELECT jsonb_build_object('revision', d.revision, 'supersedes', d.supersedes) FROM ${DERIVATION} d
   WHERE d.series_uuid = ${JOB}.series_uuid) AS derivation,
  (SELECT reason FROM ${RESULT} r WHERE r.series_uuid = ${JOB}.series_uuid AND rejected_at IS NOT NULL) AS rejected, runs, unexplained, revision, created_at, started_at,
  ended_at`;

export class JobRecords {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
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
   * Inserts a new job; returns undefined if an unfinished one has the same key.
   */
  async insert(
    id: string,
    key: string,
    { seriesUuid, createdAt: seriesCreatedAt }: SeriesIdentity,
    request: NormalizationRequest,
    { requestedBy, priority, batch, rule, workitemUid }: JobOrigin,
  ): Promise<{ job: Job; ticket: Ticket } | undefined> {
    const [row] = await this.#rows(
      `INSERT INTO ${JOB} (id, key, series, request, created_at, requested_by, batch, workitem_uid, priority,
         series_uuid, series_created_at, rule)
       SELECT $1, $2, $3, $4::jsonb, now(), $5, $6, $7,
         ${nextTurn(priority, '$5')},
         $8, $9, $10
       ON CONFLICT DO NOTHING RETURNING ${COLUMNS}`,
      [
        id,
        key,
        request.seriesInstanceUid,
        toJsonb(request),
        requestedBy,
        batch ?? null,
        workitemUid ?? null,
        seriesUuid,
        seriesCreatedAt,
        rule ?? null,
      ],
    );
    return row && { job: toJob(row), ticket: { id, priority: row.priority } };
  }

  /**
   * Somebody waits for a job that a batch asked for: it takes that person's turn.
   * @returns undefined if it no longer waits, or was already asked for by a person
   */
  async promote(id: string, requestedBy: string): Promise<{ job: Job; ticket: Ticket } | undefined> {
    const [row] = await this.#rows(
      `UPDATE ${JOB} SET priority = ${nextTurn('interactive', '$2')}, revision = revision + 1
       WHERE id = $1 AND state = 'SCHEDULED' AND priority < ${PRIORITIES.interactive.from} RETURNING ${COLUMNS}`,
      [id, requestedBy],
    );
    return row && { job: toJob(row), ticket: { id, priority: row.priority } };
  }

  async find(id: string): Promise<Job | undefined> {
    const [row] = await this.#rows(`SELECT ${COLUMNS} FROM ${JOB} WHERE id = $1`, [id]);
    return row && toJob(row);
  }

  /**
   * Finds jobs by the UID chosen for the work item, or by the one that follows from the job's UUID. Users choose UIDs
   * independently, so several users may have work items with the same UID. Oldest first.
   */
  async findWorkitems(uid: string): Promise<Job[]> {
    const rows = await this.#rows(
      `SELECT ${COLUMNS} FROM ${JOB} WHERE workitem_uid = $1 OR (workitem_uid IS NULL AND id = $2) ORDER BY sequence`,
      [uid, uuidFromUid(uid) ?? null],
    );
    return rows.map(toJob);
  }

  /** Newest first. */
  async list({ series, source, study, state, limit, cursor }: JobFilter): Promise<JobPage> {
    const rows = await this.#rows(
      `SELECT ${COLUMNS} FROM ${JOB}
       WHERE ($1::text IS NULL OR series = $1) AND ($2::text IS NULL OR state = $2) AND ($3::bigint IS NULL OR sequence < $3)
         AND ($5::text IS NULL OR request->>'studyInstanceUid' = $5)
         AND ($6::text IS NULL OR coalesce(request->>'source', '${DEFAULT_ARCHIVE}') = $6)
       ORDER BY sequence DESC LIMIT $4`,
      [series ?? null, state ?? null, cursor ?? null, limit + 1, study ?? null, source ?? null],
    );
    const page = rows.slice(0, limit);
    const cursors = page.map((row) => row.cursor);
    return { jobs: page.map(toJob), cursors, next: rows.length > limit ? cursors.at(-1)! : null };
  }

  /** Waiting jobs in the order in which they will run, and running ones, which come first. */
  async queue(limit: number): Promise<Job[]> {
    const rows = await this.#rows(
      `SELECT ${COLUMNS} FROM ${JOB} WHERE ${UNFINISHED} ORDER BY state, priority DESC, sequence LIMIT $1`,
      [limit],
    );
    return rows.map(toJob);
  }

  /** Requeues jobs that a crash left IN PROGRESS. Only for a database that no other process uses. */
  async recover(): Promise<void> {
    await this.#database.query(
      `UPDATE ${JOB} SET state = 'SCHEDULED', progress = NULL, revision = revision + 1 WHERE state = 'IN PROGRESS'`,
    );
  }

  /** The tickets of all unfinished jobs, in the order of the requests. */
  tickets(): Promise<Ticket[]> {
    return this.#database.query<Ticket>(
      `SELECT id, priority FROM ${JOB} WHERE ${UNFINISHED} ORDER BY sequence`,
    );
  }

  async countScheduled(asker: Asker): Promise<number> {
    const [row] = await this.#database.query<{ n: number }>(
      `SELECT count(*)::integer AS n FROM ${JOB} WHERE state = 'SCHEDULED' AND ${JOBS_OF[asker]}`,
    );
    return row!.n;
  }

  /** @throws if the database is read-only, as a standby is */
  async requireWritable(): Promise<void> {
    await this.#database.query(`UPDATE ${JOB} SET revision = revision WHERE false`);
  }

  /**
   * Tickets that are put off for longer than anything is: the clock of the database was set back.
   * @param maxDelaySeconds longest delay of a retry
   */
  async frozen(maxDelaySeconds: number): Promise<string[]> {
    const rows = await this.#database.query<{ id: string }>(
      `SELECT t.id FROM pgboss.job t JOIN ${JOB} j ON j.id = t.id
       WHERE j.state = 'SCHEDULED' AND t.state IN ('created', 'retry') AND t.start_after > now() + $1 * interval '1 second'`,
      [maxDelaySeconds],
    );
    return rows.map(({ id }) => id);
  }

  async statistics(): Promise<{
    byState: Partial<Record<Job['state'], number>>;
    oldestWaitingSeconds: number;
  }> {
    const rows = await this.#database.query<{ state: Job['state']; n: number; oldest: number | null }>(
      `SELECT state, count(*)::integer AS n, greatest(0, extract(epoch FROM now() - min(created_at)))::float8 AS oldest
       FROM ${JOB} GROUP BY state`,
    );
    return {
      byState: Object.fromEntries(rows.map(({ state, n }) => [state, n])),
      oldestWaitingSeconds: Number(rows.find(({ state }) => state === 'SCHEDULED')?.oldest ?? 0),
    };
  }

  async countUnfinished(requestedBy: string, asker: Asker): Promise<number> {
    const [row] = await this.#database.query<{ n: number }>(
      `SELECT count(*)::integer AS n FROM ${JOB} WHERE requested_by = $1 AND ${JOBS_OF[asker]} AND ${UNFINISHED}`,
      [requestedBy],
    );
    return row!.n;
  }

  /** The job must exist. */
  async identity(id: string): Promise<SeriesIdentity> {
    const [row] = await this.#rows(`SELECT ${COLUMNS} FROM ${JOB} WHERE id = $1`, [id]);
    return identityOf(row!);
  }

  /** The result of the newest job that made the series. */
  async resultOf({ seriesUuid }: SeriesIdentity): Promise<NormalizationResult | undefined> {
    const [row] = await this.#rows(
      `SELECT ${COLUMNS} FROM ${JOB} WHERE series_uuid = $1 AND state = 'COMPLETED' ORDER BY sequence DESC LIMIT 1`,
      [seriesUuid],
    );
    return row?.result ?? undefined;
  }

  /** Whether its result was rejected, as far as the records tell. */
  async isRejected({ seriesUuid }: SeriesIdentity): Promise<boolean> {
    const rows = await this.#database.query(
      `SELECT FROM ${RESULT} WHERE series_uuid = $1 AND rejected_at IS NOT NULL`,
      [seriesUuid],
    );
    return rows.length > 0;
  }

  /** Whether the archive has accepted any instance of the series. */
  async wasStored({ seriesUuid }: SeriesIdentity): Promise<boolean> {
    const rows = await this.#database.query(
      `SELECT 1 FROM ${JOB} WHERE series_uuid = $1 AND (state = 'COMPLETED' OR stored IS NOT NULL) LIMIT 1`,
      [seriesUuid],
    );
    return rows.length > 0;
  }

  /** Whether the newest job for the series has finished it or was cancelled. False if there is no such job. */
  async isOver(seriesUuid: string): Promise<boolean> {
    const [row] = await this.#database.query<{ state: Job['state'] }>(
      `SELECT state FROM ${JOB} WHERE coalesce(series_uuid, id) = $1 ORDER BY sequence DESC LIMIT 1`,
      [seriesUuid],
    );
    return row?.state === 'COMPLETED' || row?.state === 'CANCELED';
  }

  /** Returns undefined if there is nothing to run: the job has ended, or was cancelled before it ran. */
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
        waitedMs: row.waited_ms ?? undefined,
      }
    );
  }

  /** Returns undefined if another attempt has replaced this one. */
  async saveProgress(
    id: string,
    run: number,
    progress: Progress | null,
    revision: number,
  ): Promise<{ cancelRequested: boolean } | undefined> {
    const [row] = await this.#rows(
      `UPDATE ${JOB} SET progress = $3::jsonb, revision = greatest(revision, $4) WHERE id = $1 AND runs = $2 AND state = 'IN PROGRESS'
       RETURNING ${COLUMNS}`,
      [id, run, progress && toJsonb(progress), revision],
    );
    return row && { cancelRequested: row.cancel_requested };
  }

  /** Returns undefined if another attempt has replaced this one. */
  async finish(
    id: string,
    run: number,
    outcome: Outcome,
    progress: Progress | null,
    revision: number,
  ): Promise<Job | undefined> {
    const result = outcome.state === 'COMPLETED' ? toJsonb(outcome.result) : null;
    const error = 'error' in outcome ? toJsonb(outcome.error) : null;
    const [row] = await this.#rows(
      `UPDATE ${JOB} SET state = $3, result = $4::jsonb, error = $5::jsonb, ended_at = now(), progress = $6::jsonb,
         revision = greatest(revision, $7) + 1
       WHERE id = $1 AND runs = $2 AND state = 'IN PROGRESS' RETURNING ${COLUMNS}`,
      [id, run, outcome.state, result, error, progress && toJsonb(progress), revision],
    );
    return row && toJob(row);
  }

  /** The archive has accepted part of the series: this is kept however the job ends. */
  async saveStored(id: string, run: number, stored: NonNullable<Job['stored']>): Promise<void> {
    await this.#database.query(
      `UPDATE ${JOB} SET stored = $3::jsonb WHERE id = $1 AND runs = $2 AND state = 'IN PROGRESS'`,
      [id, run, toJsonb(stored)],
    );
  }

  /** The work has got further than in any attempt before. */
  async advance(id: string, run: number): Promise<void> {
    await this.#database.query(
      `UPDATE ${JOB} SET unexplained = 1, waiting_since = NULL WHERE id = $1 AND runs = $2 AND state = 'IN PROGRESS'`,
      [id, run],
    );
  }

  /**
   * Puts the job back into the queue, because the service is stopping or because of a transient fault.
   * @param isInLine the job waits for other jobs, however long they take
   */
  async requeue(id: string, run: number, waiting: Job['waiting'] = null, isInLine = false): Promise<void> {
    await this.#database.query(
      `UPDATE ${JOB} SET state = 'SCHEDULED', progress = NULL, unexplained = 0, revision = revision + 1, waiting = $3::jsonb,
         waiting_since = CASE WHEN $3::jsonb IS NULL OR $4 THEN waiting_since ELSE coalesce(waiting_since, now()) END
       WHERE id = $1 AND runs = $2 AND state = 'IN PROGRESS'`,
      [id, run, waiting && toJsonb(waiting), isInLine],
    );
  }

  /** Ids of the jobs waiting for room in the spool, oldest first. */
  async waitingForRoom(limit: number): Promise<string[]> {
    const rows = await this.#database.query<{ id: string }>(
      `SELECT id FROM ${JOB} WHERE state = 'SCHEDULED' AND waiting->>'code' = 'SPOOL_FULL'
       ORDER BY coalesce(series_created_at, created_at) LIMIT $1`,
      [limit],
    );
    return rows.map(({ id }) => id);
  }

  /**
   * CANCELs a waiting job at once and marks a running one. Returns undefined if the job has ended or does not exist.
   */
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

/** The revision includes the run, because the progress of an attempt that crashed may never have been saved. */
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

/** Earlier versions recorded notes as sentences. */
export function codedNotes(notes: readonly (Note | string)[]): Note[] {
  return notes.map((note) => (typeof note === 'string' ? noteOf(note) : note));
}

function toJob(row: Row): Job {
  return {
    id: row.id,
    state: row.state,
    request: row.request,
    progress: row.progress,
    result: row.result && { ...row.result, notes: codedNotes(row.result.notes) },
    error: row.error,
    waiting: row.waiting,
    stored: row.stored,
    ...(row.rejected && { rejected: row.rejected }),
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
