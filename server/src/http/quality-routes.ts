/** The quality report: what became of every slide of a batch or of some days, for administrators. */
import type { Request, Response } from 'express';
import { z } from 'zod';
import { StainError } from '../../../core/src/errors.ts';
import { write } from '../archive/multipart-response.ts';
import type { BatchService } from '../jobs/batch-service.ts';
import type { Database } from '../jobs/database.ts';
import { type Outcome, OutcomeRecords, type ReportScope } from '../jobs/outcome-records.ts';
import { Turns } from '../sharing/turns.ts';
import { leaving } from '../web/leaving.ts';
import { setSubject } from './audited.ts';
import { principalOf } from './authenticate.ts';
import { type SearchInstances, withIdentifiers } from './identifiers.ts';
import { PAGE_POLICY } from './page.ts';
import { parseInput } from './problem.ts';
import { QUALITY_HEADER, qualityLine } from './quality-csv.ts';
import { type QualityRow, qualityPage } from './quality-page.ts';
import { requesterOf } from './rate-limit.ts';
import type { Route } from './route.ts';

const TAGS = ['Operations'];
const PAGE = '/api/quality.html';
const PAGE_ROWS = 100;
/** More than `limits.seriesPerBatch`, because a series may hold several slides. */
const MAX_ROWS = 20_000;
const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 7;
/** More would hold up the database for seconds. */
const MAX_DAYS = 92;
/** An export holds all rows, and asks the archive for each. */
const EXPORTS = { atOnce: 2, atOnceOfOne: 1, maxOfOne: 4 } as const;

const scopeQuery = z.strictObject({
  batch: z.uuid().optional().meta({ description: 'Every slide of this batch; in place of days' }),
  from: z.iso.date().optional().meta({ description: 'First day (UTC); default: six days before the last' }),
  to: z.iso.date().optional().meta({ description: 'Last day (UTC); default: today' }),
});
const isOneScope = ({ batch, from, to }: z.infer<typeof scopeQuery>): boolean =>
  batch === undefined || (from === undefined && to === undefined);
const ONE_SCOPE = { message: 'give either batch or days' };
const csvQuery = scopeQuery.refine(isOneScope, ONE_SCOPE);
const pageQuery = scopeQuery
  .extend({
    page: z.coerce
      .number()
      .int()
      .min(1)
      .max(MAX_ROWS / PAGE_ROWS)
      .default(1),
  })
  .refine(isOneScope, ONE_SCOPE);

export interface QualityRoutesOptions {
  readonly basePath: string;
  readonly jobs: { readonly database: Pick<Database, 'query'> };
  readonly batches: Pick<BatchService, 'get'>;
  readonly searchInstances: SearchInstances;
  readonly hasViewer: boolean;
}

