/**
 * What became of slides, for people: those first that a person should look at. Every query has a limit, and
 * reads only as far back as its caller asks.
 */
import type { BatchSeries, NormalizationResult } from '../../../core/src/contract/index.ts';
import type { Note } from '../../../core/src/notes.ts';
import { BATCH, SERIES, STATE } from './batch-records.ts';
import type { Database } from './database.ts';
import { codedNotes, JOB } from './job-records.ts';

/** Why a person should look at a slide, the most pressing first; the last: for no reason. */
export const REASONS = [
  'failed',
  'refused',
  'not H&E',
  'perhaps not H&E',
  'further from the template than before',
  'has notes',
  'waits for a fault to pass',
  '',
] as const;
export type Reason = (typeof REASONS)[number];

/** Those that the operator's page lists. */
const PRESSING = REASONS.indexOf('perhaps not H&E');

/** A slide with its last outcome. */
export interface Outcome {
  readonly reason: Reason;
  /** ISO 8601: when it ended, or was last looked at. Null if it was not yet. */
  readonly at: string | null;
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  /** SOP Instance UID of the base level, if the series holds several slides. */
  readonly slide: string | null;
  /** Archives of the slide and of the result; null: the default one. */
  readonly source: string | null;
  readonly destination: string | null;
  readonly template: string;
  readonly state: BatchSeries['state'];
  readonly code: string | null;
  readonly message: string | null;
  readonly outOfDistribution: NormalizationResult['outOfDistribution'] | null;
  readonly notes: readonly Note[];
  readonly derivedSeriesInstanceUid: string | null;
  /** If the colours were compared with the template's. */
  readonly colourDistance: NonNullable<NormalizationResult['colourDistance']> | null;
  /** SOP Instance UIDs of the smallest image of the result, and of the slide's image that it corresponds to. */
  readonly picture: { readonly before: string | null; readonly after: string } | null;
  readonly job: string | null;
  /** The batch, or the batch of the rule, and the line in it; for a slide without a job. */
  readonly line: { readonly batch: string; readonly position: number; readonly part: number } | null;
}

export interface Throughput {
  readonly completed: number;
  readonly failed: number;
  readonly megapixels: number;
  /** Of work, over all jobs. */
  readonly seconds: number;
}

/** A batch, or what was done or refused within a time. */
export type ReportScope = { readonly batch: string } | { readonly since: Date; readonly until: Date };

export interface ReportSummary {
  readonly slides: number;
  /** The most pressing first. */
  readonly byReason: readonly { readonly reason: Reason; readonly slides: number }[];
  /** Over the slides whose colours were compared. */
  readonly meanDistance: { readonly before: number | null; readonly after: number | null };
}

interface Row {
  readonly reason: number;
  readonly at: Date | null;
  readonly study: string;
  readonly series: string;
  readonly slide: string | null;
  readonly source: string | null;
  readonly destination: string | null;
  readonly template: string;
  readonly state: Outcome['state'];
  readonly code: string | null;
  readonly message: string | null;
  readonly ood: Outcome['outOfDistribution'];
  readonly notes: readonly (Note | string)[] | null;
  readonly derived: string | null;
  readonly colour: Outcome['colourDistance'];
  readonly picture: Outcome['picture'];
  readonly job: string | null;
  readonly batch: string | null;
  readonly position: number | null;
  readonly part: number | null;
}

/** A job `j` that was not followed by another one for the same, unless that was cancelled. */
const IS_LAST = `NOT EXISTS (SELECT FROM ${JOB} n WHERE n.series = j.series AND n.sequence > j.sequence
  AND n.request->>'template' = j.request->>'template' AND n.request->>'slide' IS NOT DISTINCT FROM j.request->>'slide'
  AND n.request->>'source' IS NOT DISTINCT FROM j.request->>'source'
  AND n.request->>'destination' IS NOT DISTINCT FROM j.request->>'destination' AND n.state <> 'CANCELED')`;

const VERDICT = `j.result->'outOfDistribution'->>'verdict'`;

/** As in the index job_to_look_at. */
const IS_PRESSING = `(j.state = 'FAILED' OR (j.state = 'COMPLETED' AND ${VERDICT} IN ('unsure', 'other')))`;

const JOB_COLUMNS = `j.error, j.waiting AS job_waiting, j.result, j.id AS job, j.ended_at`;
const NO_JOB = `NULL::jsonb AS error, NULL::jsonb AS job_waiting, NULL::jsonb AS result, NULL::uuid AS job, NULL::timestamptz AS ended_at`;
const NO_LINE = `NULL::jsonb AS refusal, NULL::jsonb AS waiting, NULL::uuid AS batch, NULL::integer AS position, NULL::integer AS part`;
const LINE = `l.refusal, l.waiting, l.batch, l.position, l.part`;

