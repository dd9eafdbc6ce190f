/**
 * What rules remember, in the database: which series were in the archive before, how far each source was read, and what
 * was announced. The series that a rule takes up are lines of its batch (jobs/batch-records.ts): taking one up and
 * recording that are one statement, so no crash can come between them.
 */

import type { BatchSeries } from '../../../core/src/contract/index.ts';
import type { BatchRequest, Fault, Hold } from '../jobs/batch-records.ts';
import {
  BATCH,
  HELD,
  LINE_COLUMNS,
  LINES,
  type LineRow,
  OPEN,
  SERIES,
  STATE,
  toLine,
} from '../jobs/batch-records.ts';
import type { Database } from '../jobs/database.ts';
import { JOB } from '../jobs/job-records.ts';
import { toJsonb } from '../jobs/jsonb.ts';
import type { SeriesReference } from '../pipeline/series-reference.ts';
import { type Arrival, keyOf } from './arrivals.ts';
import type { HeaderFacts } from './match.ts';
import type { Rule } from './rule.ts';

/** Where it is written how far an archive was searched, and which row is that of the archive. */
interface WatchRow {
  readonly table: string;
  readonly of: string;
}

function watchRow(archive: string | undefined): WatchRow {
  return archive === undefined
    ? { table: 'stain_normalization.rule_watch', of: 'id = 1' }
    : // Names have no quotes.
      { table: 'stain_normalization.rule_watch_of', of: `archive = '${archive}'` };
}
const SEEN = 'stain_normalization.rule_seen';
const ANNOUNCED = 'stain_normalization.rule_announced';

/** Priorities of rules among lines; a batch of a user has 0. */
const RANKS = { high: 1, normal: 0, low: -1 } as const;

/** Jobs that failed because their slide or the software changed under them; the same series is worth another job. */
const OVERTAKEN = ['SOURCE_CHANGED', 'WORK_CHANGED'];

/** Scanners that are named in the report of a rule. */
const MAX_HELD_SCANNERS = 100;

/** How far the sources were read. */
export interface Watch {
  /** Study Date (YYYYMMDD); undefined before the first survey. */
  readonly surveyedFrom: string | undefined;
  /** Which part of the older studies is next. */
  readonly slice: number;
  /** Number of the last of Orthanc's changes that was read. */
  readonly changesAfter: number | undefined;
}

export interface WatchStatus {
  readonly sweptAt: Date | undefined;
  readonly isSurveyed: boolean;
  readonly fault: Fault | undefined;
  readonly ruleFaults: Readonly<Record<string, Fault>>;
  /** Series that could not be compared yet, because their headers cannot be read. */
  readonly unread: number;
}

export interface Known {
  /** Whether it was in the archive before the first rule. */
  readonly isOld: boolean;
  readonly sequence: number;
  readonly header: HeaderFacts;
}

/** A series that a rule has taken up. */
export interface Line {
  /** -1: not told. */
  readonly instances: number;
  readonly isOpen: boolean;
}

export interface DefinedRule {
  readonly batch: string;
  /** Whatever was seen up to here is not new to the rule. */
  readonly seenAfter: number;
}

export interface RuleStatus {
  readonly rule: string;
  /** When the rule was first known. */
  readonly createdAt: Date;
  readonly isServed: boolean;
  readonly counts: Readonly<Record<string, number>>;
  readonly lagSeconds: number;
  /** Scanners whose slides it holds back, and how many. */
  readonly held: Readonly<Record<string, number>>;
}

export interface LineFilter {
  readonly state: string | undefined;
  /** Position after which the page begins. */
  readonly after: number;
  readonly limit: number;
}

export class RuleRecords {
  readonly #database: Database;
  readonly #archive: string | undefined;
  readonly #watch: WatchRow;

  /** @param archive that is searched; undefined: the default one */
  constructor(database: Database, archive?: string) {
    this.#database = database;
    this.#archive = archive;
    this.#watch = watchRow(archive);
  }

