/** Request many normalisations at once, and read the outcome of each. */

import type { Request, Response } from 'express';
import { z } from 'zod';
import { withDeadline } from '../../../core/src/abortable.ts';
import {
  type ArchiveNames,
  type BatchReport,
  batch,
  batchCreate,
  batchList,
  type batchQuery,
  batchReport,
} from '../../../core/src/contract/index.ts';
import { StainError } from '../../../core/src/errors.ts';
import type { Principal } from '../auth/principal.ts';
import { hiding } from '../auth/refusal.ts';
import type { Config } from '../config.ts';
import { isListedAsOurs } from '../derived/equipment.ts';
import { type DicomJson, textOf } from '../dicom/json-model.ts';
import type { SearchOptions } from '../dicomweb/client.ts';
import type { NewLine } from '../jobs/batch-records.ts';
import { type BatchService, skipped } from '../jobs/batch-service.ts';
import { Turns } from '../sharing/turns.ts';
import type { TemplateService } from '../templates/template-service.ts';
import { leaving } from '../web/leaving.ts';
import { setSubject } from './audited.ts';
import { principalOf } from './authenticate.ts';
import { csvOf } from './batch-csv.ts';
import { parseBody } from './json-body.ts';
import { parseInput } from './problem.ts';
import { requesterOf } from './rate-limit.ts';
import { json, type Route } from './route.ts';

const TAGS = ['Batches'];
/** Time limit for the search of a batch. */
const SEARCH_DEADLINE = {
  seconds: 60,
  late: () =>
    new StainError('ARCHIVE_TIMEOUT', 'The archive did not finish the search in time; narrow the search.'),
};
/**
 * A search can find thousands of series, and a report lists as many. Only a few run at once, one per user, because
 * repeated requests would take database and memory from everybody else. Running a user's searches one after the other
 * also enforces the limit on batches.
 */
const SEARCHES = { atOnce: 8, atOnceOfOne: 1, maxOfOne: 8 } as const;
/** How many studies of a batch are searched for at the same time. */
const SEARCHES_OF_ONE_BATCH = 4;
const REPORTS = { atOnce: 3, atOnceOfOne: 1, maxOfOne: 8 } as const;
type BatchQuery = z.infer<typeof batchQuery>;
const idParameter = z.object({ id: z.uuid() });

export interface BatchRoutesOptions {
  readonly config: Pick<Config, 'output' | 'server' | 'limits'>;
  readonly batches: BatchService;
  /** @throws MODEL_NOT_FOUND */
  model(name: string): Promise<unknown>;
  readonly templates: Pick<TemplateService, 'version'>;
  /**
   * Whole-slide series that the archive shows this user, and who made them; returns more than `maxResults` if there are
   * more.
   */
  searchSeries(
    principal: Principal,
    query: BatchQuery,
    signal: AbortSignal,
    options: SearchOptions & { readonly source?: string | undefined },
  ): Promise<DicomJson[]>;
  /** @throws ARCHIVE_NOT_FOUND, ARCHIVE_READ_ONLY */
  requireArchives(names: ArchiveNames): void;
}

