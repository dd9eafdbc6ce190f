/** Results that jobs have stored, and what became of them, in the database. */
import type {
  NormalizationRequest,
  RejectionReason,
  ResultQuery,
  ResultState,
} from '../../../core/src/contract/index.ts';
import { uidFromUuid, uuidFromUid } from '../dicom/uid.ts';
import type { SeriesReference } from '../pipeline/series-reference.ts';
import type { Database } from './database.ts';
import { DERIVATION } from './derivation-records.ts';
import { JOB, RESULT } from './job-records.ts';
import { toJsonb } from './jsonb.ts';

/** Rows written by one statement. */
const AT_ONCE = 1000;

export interface ResultRow {
  readonly seriesUuid: string;
  /** The derived series. */
  readonly series: SeriesReference;
  readonly source: SeriesReference;
  readonly request: NormalizationRequest;
  readonly requestedBy: string;
  readonly state: ResultState;
  readonly differs: readonly string[];
  readonly reason: RejectionReason | null;
  readonly replacement: string | null;
  readonly storedAt: Date;
  /** undefined: never. */
  readonly checkedAt: Date | undefined;
}

/** What a check found. */
export interface Finding {
  readonly state: 'CURRENT' | 'DIFFERS' | 'SOURCE GONE' | 'GONE';
  readonly differs: readonly string[];
  readonly series: SeriesReference;
  readonly source: SeriesReference;
}

interface Columns {
  readonly series_uuid: string;
  readonly study: string;
  readonly source_study: string;
  readonly source: string;
  readonly request: NormalizationRequest;
  readonly requested_by: string;
  readonly state: ResultState;
  readonly differs: readonly string[];
  readonly reason: RejectionReason | null;
  readonly replacement: string | null;
  readonly stored_at: Date;
  readonly checked_at: Date | null;
}

/** What determines the content of a request: a result is made again with what its names stand for then. */
const PINS = `'{templateSha256,contentSha256,sourceSha256}'::text[]`;

const NEXT_HOUR = "now() + interval '1 hour'";

export class ResultRecords {
  readonly #database: Pick<Database, 'query'>;
  /** Whether the settings name the archive of the result. */
  readonly #isReachable: string;
  /** Whether they name that of the slide, too. */
  readonly #isComparable: string;
  readonly #state: string;
  readonly #columns: string;