  /** The name of a series in `rule_seen`; then the one that versions before 1.0 gave it, for all studies. */
  #names(series: SeriesReference): [string, string] {
    const prefix = this.#archive === undefined ? '' : `${this.#archive} `;
    return [`${prefix}${keyOf(series)}`, `${prefix}${series.seriesInstanceUid}`];
  }

  /**
   * Makes this process the one that searches, if it is time and no other does. Clocks that are put back do not lock
   * everybody out. @param isUrgent whatever the time
   * @returns undefined if it is not
   */
  async lead(
    holder: string,
    leaseSeconds: number,
    pollSeconds: number,
    isUrgent: boolean,
  ): Promise<Watch | undefined> {
    const { table, of } = this.#watch;
    if (this.#archive !== undefined)
      await this.#database.query(`INSERT INTO ${table} (archive) VALUES ($1) ON CONFLICT DO NOTHING`, [
        this.#archive,
      ]);
    const [row] = await this.#database.query<{
      surveyed_from: string | null;
      slice: number;
      changes_after: string | null;
    }>(
      `UPDATE ${table} SET holder = $1, held_until = now() + $2 * interval '1 second', started_at = now()
       WHERE ${of} AND (held_until < now() OR held_until > now() + 2 * $2 * interval '1 second' OR holder = $1) AND ($4 OR started_at <= now() - $3 * interval '1 second' OR started_at > now())
       RETURNING surveyed_from, slice, changes_after::text`,
      [holder, leaseSeconds, pollSeconds, isUrgent],
    );
    return (
      row && {
        surveyedFrom: row.surveyed_from ?? undefined,
        slice: row.slice,
        changesAfter: row.changes_after === null ? undefined : Number(row.changes_after),
      }
    );
  }

  async release(): Promise<void> {
    const { table, of } = this.#watch;
    await this.#database.query(`UPDATE ${table} SET held_until = 'epoch' WHERE ${of}`);
  }

  /** @returns false if another process has taken over */
  async stay(holder: string, leaseSeconds: number): Promise<boolean> {
    const { table, of } = this.#watch;
    const rows = await this.#database.query(
      `UPDATE ${table} SET held_until = now() + $2 * interval '1 second' WHERE ${of} AND holder = $1 RETURNING holder`,
      [holder, leaseSeconds],
    );
    return rows.length > 0;
  }

  async saveWatch(holder: string, { surveyedFrom, slice, changesAfter }: Watch): Promise<void> {
    const { table, of } = this.#watch;
    await this.#database.query(
      `UPDATE ${table} SET surveyed_from = $2, slice = $3, changes_after = $4 WHERE ${of} AND holder = $1`,
      [holder, surveyedFrom ?? null, slice, changesAfter ?? null],
    );
  }

  /** The end of a search: with a fault, what was found before it remains. */
  async leave(
    holder: string,
    fault: Fault | undefined,
    ruleFaults: Readonly<Record<string, Fault>>,
    unread: number,
  ): Promise<void> {
    const { table, of } = this.#watch;
    await this.#database.query(
      `UPDATE ${table} SET held_until = 'epoch', fault = $2::jsonb, rule_faults = $3::jsonb, unread = $4,
         swept_at = CASE WHEN $2::jsonb IS NULL THEN now() ELSE swept_at END
       WHERE ${of} AND holder = $1`,
      [holder, fault ? toJsonb(fault) : null, toJsonb(ruleFaults), unread],
    );
  }

  async watchStatus(): Promise<WatchStatus> {
    const { table, of } = this.#watch;
    const [row] = await this.#database.query<{
      swept_at: Date | null;
      surveyed_from: string | null;
      fault: Fault | null;
      rule_faults: Record<string, Fault>;
      unread: number;
    }>(`SELECT swept_at, surveyed_from, fault, rule_faults, unread FROM ${table} WHERE ${of}`);
    // A named archive has none before it is searched.
    return {
      sweptAt: row?.swept_at ?? undefined,
      isSurveyed: typeof row?.surveyed_from === 'string',
      fault: row?.fault ?? undefined,
      ruleFaults: row?.rule_faults ?? {},
      unread: row?.unread ?? 0,
    };
  }

  /** @param batch id for a rule that is not known yet @param servedUntil undefined: its series wait */
  async define(
    batch: string,
    { name, outcome, priority }: Rule,
    request: BatchRequest,
    servedUntil: Date | undefined,
  ): Promise<DefinedRule> {
    const [row] = await this.#database.query<{ id: string; seen_after: string }>(
      `INSERT INTO ${BATCH} (id, requested_by, request, created_at, rule, fits, rank, served_until, seen_after)
       VALUES ($1, $2, $3::jsonb, now(), $4, $5, $6, $7, (SELECT coalesce(max(sequence), 0) FROM ${SEEN}))
       ON CONFLICT (rule) DO UPDATE SET request = excluded.request, fits = excluded.fits, rank = excluded.rank,
         served_until = excluded.served_until
       RETURNING id, seen_after::text`,
      [
        batch,
        `rule:${name}`,
        toJsonb(request),
        name,
        outcome === 'fit',
        RANKS[priority],
        servedUntil?.toISOString() ?? 'epoch',
      ],
    );
    return { batch: row!.id, seenAfter: Number(row!.seen_after) };
  }

  /** The series of rules that are no longer in the file wait. */
  async suspendOthers(names: readonly string[]): Promise<void> {
    await this.#database.query(
      `UPDATE ${BATCH} SET served_until = 'epoch' WHERE rule IS NOT NULL AND rule <> ALL ($1::text[]) AND served_until > now()`,
      [names],
    );
  }

  /** What is known of these series, by their keys (study, space, series). */
  async known(series: readonly SeriesReference[]): Promise<Map<string, Known>> {
    const rows = await this.#database.query<{
      series: string;
      is_old: boolean;
      sequence: string;
      header: HeaderFacts | null;
    }>(`SELECT series, is_old, sequence::text, header FROM ${SEEN} WHERE series = ANY ($1::text[])`, [
      series.flatMap((one) => this.#names(one)),
    ]);
    const found = new Map(rows.map((row) => [row.series, row]));
    const known = new Map<string, Known>();
    for (const one of series) {
      const name = this.#names(one).find((name) => found.has(name));
      if (name === undefined) continue;
      const { is_old: isOld, sequence, header } = found.get(name)!;
      known.set(keyOf(one), { isOld, sequence: Number(sequence), header: header ?? {} });
    }
    return known;
  }

  /** @param isOld the series were in the archive before the first rule */
  async addKnown(series: readonly SeriesReference[], isOld: boolean): Promise<void> {
    await this.#database.query(
      `INSERT INTO ${SEEN} (series, is_old) SELECT unnest($1::text[]), $2 ON CONFLICT DO NOTHING`,
      [series.map((one) => this.#names(one)[0]), isOld],
    );
  }

  async keepHeader(series: SeriesReference, header: HeaderFacts): Promise<void> {
    await this.#database.query(
      `UPDATE ${SEEN} SET header = coalesce(header, '{}') || $2::jsonb WHERE series = ANY ($1::text[])`,
      [this.#names(series), toJsonb(header)],
    );
  }

  /** The series among these that the rule has taken up, by their keys (study, space, series). */
  async lines(batch: string, series: readonly string[]): Promise<Map<string, Line>> {
    const rows = await this.#database.query<{ key: string; instances: number; is_open: boolean }>(
      `SELECT study || ' ' || series AS key, min(instances) AS instances, bool_or(${OPEN}) AS is_open
       FROM ${SERIES} WHERE batch = $1 AND series = ANY ($2::text[]) AND instances IS NOT NULL GROUP BY 1`,
      [batch, series],
    );
    return new Map(rows.map(({ key, instances, is_open }) => [key, { instances, isOpen: is_open }]));
  }

  /** @param holds why some of them are held back, by their keys @returns how many of them were new to the rule */
  async takeUp(
    batch: string,
    arrivals: readonly Arrival[],
    holds: ReadonlyMap<string, Hold> = new Map(),
  ): Promise<number> {
    const rows = await this.#database.query(
      `INSERT INTO ${SERIES} (batch, position, study, series, instances, added_at, waiting)
       SELECT $1, (SELECT coalesce(max(position), 0) FROM ${SERIES} WHERE batch = $1) + line.number, line.study, line.series,
         line.instances, now(), line.waiting::jsonb
       FROM ROWS FROM (unnest($2::text[]), unnest($3::text[]), unnest($4::integer[]), unnest($5::text[])) WITH ORDINALITY
         AS line (study, series, instances, waiting, number)
       ON CONFLICT DO NOTHING RETURNING position`,
      [
        batch,
        arrivals.map(({ studyInstanceUid }) => studyInstanceUid),
        arrivals.map(({ seriesInstanceUid }) => seriesInstanceUid),
        arrivals.map(({ instances = -1 }) => instances),
        arrivals.map((arrival) => {
          const hold = holds.get(keyOf(arrival));
          return hold ? toJsonb(hold) : null;
        }),
      ],
    );
    return rows.length;
  }

  /** Series that the rule has taken up, have no job yet and are not held back: by their UIDs, after another one. */
  async inLine(
    batch: string,
    limit: number,
    { studyInstanceUid, seriesInstanceUid }: SeriesReference,
  ): Promise<SeriesReference[]> {
    return this.#database.query(
      `SELECT study AS "studyInstanceUid", series AS "seriesInstanceUid" FROM ${SERIES}
       WHERE batch = $1 AND ${OPEN} AND NOT coalesce(${HELD}, false) AND (study, series) > ($2::text, $3::text)
       GROUP BY 1, 2 ORDER BY 1, 2 LIMIT $4`,
      [batch, studyInstanceUid, seriesInstanceUid, limit],
    );
  }

  /** Holds such a series back. */
  async hold(
    batch: string,
    { studyInstanceUid, seriesInstanceUid }: SeriesReference,
    hold: Hold,
  ): Promise<void> {
    await this.#database.query(
      `UPDATE ${SERIES} SET waiting = $4::jsonb WHERE batch = $1 AND study = $2 AND series = $3 AND ${OPEN}`,
      [batch, studyInstanceUid, seriesInstanceUid, toJsonb(hold)],
    );
  }

  /** Series of these scanners are no longer held back; their wait begins now. @param scanners keys; undefined: all */
  async letGo(batch: string, scanners: readonly string[] | undefined): Promise<void> {
    await this.#database.query(
      `UPDATE ${SERIES} SET waiting = NULL, next_try = 'epoch', added_at = now()
       WHERE batch = $1 AND ${OPEN} AND ${HELD} AND ($2::text[] IS NULL OR waiting->>'scanner' = ANY ($2::text[]))`,
      [batch, scanners ?? null],
    );
  }

  /** The series has gained or lost instances since it was dealt with: it is dealt with again, as one series. */
  async takeUpAgain(
    batch: string,
    { studyInstanceUid, seriesInstanceUid, instances = -1 }: Arrival,
  ): Promise<void> {
    await this.#again('SELECT $2::text, $3::text', batch, [studyInstanceUid, seriesInstanceUid], instances);
  }

  /** @returns how many series get another job because something changed under their last one */
  async takeUpOvertaken(batch: string): Promise<number> {
    const overtaken = `SELECT o.study, o.series FROM ${JOB} j JOIN ${SERIES} o ON o.job = j.id
      WHERE o.batch = $1 AND j.state = 'FAILED' AND j.error->>'code' = ANY ($2::text[])`;
    return this.#again(overtaken, batch, [OVERTAKEN]);
  }

  /** Another attempt at what was refused, failed or was cancelled. @returns the number of series */
  async retry(rule: string): Promise<number> {
    const [found] = await this.#database.query<{ id: string }>(`SELECT id FROM ${BATCH} WHERE rule = $1`, [
      rule,
    ]);
    const failed = `SELECT l.study, l.series FROM ${LINES}
      WHERE l.batch = $1 AND (l.refusal->>'state' = 'REFUSED' OR j.state IN ('FAILED', 'CANCELED'))`;
    return found ? this.#again(failed, found.id, []) : 0;
  }

  /**
   * The slides of a series become one line again; those that have a result get the same one.
   * @param which query for study and series, with the batch as $1; those in work are left out
   */
  async #again(
    which: string,
    batch: string,
    values: readonly unknown[],
    instances: number | null = null,
  ): Promise<number> {
    const rows = await this.#database.query(
      `WITH chosen AS (
         SELECT w.study, w.series FROM (${which}) AS w (study, series)
         WHERE NOT EXISTS (SELECT FROM ${SERIES} WHERE batch = $1 AND study = w.study AND series = w.series AND ${OPEN})
         GROUP BY 1, 2),
       gone AS (
         DELETE FROM ${SERIES} l USING chosen c
         WHERE l.batch = $1 AND l.study = c.study AND l.series = c.series AND l.part > 0)
       UPDATE ${SERIES} l SET job = NULL, refusal = NULL, fitted_at = NULL, slide = NULL, seen = NULL, waiting = NULL,
         attempts = 0, waiting_since = NULL, next_try = 'epoch', added_at = now(),
         instances = coalesce($${values.length + 2}::integer, l.instances)
       FROM chosen c WHERE l.batch = $1 AND l.study = c.study AND l.series = c.series AND l.part = 0 RETURNING l.position`,
      [batch, ...values, instances],
    );
    return rows.length;
  }

  async announce(series: readonly { study: string; series: string }[]): Promise<void> {
    await this.#database.query(
      `INSERT INTO ${ANNOUNCED} (study, series, announced_at)
       SELECT line.study, line.series, now() FROM ROWS FROM (unnest($1::text[]), unnest($2::text[])) AS line (study, series)
       ON CONFLICT (study, series) DO UPDATE SET announced_at = excluded.announced_at`,
      [series.map(({ study }) => study), series.map((one) => one.series)],
    );
  }

  async countAnnounced(): Promise<number> {
    const [row] = await this.#database.query<{ n: number }>(
      `SELECT count(*)::integer AS n FROM ${ANNOUNCED}`,
    );
    return row!.n;
  }

  /**
   * Those after another one, by their UIDs: an order in which each has its turn. An empty series stands for the whole
   * study.
   */
  announced(
    limit: number,
    after: { readonly study: string; readonly series: string },
  ): Promise<{ study: string; series: string; announced_at: Date }[]> {
    return this.#database.query(
      `SELECT study, series, announced_at FROM ${ANNOUNCED} WHERE (study, series) > ($2::text, $3::text)
       ORDER BY study, series LIMIT $1`,
      [limit, after.study, after.series],
    );
  }

  /** @param until announcements since then stay: they may mean something newer */
  async forgetAnnounced(study: string, series: string, until: Date): Promise<void> {
    await this.#database.query(
      `DELETE FROM ${ANNOUNCED} WHERE study = $1 AND series = $2 AND date_trunc('milliseconds', announced_at) <= $3`,
      [study, series, until],
    );
  }

  async status(): Promise<RuleStatus[]> {
    const rows = await this.#database.query<{
      rule: string;
      created_at: Date;
      is_served: boolean;
      counts: Record<string, number>;
      lag: number | null;
      held: Record<string, number>;
    }>(
      `SELECT b.rule, b.created_at, b.served_until > now() AS is_served,
         (SELECT coalesce(jsonb_object_agg(c.state, c.n), '{}') FROM (
           SELECT ${STATE} AS state, count(*)::integer AS n FROM ${LINES} WHERE l.batch = b.id GROUP BY 1) c) AS counts,
         (SELECT extract(epoch FROM now() - min(added_at))::float8 FROM ${SERIES}
           WHERE batch = b.id AND ${OPEN} AND NOT coalesce(${HELD}, false)) AS lag,
         (SELECT coalesce(jsonb_object_agg(h.name, h.n), '{}') FROM (
           SELECT waiting->>'name' AS name, count(*)::integer AS n FROM ${SERIES}
           WHERE batch = b.id AND ${OPEN} AND ${HELD} GROUP BY 1 ORDER BY 2 DESC LIMIT ${MAX_HELD_SCANNERS}) h) AS held
       FROM ${BATCH} b WHERE b.rule IS NOT NULL`,
    );
    return rows.map(({ rule, created_at, is_served, counts, lag, held }) => ({
      rule,
      createdAt: created_at,
      isServed: is_served,
      counts,
      // A clock that was put back must not make it negative.
      lagSeconds: Math.max(0, Number(lag ?? 0)),
      held,
    }));
  }

  /** In the order in which they were taken up. */
  async page(
    rule: string,
    { state, after, limit }: LineFilter,
  ): Promise<{ readonly series: BatchSeries[]; readonly next: number | undefined }> {
    const rows = await this.#database.query<LineRow & { position: number }>(
      `SELECT l.position, ${LINE_COLUMNS} FROM ${LINES}
       WHERE l.batch = (SELECT id FROM ${BATCH} WHERE rule = $1) AND l.position IN (
         SELECT l.position FROM ${LINES} WHERE l.batch = (SELECT id FROM ${BATCH} WHERE rule = $1)
           AND l.position > $2 AND ($3::text IS NULL OR ${STATE} = $3) GROUP BY 1 ORDER BY 1 LIMIT $4)
         AND ($3::text IS NULL OR ${STATE} = $3)
       ORDER BY l.position, l.part`,
      [rule, after, state ?? null, limit],
    );
    const positions = new Set(rows.map(({ position }) => position));
    return { series: rows.map(toLine), next: positions.size < limit ? undefined : rows.at(-1)!.position };
  }
}
