/** Ask for many normalisations at once, and read how each went. */
import type { Response } from 'express';
import { z } from 'zod';
import type { Principal } from '../auth/principal.ts';
import type { Config } from '../config.ts';
import {
  type BatchReport,
  batch,
  batchCreate,
  batchList,
  type batchQuery,
  batchReport,
} from '../contract/index.ts';
import type { LeftOut } from '../dicomweb/client.ts';
import { type DicomJson, textOf } from '../dicomweb/dicom-json.ts';
import { StainError } from '../errors.ts';
import type { BatchService } from '../jobs/batch-service.ts';
import { setSubject } from './audited.ts';
import { principalOf } from './authenticate.ts';
import { parseInput } from './problem.ts';
import { json, leaving, type Route } from './route.ts';

const TAGS = ['Batches'];
const idParameter = z.object({ id: z.uuid() });

export interface BatchRoutesOptions {
  readonly config: Pick<Config, 'output' | 'server' | 'limits'>;
  readonly batches: BatchService;
  /** Whole-slide series that the archive shows this user. */
  searchSeries(
    principal: Principal,
    query: z.infer<typeof batchQuery>,
    signal: AbortSignal,
    onLeftOut?: LeftOut,
  ): Promise<DicomJson[]>;
}

export function batchRoutes({ config, batches, searchSeries }: BatchRoutesOptions): Route[] {
  const root = `${config.server.basePath}/api/batches`;
  /** One's own, and all for administrators. */
  const visible = async (response: Response, id: string): Promise<string> => {
    const principal = principalOf(response);
    const { requestedBy } = await batches.get(id);
    if (requestedBy === principal.id || principal.scopes.has('administer')) return id;
    throw new StainError('BATCH_NOT_FOUND', `There is no batch ${id}.`);
  };
  const one = { requestParams: { path: idParameter } };

  return [
    {
      method: 'post',
      path: '/api/batches',
      scope: 'normalize',
      audit: 'batch-requested',
      problems: ['REQUEST_INVALID', 'SERIES_NOT_FOUND', 'BATCH_TOO_LARGE', 'ARCHIVE_UNREACHABLE'],
      operation: {
        tags: TAGS,
        summary: 'Normalise every whole-slide series that a search finds',
        requestBody: { required: true, content: { 'application/json': { schema: batchCreate } } },
        responses: { 202: json('The batch', batch) },
      },
      async handler(request, response) {
        const { query, template, model, encoding, quality } = parseInput(batchCreate, request.body);
        const found = await searchSeries(principalOf(response), query, leaving(response), (count) =>
          // RFC 9111 section 5.5.
          response.set(
            'Warning',
            `299 stain-normalization "${count} series of the archive have no valid UID and are left out"`,
          ),
        );
        const series = found.map((item) => ({
          studyInstanceUid: textOf(item, '0020000D') ?? query.StudyInstanceUID ?? '',
          seriesInstanceUid: textOf(item, '0020000E') ?? '',
        }));
        if (series.length === 0)
          throw new StainError(
            'SERIES_NOT_FOUND',
            'The archive shows you no whole-slide series that matches.',
          );
        const { seriesPerBatch } = config.limits;
        if (series.length > seriesPerBatch)
          throw new StainError(
            'BATCH_TOO_LARGE',
            `The search finds ${series.length} series; a batch has ${seriesPerBatch} at most.`,
            { data: { series: series.length, limit: seriesPerBatch } },
          );
        const wanted = {
          template,
          model,
          encoding: encoding ?? config.output.encoding,
          quality: quality ?? config.output.quality,
        };
        const made = await batches.create(principalOf(response).id, wanted, series);
        setSubject(response, { batchId: made.id, template });
        response.status(202).location(`${root}/${made.id}`).json(made);
      },
    },
    {
      method: 'get',
      path: '/api/batches',
      scope: 'read',
      operation: {
        tags: TAGS,
        summary: "One's batches, newest first; all of them for administrators",
        responses: { 200: json('The newest hundred', batchList) },
      },
      async handler(_request, response) {
        const { id, scopes } = principalOf(response);
        response.json({ batches: await batches.list(scopes.has('administer') ? undefined : id) });
      },
    },
    {
      method: 'get',
      path: '/api/batches/:id',
      scope: 'read',
      problems: ['REQUEST_INVALID', 'BATCH_NOT_FOUND'],
      operation: {
        tags: TAGS,
        summary: 'The report of a batch: every series with its job, state and error',
        ...one,
        responses: { 200: json('The report', batchReport) },
      },
      async handler(request, response) {
        const id = await visible(response, parseInput(idParameter, request.params).id);
        response.json(await batches.report(id));
      },
    },
    {
      method: 'get',
      path: '/api/batches/:id/report.csv',
      scope: 'read',
      problems: ['REQUEST_INVALID', 'BATCH_NOT_FOUND'],
      operation: {
        tags: TAGS,
        summary: 'The report as a table',
        ...one,
        responses: {
          200: { description: 'CSV (RFC 4180)', content: { 'text/csv': { schema: z.string() } } },
        },
      },
      async handler(request, response) {
        const id = await visible(response, parseInput(idParameter, request.params).id);
        response
          .type('text/csv')
          .attachment(`batch-${id}.csv`)
          .send(csvOf((await batches.report(id)).series));
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

const COLUMNS = [
  'studyInstanceUid',
  'seriesInstanceUid',
  'state',
  'job',
  'code',
  'message',
  'derivedSeriesInstanceUid',
  'seconds',
] as const;

/** RFC 4180. */
export function csvOf(series: BatchReport['series']): string {
  const cell = (value: string | number | null): string => {
    const text = String(value ?? '');
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = series.map((line) => COLUMNS.map((column) => cell(line[column])).join(','));
  return [COLUMNS.join(','), ...lines, ''].join('\r\n');
}