  /** @param archives those of the settings, by name: lower-case letters, digits and hyphens */
  constructor(database: Pick<Database, 'query'>, archives: readonly string[]) {
    this.#database = database;
    const known = ['', ...archives].map((name) => `'${name}'`).join(', ');
    this.#isReachable = `coalesce(request->>'destination', '') IN (${known})`;
    this.#isComparable = `${this.#isReachable} AND coalesce(request->>'source', '') IN (${known})`;
    this.#state = `CASE WHEN rejected_at IS NOT NULL THEN 'REJECTED' WHEN NOT (${this.#isComparable}) THEN 'ARCHIVE GONE'
      WHEN finding <> 'CURRENT' THEN finding WHEN warned_at IS NOT NULL THEN 'EXPIRING' ELSE 'CURRENT' END`;
    this.#columns = `series_uuid, study, source_study, source, request, requested_by, ${this.#state} AS state, differs, reason,
      replacement, stored_at, checked_at`;
  }

  /** Takes in what jobs have stored in the meantime, oldest first, up to a number. */
  async takeIn(): Promise<void> {
    await this.#database.query(
      `INSERT INTO ${RESULT} (series_uuid, study, source_study, source, request, requested_by, stored_at)
       SELECT series_uuid, result->>'studyInstanceUid', request->>'studyInstanceUid', series,
         request - ${PINS}, requested_by, ended_at
       FROM ${JOB} j
       WHERE state = 'COMPLETED' AND series_uuid IS NOT NULL AND result IS NOT NULL
         AND ended_at > coalesce((SELECT max(stored_at) FROM ${RESULT}) - interval '1 day', '-infinity')
         AND NOT EXISTS (SELECT FROM ${RESULT} r WHERE r.series_uuid = j.series_uuid)
       ORDER BY ended_at LIMIT ${AT_ONCE} ON CONFLICT DO NOTHING`,
    );
  }

  async find(seriesInstanceUid: string): Promise<ResultRow | undefined> {
    const [row] = await this.#rows('WHERE series_uuid = $1', [uuidFromUid(seriesInstanceUid) ?? null]);
    return row;
  }

  async list({ state, after, limit }: ResultQuery): Promise<ResultRow[]> {
    return this.#rows(
      `WHERE ($1::text IS NULL OR ${this.#state} = $1) AND ($2::uuid IS NULL OR series_uuid > $2) ORDER BY series_uuid LIMIT $3`,
      [state ?? null, (after !== undefined && uuidFromUid(after)) || null, limit],
    );
  }

  /** Results in a study, and results of slides in it. */
  ofStudy(study: string, limit: number): Promise<ResultRow[]> {
    return this.#rows(
      'WHERE rejected_at IS NULL AND (study = $1 OR source_study = $1) ORDER BY checked_at NULLS FIRST LIMIT $2',
      [study, limit],
    );
  }

  async counts(): Promise<Partial<Record<ResultState, number>>> {
    const rows = await this.#database.query<{ state: ResultState; n: number }>(
      `SELECT ${this.#state} AS state, count(*)::integer AS n FROM ${RESULT} GROUP BY 1`,
    );
    return Object.fromEntries(rows.map(({ state, n }) => [state, n]));
  }