export function qualityRoutes(options: QualityRoutesOptions): Route[] {
  const { basePath, batches, searchInstances, hasViewer } = options;
  const outcomes = new OutcomeRecords(options.jobs.database);
  const exports = new Turns(EXPORTS);

  const inTurn = <T>(
    request: Request,
    response: Response,
    work: (left: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const left = leaving(response);
    return exports.take(requesterOf(request, response), left, () => work(left));
  };
  /** @throws BATCH_NOT_FOUND, REQUEST_INVALID */
  const scopeOf = async (query: z.infer<typeof scopeQuery>, response: Response) => {
    const { batch } = query;
    if (batch !== undefined) {
      await batches.get(batch);
      setSubject(response, { batchId: batch });
      return { scope: { batch }, name: `batch-${batch}`, title: `Batch ${batch}` };
    }
    const { from, to } = daysOf(query);
    const until = new Date(Date.parse(to) + DAY_MS);
    const scope: ReportScope = { since: new Date(from), until };
    return { scope, name: `${from}-to-${to}`, title: from === to ? from : `${from} to ${to}` };
  };
  const identified = (slides: readonly Outcome[], response: Response, left: AbortSignal) =>
    withIdentifiers(slides, searchInstances, principalOf(response), left);

  return [
    {
      method: 'get',
      path: '/api/quality.csv',
      scope: 'administer',
      page: PAGE,
      audit: 'quality-exported',
      problems: ['REQUEST_INVALID', 'BATCH_NOT_FOUND', 'BATCH_TOO_LARGE', 'QUEUE_FULL'],
      operation: {
        tags: TAGS,
        summary: 'The quality report as CSV: what needs a look first, with accession number and container',
        requestParams: { query: scopeQuery },
        responses: {
          200: { description: 'CSV (RFC 4180)', content: { 'text/csv': { schema: z.string() } } },
        },
      },
      async handler(request, response) {
        const { scope, name } = await scopeOf(parseInput(csvQuery, request.query), response);
        const root = `${request.protocol}://${request.host}${basePath}`;
        await inTurn(request, response, async (left) => {
          const slides = await outcomes.of(scope, MAX_ROWS + 1);
          if (slides.length > MAX_ROWS)
            throw new StainError(
              'BATCH_TOO_LARGE',
              `The report has more than ${MAX_ROWS} slides; ask for fewer days.`,
              { data: { limit: MAX_ROWS } },
            );
          response.attachment(`quality-${name}.csv`).type('text/csv');
          await write(response, Buffer.from(QUALITY_HEADER));
          for await (const { slide, identifiers } of identified(slides, response, left))
            await write(response, Buffer.from(qualityLine(slide, identifiers, root)));
          response.end();
        });
      },
    },
    {
      method: 'get',
      path: PAGE,
      scope: 'administer',
      page: PAGE,
      audit: 'quality-exported',
      problems: ['REQUEST_INVALID', 'BATCH_NOT_FOUND', 'QUEUE_FULL'],
      operation: {
        tags: TAGS,
        summary: 'The same as a page to print, a hundred slides at a time',
        requestParams: { query: pageQuery },
        responses: { 200: { description: 'A page', content: { 'text/html': { schema: z.string() } } } },
      },
      async handler(request, response) {
        const { page, ...query } = parseInput(pageQuery, request.query);
        const { scope, title } = await scopeOf(query, response);
        await inTurn(request, response, async (left) => {
          const begin = (page - 1) * PAGE_ROWS;
          const [summary, slides] = await Promise.all([
            outcomes.summary(scope),
            outcomes.of(scope, PAGE_ROWS, begin),
          ]);
          const rows: QualityRow[] = [];
          for await (const row of identified(slides, response, left)) rows.push(row);
          const wanted = 'batch' in scope ? { batch: scope.batch } : daysOf(query);
          const at = (path: string, more: Record<string, string> = {}): string =>
            `${basePath}/api/${path}?${new URLSearchParams({ ...wanted, ...more })}`;
          const report = { title, at: new Date().toISOString(), summary, rows, first: begin + 1 };
          const html = qualityPage(report, {
            basePath,
            hasViewer,
            csv: at('quality.csv'),
            previous: page > 1 ? at('quality.html', { page: String(page - 1) }) : undefined,
            next:
              begin + rows.length < Math.min(summary.slides, MAX_ROWS)
                ? at('quality.html', { page: String(page + 1) })
                : undefined,
          });
          response.set('Content-Security-Policy', PAGE_POLICY).type('html').send(html);
        });
      },
    },
  ];
}

/** Days as YYYY-MM-DD. @throws REQUEST_INVALID */
function daysOf({ from, to }: z.infer<typeof scopeQuery>): { from: string; to: string } {
  const last = to ?? new Date().toISOString().slice(0, 10);
  const first = from ?? new Date(Date.parse(last) - (DEFAULT_DAYS - 1) * DAY_MS).toISOString().slice(0, 10);
  if (first > last) throw new StainError('REQUEST_INVALID', 'The first day is after the last.');
  if (Date.parse(last) - Date.parse(first) >= MAX_DAYS * DAY_MS)
    throw new StainError('REQUEST_INVALID', `A report covers at most ${MAX_DAYS} days.`, {
      data: { limit: MAX_DAYS },
    });
  return { from: first, to: last };
}
