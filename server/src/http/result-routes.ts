/** Stored results: what became of them, corrections, rejection. */
import { z } from 'zod';
import {
  dicomUid,
  resultCheck,
  resultPage,
  resultQuery,
  resultReject,
  storedResult,
} from '../../../core/src/contract/index.ts';
import type { ResultService } from '../results/result-service.ts';
import { leaving } from '../web/leaving.ts';
import { setSubject } from './audited.ts';
import { parseBody } from './json-body.ts';
import { parseInput } from './problem.ts';
import { json, type Route } from './route.ts';

const TAGS = ['Stored results'];
/** A result may be older than the settings: its archive may have gone, or be read-only by now. */
const OF_ARCHIVES = ['STORE_REJECTED', 'ARCHIVE_NOT_FOUND', 'ARCHIVE_READ_ONLY'] as const;
const seriesParameter = z.object({ series: dicomUid });

export interface ResultRoutesOptions {
  readonly results: Pick<ResultService, 'list' | 'check' | 'reject' | 'remake'>;
}

/** Administrators only: results are listed and rejected whoever may see them. */
export function resultRoutes({ results }: ResultRoutesOptions): Route[] {
  return [
    {
      method: 'get',
      path: '/api/results',
      scope: 'administer',
      problems: ['REQUEST_INVALID'],
      operation: {
        tags: TAGS,
        summary:
          'Results that jobs have stored: which differ from their slide now, expire soon, or were rejected',
        requestParams: { query: resultQuery },
        responses: { 200: json('A page', resultPage) },
      },
      async handler(request, response) {
        response.json(await results.list(parseInput(resultQuery, request.query)));
      },
    },
    {
      method: 'post',
      path: '/api/results/check',
      scope: 'administer',
      problems: ['REQUEST_INVALID', 'ARCHIVE_NOT_FOUND'],
      operation: {
        tags: TAGS,
        summary: 'Compare the results of a study with their slides now',
        requestBody: { required: true, content: { 'application/json': { schema: resultCheck } } },
        responses: { 200: json('Its results', z.array(storedResult)) },
      },
      async handler(request, response) {
        const { studyInstanceUid } = parseBody(resultCheck, request);
        response.json(await results.check(studyInstanceUid, leaving(response)));
      },
    },
    {
      method: 'post',
      path: '/api/results/:series/reject',
      scope: 'administer',
      audit: 'result-rejected',
      problems: ['REQUEST_INVALID', 'RESULT_NOT_FOUND', 'RESULT_NOT_OURS', ...OF_ARCHIVES],
      operation: {
        tags: TAGS,
        summary: 'Reject a result by a Key Object Selection in its study',
        requestParams: { path: seriesParameter },
        requestBody: { required: true, content: { 'application/json': { schema: resultReject } } },
        responses: { 200: json('The result', storedResult) },
      },
      async handler(request, response) {
        const { series } = parseInput(seriesParameter, request.params);
        setSubject(response, { seriesInstanceUid: series });
        const { reason } = parseBody(resultReject, request);
        const rejected = await results.reject(series, reason, leaving(response));
        setSubject(response, { archive: rejected.archive });
        response.json(rejected);
      },
    },
    {
      method: 'post',
      path: '/api/results/:series/remake',
      scope: 'administer',
      audit: 'result-remade',
      problems: ['REQUEST_INVALID', 'RESULT_NOT_FOUND', 'RESULT_NOT_OURS', 'QUEUE_FULL', ...OF_ARCHIVES],
      operation: {
        tags: TAGS,
        summary:
          'Reject a result as an incorrect worklist entry, and make it again from the slide as it is now',
        requestParams: { path: seriesParameter },
        responses: { 202: json('The result that is rejected, with the job that replaces it', storedResult) },
      },
      async handler(request, response) {
        const { series } = parseInput(seriesParameter, request.params);
        setSubject(response, { seriesInstanceUid: series });
        const remade = await results.remake(series, leaving(response));
        setSubject(response, { archive: remade.archive });
        response.status(202).json(remade);
      },
    },
  ];
}