  /**
   * Results whose check is due, so many that each has its turn within `days`. No process gets the same within an hour.
   * Also those that were gone: an archive that rebuilds its index shows nothing for a while.
   * @param rounds rounds in that time @param most upper bound of a round
   */
  async takeDue(days: number, rounds: number, most: number): Promise<ResultRow[]> {
    return this.#take(
      NEXT_HOUR,
      `rejected_at IS NULL AND ${this.#isComparable} AND retry_at <= now()
         AND (checked_at IS NULL OR checked_at < now() - $1::float8 * interval '1 day')
       ORDER BY checked_at NULLS FIRST LIMIT (SELECT least($3::integer, ceil(count(*) / $2::float8)::integer) FROM ${RESULT} WHERE rejected_at IS NULL)`,
      [days, rounds, most],
    );
  }

  async found(seriesUuid: string, { state, differs, series, source }: Finding): Promise<void> {
    await this.#database.query(
      `UPDATE ${RESULT} SET checked_at = now(), finding = $2, differs = $3::jsonb, study = $4, source_study = $5, source = $6
       WHERE series_uuid = $1`,
      [
        seriesUuid,
        state,
        toJsonb(differs),
        series.studyInstanceUid,
        source.studyInstanceUid,
        source.seriesInstanceUid,
      ],
    );
  }

  /** From now on the series is no result any more: the same request makes the next revision. */
  async rejected(seriesUuid: string, reason: RejectionReason, remake = false): Promise<void> {
    await this.#database.query(
      `UPDATE ${RESULT} SET rejected_at = coalesce(rejected_at, now()), reason = coalesce(reason, $2), remake = remake OR $3,
         retry_at = 'epoch'
       WHERE series_uuid = $1`,
      [seriesUuid, reason, remake],
    );
  }

  /** Results that are to be made again, and have no job yet. Those that were tried are last in line. */
  takeToRemake(limit: number): Promise<ResultRow[]> {
    return this.#take('now()', 'remake ORDER BY retry_at LIMIT $1', [limit]);
  }

  /** @param job undefined: it cannot be made again */
  async remade(seriesUuid: string, job: string | undefined): Promise<void> {
    await this.#database.query(
      `UPDATE ${RESULT} SET remake = false, replacement = $2 WHERE series_uuid = $1`,
      [seriesUuid, job ?? null],
    );
  }

  /**
   * Announces the end of retention of each result that has up to `warnDays` left.
   * @returns how many were announced now
   */
  async warn(keepDays: number, warnDays: number): Promise<number> {
    const isSoon = `stored_at < now() - ($1::float8 - $2::float8) * interval '1 day'`;
    await this.#database.query(
      `UPDATE ${RESULT} SET warned_at = NULL WHERE rejected_at IS NULL AND warned_at IS NOT NULL AND NOT ${isSoon}`,
      [keepDays, warnDays],
    );
    const warned = await this.#database.query(
      `UPDATE ${RESULT} SET warned_at = now() WHERE rejected_at IS NULL AND warned_at IS NULL AND finding <> 'GONE' AND ${this.#isReachable} AND ${isSoon}
       RETURNING series_uuid`,
      [keepDays, warnDays],
    );
    return warned.length;
  }

  /** Results whose retention has ended, and was announced at least `warnDays` before. None is taken again within an hour. */
  takeExpired(keepDays: number, warnDays: number, limit: number): Promise<ResultRow[]> {
    return this.#take(
      NEXT_HOUR,
      `rejected_at IS NULL AND finding <> 'GONE' AND ${this.#isReachable} AND retry_at <= now() AND stored_at < now() - $1::float8 * interval '1 day'
         AND warned_at <= now() - $2::float8 * interval '1 day' ORDER BY stored_at LIMIT $3`,
      [keepDays, warnDays, limit],
    );
  }

  /**
   * Results of which a later revision is stored: more of the slide has arrived since, or other images of it. One whose
   * rejection failed has its turn again in an hour; a check that went well does not put it off.
   */
  takeSuperseded(limit: number): Promise<ResultRow[]> {
    return this.#take(
      NEXT_HOUR,
      `rejected_at IS NULL AND finding <> 'GONE' AND ${this.#isReachable} AND (retry_at <= now() OR retry_at <= checked_at + interval '1 hour')
         AND series_uuid IN (
           SELECT own.series_uuid FROM ${DERIVATION} later
           JOIN ${DERIVATION} own ON own.lineage = later.lineage AND own.revision < later.revision
           JOIN ${RESULT} stored ON stored.series_uuid = later.series_uuid
           WHERE later.revision > 1 AND stored.rejected_at IS NULL AND stored.finding <> 'GONE')
       ORDER BY stored_at LIMIT $1`,
      [limit],
    );
  }

  /**
   * Whatever fails for one result, such as its archive, must not keep others from their turn: each that is taken is put
   * off first.
   * @param until when it may be taken again
   */
  async #take(until: string, condition: string, values: readonly unknown[]): Promise<ResultRow[]> {
    const rows = await this.#database.query<Columns>(
      `UPDATE ${RESULT} SET retry_at = ${until} WHERE series_uuid IN (
         SELECT series_uuid FROM ${RESULT} WHERE ${condition} FOR UPDATE SKIP LOCKED)
       RETURNING ${this.#columns}`,
      values,
    );
    return rows.map(toRow);
  }

  async #rows(condition: string, values: readonly unknown[]): Promise<ResultRow[]> {
    const rows = await this.#database.query<Columns>(
      `SELECT ${this.#columns} FROM ${RESULT} ${condition}`,
      values,
    );
    return rows.map(toRow);
  }
}

function toRow(row: Columns): ResultRow {
  return {
    seriesUuid: row.series_uuid,
    series: { studyInstanceUid: row.study, seriesInstanceUid: uidFromUuid(row.series_uuid) },
    source: { studyInstanceUid: row.source_study, seriesInstanceUid: row.source },
    request: row.request,
    requestedBy: row.requested_by,
    state: row.state,
    differs: row.differs,
    reason: row.reason,
    replacement: row.replacement,
    storedAt: row.stored_at,
    checkedAt: row.checked_at ?? undefined,
  };
}