/** Every line of batch $1 with its job, if it has one. */
const OF_BATCH = `
  SELECT l.study, l.series, l.slide, b.request->>'source' AS source, b.request->>'destination' AS destination, b.request->>'template' AS template, ${STATE} AS state, ${JOB_COLUMNS}, ${LINE},
    coalesce(j.ended_at, l.fitted_at, CASE WHEN l.next_try > 'epoch' THEN least(l.next_try, now()) END) AS at
  FROM ${SERIES} l JOIN ${BATCH} b ON b.id = l.batch LEFT JOIN ${JOB} j ON j.id = l.job WHERE l.batch = $1`;

/** Jobs that ended since $1. @param which what else is required of them */
const endedJobs = (which: string): string => `
  SELECT j.request->>'studyInstanceUid' AS study, j.series, j.request->>'slide' AS slide, j.request->>'source' AS source, j.request->>'destination' AS destination,
    j.request->>'template' AS template,
    j.state, ${JOB_COLUMNS}, ${NO_LINE}, j.ended_at AS at
  FROM ${JOB} j WHERE j.ended_at >= $1 AND ${which} AND ${IS_LAST}`;

/** Lines of batches and rules that were refused since $1. */
const REFUSED_LINES = `
  SELECT l.study, l.series, l.slide, b.request->>'source' AS source, b.request->>'destination' AS destination, b.request->>'template' AS template, 'REFUSED' AS state, ${NO_JOB}, ${LINE},
    least(l.next_try, now()) AS at
  FROM ${SERIES} l JOIN ${BATCH} b ON b.id = l.batch
  WHERE l.refusal->>'state' = 'REFUSED' AND l.refusal->>'code' <> 'CANCELLED' AND l.next_try >= $1`;

/** @param from SQL of the slides */
const judged = (from: string): string => `
  SELECT s.study, s.series, s.slide, s.source, s.destination, s.template, s.state, s.job, s.batch, s.position, s.part, s.at,
      coalesce(s.refusal, s.waiting, s.error, s.job_waiting)->>'code' AS code,
      coalesce(s.refusal, s.waiting, s.error, s.job_waiting)->>'message' AS message,
      s.result->'outOfDistribution' AS ood, s.result->'notes' AS notes, s.result->>'seriesInstanceUid' AS derived,
      s.result->'colourDistance' AS colour, (
        SELECT jsonb_build_object('before', i->>'source', 'after', i->>'sopInstanceUid')
        FROM jsonb_array_elements(s.result->'instances') i ORDER BY (i->>'bytes')::float8 LIMIT 1) AS picture,
      CASE
        WHEN coalesce(s.refusal, s.error)->>'code' = 'STAIN_NOT_HE' THEN ${REASONS.indexOf('not H&E')}
        WHEN s.state = 'FAILED' THEN ${REASONS.indexOf('failed')}
        WHEN s.state = 'REFUSED' AND s.refusal->>'code' <> 'CANCELLED' THEN ${REASONS.indexOf('refused')}
        WHEN s.result->'outOfDistribution'->>'verdict' = 'other' THEN ${REASONS.indexOf('not H&E')}
        WHEN s.result->'outOfDistribution'->>'verdict' = 'unsure' THEN ${REASONS.indexOf('perhaps not H&E')}
        WHEN (s.result->'colourDistance'->>'after')::float8 > (s.result->'colourDistance'->>'before')::float8
          THEN ${REASONS.indexOf('further from the template than before')}
        WHEN jsonb_array_length(s.result->'notes') > 0 THEN ${REASONS.indexOf('has notes')}
        WHEN coalesce(s.waiting, s.job_waiting) IS NOT NULL THEN ${REASONS.indexOf('waits for a fault to pass')}
        ELSE ${REASONS.indexOf('')} END AS reason
    FROM (${from}) s`;

/** @param which of them, by `reason` */
const outcomes = (from: string, which: string, limit: string): string =>
  `SELECT * FROM (${judged(from)}) o WHERE ${which} ORDER BY reason, at DESC NULLS LAST, series, slide LIMIT ${limit}`;

const summaryOf = (from: string): string =>
  `SELECT reason, count(*)::integer AS slides, count(colour) ::integer AS compared,
     sum((colour->>'before')::float8) AS before, sum((colour->>'after')::float8) AS after, count(colour->>'after')::integer AS mapped
   FROM (${judged(from)}) o GROUP BY reason ORDER BY reason`;

