/** The records of batches: which series each has, and the job or the refusal of each. */
import type { Batch, BatchSeries } from '../contract/index.ts';
import type { SeriesReference } from '../normalization/open-series.ts';
import type { NormalizationRequest } from '../normalization/types.ts';
import type { Database } from './database.ts';

const BATCH = 'stain_normalization.batch';
const SERIES = 'stain_normalization.batch_series';
const JOB = 'stain_normalization.job';

const SCHEMA = `
BEGIN;
SELECT pg_advisory_xact_lock(hashtext('${BATCH}'));
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
  refusal jsonb,
  PRIMARY KEY (batch, position)
);
CREATE INDEX IF NOT EXISTS batch_series_open ON ${SERIES} (batch, position) WHERE job IS NULL AND refusal IS NULL;
COMMIT;`;

/** What all series of a batch have in common. */
export type BatchRequest = Omit<NormalizationRequest, 'studyInstanceUid' | 'seriesInstanceUid'>;

/** A series that has no job yet. */
export interface OpenLine extends SeriesReference {
  readonly batch: string;
  readonly position: number;
  readonly requestedBy: string;
  readonly request: BatchRequest;
}

export interface Refusal {
  readonly state: 'REFUSED' | 'SKIPPED';
  readonly code: string;
  readonly message: string;
}

interface LineRow {
  readonly study: string;
  readonly series: string;
  readonly job: string | null;
  readonly refusal: Refusal | null;
  readonly state: BatchSeries['state'] | null;
  readonly error: { code: string; message: string } | null;
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
    await database.query(SCHEMA);
    return new BatchRecords(database);
  }

  async insert(
    id: string,
    requestedBy: string,
    request: BatchRequest,
    createdAt: string,
    series: readonly SeriesReference[],
  ): Promise<void> {
    await this.#database.query(
      `WITH made AS (INSERT INTO ${BATCH} (id, requested_by, request, created_at) VALUES ($1, $2, $3::jsonb, $4) RETURNING id)
       INSERT INTO ${SERIES} (batch, position, study, series)
       SELECT made.id, line.position, line.study, line.series FROM made,
         ROWS FROM (unnest($5::text[]), unnest($6::text[])) WITH ORDINALITY AS line (study, series, position)`,
      [
        id,
        requestedBy,
        JSON.stringify(request),
        createdAt,
        series.map(({ studyInstanceUid }) => studyInstanceUid),
        series.map(({ seriesInstanceUid }) => seriesInstanceUid),
      ],
    );
  }

  /** The next series without a job, of the oldest batch that has one. */
  async next(): Promise<OpenLine | undefined> {
    const [row] = await this.#database.query<{
      batch: string;
      position: number;
      study: string;
      series: string;
      requested_by: string;
      request: BatchRequest;
    }>(
      `SELECT l.batch, l.position, l.study, l.series, b.requested_by, b.request FROM ${SERIES} l JOIN ${BATCH} b ON b.id = l.batch
       WHERE l.job IS NULL AND l.refusal IS NULL ORDER BY b.created_at, l.position LIMIT 1`,
    );
    return (
      row && {
        batch: row.batch,
        position: row.position,
        studyInstanceUid: row.study,
        seriesInstanceUid: row.series,
        requestedBy: row.requested_by,
        request: row.request,
      }
    );
  }

  async setJob({ batch, position }: OpenLine, job: string): Promise<void> {
    await this.#database.query(
      `UPDATE ${SERIES} SET job = $3 WHERE batch = $1 AND position = $2 AND refusal IS NULL`,
      [batch, position, job],
    );
  }

  async refuse({ batch, position }: OpenLine, refusal: Refusal): Promise<void> {
    await this.#database.query(
      `UPDATE ${SERIES} SET refusal = $3::jsonb WHERE batch = $1 AND position = $2 AND job IS NULL`,
      [batch, position, JSON.stringify(refusal)],
    );
  }

  /** What has no job gets none. @returns the unfinished jobs that were made for this batch */
  async cancel(id: string, refusal: Refusal): Promise<string[]> {
    await this.#database.query(`UPDATE ${BATCH} SET cancelled = true WHERE id = $1`, [id]);
    await this.#database.query(
      `UPDATE ${SERIES} SET refusal = $2::jsonb WHERE batch = $1 AND job IS NULL AND refusal IS NULL`,
      [id, JSON.stringify(refusal)],
    );
    const rows = await this.#database.query<{ id: string }>(
      `SELECT id FROM ${JOB} WHERE batch = $1 AND state IN ('SCHEDULED', 'IN PROGRESS')`,
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
      `SELECT l.study, l.series, l.job, l.refusal, ${STATE} AS state, j.error, j.result
       FROM ${SERIES} l LEFT JOIN ${JOB} j ON j.id = l.job WHERE l.batch = $1 ORDER BY l.position`,
      [id],
    );
    return rows.map(({ study, series, job, refusal, state, error, result }) => ({
      studyInstanceUid: study,
      seriesInstanceUid: series,
      state: state!,
      job,
      code: (refusal ?? error)?.code ?? null,
      message: (refusal ?? error)?.message ?? null,
      derivedSeriesInstanceUid: result?.seriesInstanceUid ?? null,
      seconds: result?.seconds ?? null,
    }));
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
      isCancelled: row.cancelled,
      counts: row.counts,
    }));
  }
}