export function batchRoutes({
  config,
  batches,
  model: findModel,
  templates,
  searchSeries,
  requireArchives,
}: BatchRoutesOptions): Route[] {
  const root = `${config.server.basePath}/api/batches`;
  /** Users see their own batches, administrators all. */
  const visible = async (response: Response, id: string): Promise<string> => {
    const principal = principalOf(response);
    const { requestedBy } = await batches.get(id);
    if (requestedBy === principal.id || principal.scopes.has('administer')) return id;
    throw hiding(new StainError('BATCH_NOT_FOUND', `There is no batch ${id}.`));
  };
  const one = { requestParams: { path: idParameter } };
  const searches = new Turns(SEARCHES);
  const reports = new Turns(REPORTS);
  const readInTurn = <T>(request: Request, response: Response, read: () => Promise<T>): Promise<T> =>
    reports.take(requesterOf(request, response), leaving(response), read);
  const reportOf = (request: Request, response: Response): Promise<BatchReport> => {
    const { id } = parseInput(idParameter, request.params);
    return readInTurn(request, response, async () => batches.report(await visible(response, id)));
  };

  return [
    {
      method: 'post',
      path: '/api/batches',
      scope: 'normalize',
      audit: 'batch-requested',
      problems: [
        'REQUEST_INVALID',
        'ARCHIVE_NOT_FOUND',
        'ARCHIVE_READ_ONLY',
        'MODEL_NOT_FOUND',
        'TEMPLATE_NOT_FOUND',
        'TEMPLATE_OUTDATED',
        'SERIES_NOT_FOUND',
        'BATCH_TOO_LARGE',
        'QUEUE_FULL',
        'ARCHIVE_UNREACHABLE',
        'ARCHIVE_UNTRUSTED',
        'ARCHIVE_TLS_FAILED',
        'ARCHIVE_TIMEOUT',
      ],
      operation: {
        tags: TAGS,
        summary: 'Normalise every whole-slide series that a search finds or that some studies contain',
        requestBody: { required: true, content: { 'application/json': { schema: batchCreate } } },
        responses: { 202: json('The batch', batch) },
      },
      async handler(request, response) {
        const { query, studies, template, model, transfer, encoding, quality, anyStain, ...names } =
          parseBody(batchCreate, request);
        requireArchives(names);
        const { source } = names;
        // Otherwise each of its series would be refused for this reason, one after the other.
        await findModel(model);
        const { sha256: templateSha256 } = await templates.version(template);
        const { seriesPerBatch } = config.limits;
        const left = leaving(response);
        const made = await searches.take(requesterOf(request, response), left, async () => {
          let leftOut = 0;
          const options: SearchOptions & { source: string | undefined } = {
            source,
            maxResults: seriesPerBatch,
            onLeftOut(count) {
              leftOut += count;
              // RFC 9111 section 5.5.
              response.set(
                'Warning',
                `299 stain-normalization "${leftOut} series in the archive have no valid UID and were skipped"`,
              );
            },
          };
          const queries = studies
            ? [...new Set(studies)].map((StudyInstanceUID) => ({ StudyInstanceUID }))
            : [query ?? {}];
          const series = await withDeadline(SEARCH_DEADLINE, left, (signal) =>
            linesOf(queries, seriesPerBatch, (one) =>
              searchSeries(principalOf(response), one, signal, options),
            ),
          );
          if (series.length === 0)
            throw new StainError(
              'SERIES_NOT_FOUND',
              'No whole-slide series that you may see in the archive matches the search.',
            );
          if (series.length > seriesPerBatch)
            throw new StainError(
              'BATCH_TOO_LARGE',
              `The search finds more than ${seriesPerBatch} series, the limit of a batch.`,
              { data: { limit: seriesPerBatch } },
            );
          const wanted = {
            template,
            // Its series are submitted one after the other; all use the current content of the template.
            templateSha256,
            model,
            transfer,
            encoding: encoding ?? config.output.encoding,
            quality: quality ?? config.output.quality,
            ...(anyStain && { anyStain }),
            ...names,
          };
          return batches.create(principalOf(response).id, wanted, series);
        });
        setSubject(response, { batchId: made.id, template, archive: source });
        response.status(202).location(`${root}/${made.id}`).json(made);
      },
    },
    {
      method: 'get',
      path: '/api/batches',
      scope: 'read',
      problems: ['QUEUE_FULL'],
      operation: {
        tags: TAGS,
        summary: 'Your batches, newest first; administrators get all batches',
        responses: { 200: json('The hundred newest batches', batchList) },
      },
      async handler(request, response) {
        const { id, scopes } = principalOf(response);
        const wanted = scopes.has('administer') ? undefined : id;
        response.json({ batches: await readInTurn(request, response, () => batches.list(wanted)) });
      },
    },
    {
      method: 'get',
      path: '/api/batches/:id',
      scope: 'read',
      problems: ['REQUEST_INVALID', 'BATCH_NOT_FOUND', 'QUEUE_FULL'],
      operation: {
        tags: TAGS,
        summary: 'The report of a batch: every series with its job, state and error',
        ...one,
        responses: { 200: json('The report', batchReport) },
      },
      async handler(request, response) {
        response.json(await reportOf(request, response));
      },
    },
    {
      method: 'get',
      path: '/api/batches/:id/report.csv',
      scope: 'read',
      problems: ['REQUEST_INVALID', 'BATCH_NOT_FOUND', 'QUEUE_FULL'],
      operation: {
        tags: TAGS,
        summary: 'The report of a batch as CSV',
        ...one,
        responses: {
          200: { description: 'CSV (RFC 4180)', content: { 'text/csv': { schema: z.string() } } },
        },
      },
      async handler(request, response) {
        const { id, series } = await reportOf(request, response);
        response.type('text/csv').attachment(`batch-${id}.csv`).send(csvOf(series));
      },
    },
    {
      method: 'post',
      path: '/api/batches/:id/cancel',
      scope: 'normalize',
      audit: 'batch-cancelled',
      problems: ['REQUEST_INVALID', 'BATCH_NOT_FOUND'],
      operation: {
        tags: TAGS,
        summary: 'Cancel the unfinished part of a batch',
        ...one,
        responses: { 202: json('The batch', batch) },
      },
      async handler(request, response) {
        const id = await visible(response, parseInput(idParameter, request.params).id);
        setSubject(response, { batchId: id });
        response.status(202).json(await batches.cancel(id));
      },
    },
  ];
}

/**
 * Each series once; results of this product are skipped if the archive identifies them. Once there are more than `limit`,
 * nothing else is searched for.
 */
async function linesOf(
  queries: readonly BatchQuery[],
  limit: number,
  search: (query: BatchQuery) => Promise<readonly DicomJson[]>,
): Promise<NewLine[]> {
  const lines = new Map<string, NewLine>();
  for (let at = 0; at < queries.length && lines.size <= limit; at += SEARCHES_OF_ONE_BATCH) {
    const some = queries.slice(at, at + SEARCHES_OF_ONE_BATCH);
    const found = await Promise.all(some.map(async (query) => ({ query, items: await search(query) })));
    for (const { query, items } of found)
      for (const item of items) {
        const line = {
          studyInstanceUid: textOf(item, '0020000D') ?? query.StudyInstanceUID ?? '',
          seriesInstanceUid: textOf(item, '0020000E') ?? '',
          refusal: isListedAsOurs(item) ? skipped('The series was made by this product.') : undefined,
        };
        lines.set(`${line.studyInstanceUid} ${line.seriesInstanceUid}`, line);
      }
  }
  return [...lines.values()];
}