function slidesOf(scope: ReportScope): { from: string; values: readonly unknown[] } {
  if ('batch' in scope) return { from: OF_BATCH, values: [scope.batch] };
  const isDone = `j.state IN ('COMPLETED', 'FAILED') AND j.ended_at < $2`;
  return {
    from: `${endedJobs(isDone)} UNION ALL ${REFUSED_LINES} AND l.next_try < $2`,
    values: [scope.since, scope.until],
  };
}

export class OutcomeRecords {
  readonly #database: Pick<Database, 'query'>;

  constructor(database: Pick<Database, 'query'>) {
    this.#database = database;
  }

  /** Slides that failed, were refused, or may not be H&E, since then. */
  async toLookAt(since: Date, limit: number): Promise<Outcome[]> {
    const from = `${endedJobs(IS_PRESSING)} UNION ALL ${REFUSED_LINES}`;
    return this.#outcomes(outcomes(from, `reason <= ${PRESSING}`, '$2'), [since, limit]);
  }

  /** Slides of a report. @param offset how many to skip */
  async of(scope: ReportScope, limit: number, offset = 0): Promise<Outcome[]> {
    const { from, values } = slidesOf(scope);
    const range = `$${values.length + 1} OFFSET $${values.length + 2}`;
    return this.#outcomes(outcomes(from, 'true', range), [...values, limit, offset]);
  }

  async summary(scope: ReportScope): Promise<ReportSummary> {
    const { from, values } = slidesOf(scope);
    const rows = await this.#database.query<{
      reason: number;
      slides: number;
      compared: number;
      mapped: number;
      before: number | null;
      after: number | null;
    }>(summaryOf(from), values);
    const sum = (value: (row: (typeof rows)[number]) => number | null): number =>
      rows.reduce((total, row) => total + (value(row) ?? 0), 0);
    const mean = (total: number, count: number): number | null => (count === 0 ? null : total / count);
    return {
      slides: sum(({ slides }) => slides),
      byReason: rows.map(({ reason, slides }) => ({ reason: REASONS[reason]!, slides })),
      meanDistance: {
        before: mean(
          sum(({ before }) => before),
          sum(({ compared }) => compared),
        ),
        after: mean(
          sum(({ after }) => after),
          sum(({ mapped }) => mapped),
        ),
      },
    };
  }

  /** Of the last hour and of the last day. */
  async throughput(): Promise<{ readonly hour: Throughput; readonly day: Throughput }> {
    const columns = (name: string, within: string): string =>
      `count(*) FILTER (WHERE state = 'COMPLETED' AND ${within})::integer AS ${name}_completed,
       count(*) FILTER (WHERE state = 'FAILED' AND ${within})::integer AS ${name}_failed,
       coalesce(sum((result->>'megapixels')::float8) FILTER (WHERE ${within}), 0) AS ${name}_megapixels,
       coalesce(sum((result->>'seconds')::float8) FILTER (WHERE ${within}), 0) AS ${name}_seconds`;
    const [row] = await this.#database.query<Record<string, number>>(
      `SELECT ${columns('hour', `ended_at > now() - interval '1 hour'`)}, ${columns('day', 'true')}
       FROM ${JOB} WHERE state IN ('COMPLETED', 'FAILED') AND ended_at > now() - interval '1 day'`,
      [],
    );
    const of = (name: string): Throughput => ({
      completed: row![`${name}_completed`]!,
      failed: row![`${name}_failed`]!,
      megapixels: row![`${name}_megapixels`]!,
      seconds: row![`${name}_seconds`]!,
    });
    return { hour: of('hour'), day: of('day') };
  }

  async #outcomes(sql: string, values: readonly unknown[]): Promise<Outcome[]> {
    return (await this.#database.query<Row>(sql, values)).map(toOutcome);
  }
}

function toOutcome(row: Row): Outcome {
  const {
    study,
    series,
    slide,
    source,
    destination,
    template,
    state,
    code,
    message,
    derived,
    job,
    batch,
    position,
    part,
  } = row;
  return {
    reason: REASONS[row.reason]!,
    at: row.at?.toISOString() ?? null,
    studyInstanceUid: study,
    seriesInstanceUid: series,
    slide,
    source,
    destination,
    template,
    state,
    code,
    message,
    outOfDistribution: row.ood,
    notes: codedNotes(row.notes ?? []),
    derivedSeriesInstanceUid: derived,
    colourDistance: row.colour,
    picture: row.picture,
    job,
    line: batch === null ? null : { batch, position: position!, part: part! },
  };
}
