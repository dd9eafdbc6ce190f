/** Ask for many normalisations at once, and read how each went. */
import type { Request, Response } from 'express';
import { z } from 'zod';
import { withDeadline } from '../abortable.ts';
import type { Principal } from '../auth/principal.ts';
import { hiding } from '../auth/refusal.ts';
import type { Config } from '../config.ts';
import {
  type BatchReport,
  batch,
  batchCreate,
  batchList,
  type batchQuery,
  batchReport,
} from '../contract/index.ts';
import { DataSet } from '../dicom/dataset.ts';
import { isOurs } from '../dicom/equipment.ts';
import type { SearchOptions } from '../dicomweb/client.ts';
import { type DicomJson, textOf } from '../dicomweb/dicom-json.ts';
import { StainError, toStainError } from '../errors.ts';
import type { NewLine } from '../jobs/batch-records.ts';
import { type BatchService, skipped } from '../jobs/batch-service.ts';
import type { TemplateService } from '../jobs/template-service.ts';
import { leaving } from '../leaving.ts';
import { Turns } from '../turns.ts';
import { setSubject } from './audited.ts';
import { principalOf } from './authenticate.ts';
import { csvOf } from './batch-csv.ts';
import { parseInput } from './problem.ts';
import { requesterOf } from './rate-limit.ts';
import { json, type Route } from './route.ts';

const TAGS = ['Batches'];
/** Longest time for the search of a batch. */
const SEARCH_DEADLINE = {
  seconds: 60,
  late: () => new StainError('ARCHIVE_TIMEOUT', 'The archive did not end the search in time; narrow it.'),
};
/**
 * A search finds thousands of series, and a report tells of as many: of each few at once, one of each user, or whoever asks
 * again and again takes database and memory from everybody. A user's searches one after the other also keep the number of
 * batches.
 */
const SEARCHES = { atOnce: 8, atOnceOfOne: 1, mostOfOne: 8 } as const;
const REPORTS = { atOnce: 3, atOnceOfOne: 1, mostOfOne: 8 } as const;
const idParameter = z.object({ id: z.uuid() });

export interface BatchRoutesOptions {
  readonly config: Pick<Config, 'output' | 'server' | 'limits'>;
  readonly batches: BatchService;
  /** @throws MODEL_NOT_FOUND */
  model(name: string): Promise<unknown>;
  readonly templates: Pick<TemplateService, 'version'>;
  /** Whole-slide series that the archive shows this user, and who made them; more than `mostResults` where there are more. */
  searchSeries(
    principal: Principal,
    query: z.infer<typeof batchQuery>,
    signal: AbortSignal,
    options: SearchOptions,
  ): Promise<DicomJson[]>;
}

export function batchRoutes({
  config,
  batches,
  model: findModel,
  templates,
  searchSeries,
}: BatchRoutesOptions): Route[] {
  const root = `${config.server.basePath}/api/batches`;
  /** One's own, and all for administrators. */
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
        'MODEL_NOT_FOUND',
        'TEMPLATE_NOT_FOUND',
        'TEMPLATE_OUTDATED',
        'SERIES_NOT_FOUND',
        'BATCH_TOO_LARGE',
        'QUEUE_FULL',
        'ARCHIVE_UNREACHABLE',
        'ARCHIVE_TIMEOUT',
      ],
      operation: {
        tags: TAGS,
        summary: 'Normalise every whole-slide series that a search finds',
        requestBody: { required: true, content: { 'application/json': { schema: batchCreate } } },
        responses: { 202: json('The batch', batch) },
      },
      async handler(request, response) {
        const { query, template, model, transfer, encoding, quality, anyStain } = parseInput(
          batchCreate,
          request.body,
        );
        // Otherwise each of its series would be refused for it, one after the other.
        await findModel(model);
        const { sha256: templateSha256 } = await templates.version(template);
        const { seriesPerBatch } = config.limits;
        const left = leaving(response);
        const made = await searches.take(requesterOf(request, response), left, async () => {
          const found = await withDeadline(SEARCH_DEADLINE, left, (signal) =>
            searchSeries(principalOf(response), query, signal, {
              mostResults: seriesPerBatch,
              onLeftOut: (count) =>
                // RFC 9111 section 5.5.
                response.set(
                  'Warning',
                  `299 stain-normalization "${count} series of the archive have no valid UID and are left out"`,
                ),
            }),
          );
          const series = linesOf(found, query.StudyInstanceUID);
          if (series.length === 0)
            throw new StainError(
              'SERIES_NOT_FOUND',
              'The archive shows you no whole-slide series that matches.',
            );
          if (series.length > seriesPerBatch)
            throw new StainError(
              'BATCH_TOO_LARGE',
              `The search finds more than ${seriesPerBatch} series; a batch has no more.`,
              { data: { limit: seriesPerBatch } },
            );
          const wanted = {
            template,
            // Its series are submitted one after the other; all get what the template means now.
            templateSha256,
            model,
            transfer,
            encoding: encoding ?? config.output.encoding,
            quality: quality ?? config.output.quality,
            ...(anyStain && { anyStain }),
          };
          return batches.create(principalOf(response).id, wanted, series);
        });
        setSubject(response, { batchId: made.id, template });
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
        summary: "One's batches, newest first; all of them for administrators",
        responses: { 200: json('The newest hundred', batchList) },
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
        summary: 'The report as a table',
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
        summary: 'Cancel what is not done of a batch',
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

/** Each series once; what this product has made is left out where the archive tells that already. */
function linesOf(found: readonly DicomJson[], study = ''): NewLine[] {
  const lines = found.map((item) => ({
    studyInstanceUid: textOf(item, '0020000D') ?? study,
    seriesInstanceUid: textOf(item, '0020000E') ?? '',
    refusal: isResult(item) ? skipped('The series is a result of this product.') : undefined,
  }));
  const bySeries = lines.map((line) => [`${line.studyInstanceUid} ${line.seriesInstanceUid}`, line] as const);
  return [...new Map(bySeries).values()];
}

/** As far as the search tells. What else is wrong with a series is found when it is looked at, and ends no batch. */
function isResult(item: DicomJson): boolean {
  try {
    return isOurs(DataSet.fromDicomJson(item));
  } catch (error) {
    if (toStainError(error).code === 'DICOM_INVALID') return false;
    throw error;
  }
}
