/**
 * UPS-RS (PS3.18 section 11): the standard's way to request and follow a normalisation. The service keeps the worklist
 * and performs every step itself, under a transaction that it reveals to nobody: attempts by others to claim a step get
 * the refusals that the standard defines.
 */
import type { Request, Response } from 'express';
import { z } from 'zod';
import { dicomUid, isFinal, type Job } from '../../../../core/src/contract/index.ts';
import { StainError } from '../../../../core/src/errors.ts';
import type { Config } from '../../config.ts';
import { sendJson } from '../../web/json-response.ts';
import { leaving } from '../../web/leaving.ts';
import { sendProblem } from '../../web/problem.ts';
import { setSubject, subjectOf } from '../audited.ts';
import { principalOf } from '../authenticate.ts';
import { parseInput } from '../problem.ts';
import type { Route } from '../route.ts';
import type { UserJobs } from '../user-jobs.ts';
import { stateOf, workitemOf } from './workitem.ts';
import { dataSetOf, parseWorkitem } from './workitem-request.ts';
import { parseSearch, searchWorkitems } from './workitem-search.ts';

const TAGS = ['UPS-RS'];
const uidParameter = z.object({ uid: dicomUid });
const creation = z.strictObject({
  workitem: dicomUid.optional(),
  AffectedSOPInstanceUID: dicomUid.optional(),
});
const stateChange = z.enum(['IN PROGRESS', 'COMPLETED', 'CANCELED']);
const dicomJson = (description: string) => ({
  description,
  content: { 'application/dicom+json': { schema: z.array(z.record(z.string(), z.unknown())) } },
});
const body = {
  required: true,
  content: { 'application/dicom+json': { schema: z.array(z.record(z.string(), z.unknown())) } },
};

export interface UpsRoutesOptions {
  readonly config: Pick<Config, 'output' | 'server'>;
  readonly jobs: UserJobs;
}

export function upsRoutes(options: UpsRoutesOptions): Route[] {
  return [
    createWorkitem(options),
    searchForWorkitems(options),
    readWorkitem(options),
    updateWorkitem(options),
    changeWorkitemState(options),
    cancelWorkitem(options),
  ];
}

function find({ jobs }: UpsRoutesOptions, request: Request, response: Response): Promise<Job> {
  return jobs.getWorkitem(principalOf(response), parseInput(uidParameter, request.params).uid);
}

function createWorkitem({ config, jobs }: UpsRoutesOptions): Route {
  const { basePath } = config.server;
  return {
    method: 'post',
    path: '/ups-rs/workitems',
    scope: 'normalize',
    audit: 'normalization-requested',
    problems: [
      'REQUEST_INVALID',
      'WORKITEM_EXISTS',
      'SERIES_NOT_FOUND',
      'TEMPLATE_NOT_FOUND',
      'MODEL_NOT_FOUND',
      'TEMPLATE_OUTDATED',
      'QUEUE_FULL',
    ],
    operation: {
      tags: TAGS,
      summary: 'Create a work item',
      requestParams: { query: creation },
      requestBody: body,
      responses: { 201: { description: 'Created; Location has its URL' } },
    },
    async handler(request, response) {
      const query = parseInput(creation, request.query);
      const dataset = dataSetOf(request.body);
      const wanted = parseWorkitem(dataset);
      setSubject(response, subjectOf(wanted.request));
      const workitemUid = query.workitem ?? query.AffectedSOPInstanceUID ?? dataset.string('SOPInstanceUID');
      if (workitemUid !== undefined) parseInput(dicomUid, workitemUid);
      const { encoding = config.output.encoding, quality = config.output.quality } = wanted.request;
      const created = await jobs.create(
        principalOf(response),
        { ...wanted.request, encoding, quality },
        { priority: wanted.priority, workitemUid },
        leaving(response),
      );
      setSubject(response, { jobId: created.job.id });
      response.location(`${basePath}/ups-rs/workitems/${created.job.workitemUid}`);
      if (created.existing && workitemUid !== undefined)
        return warned(
          basePath,
          response,
          'WORKITEM_EXISTS',
          'There is already a work item for the same work.',
        );
      response.status(201).end();
    },
  };
}

function searchForWorkitems({ jobs }: UpsRoutesOptions): Route {
  return {
    method: 'get',
    path: '/ups-rs/workitems',
    scope: 'read',
    problems: ['REQUEST_INVALID'],
    operation: {
      tags: TAGS,
      summary: 'Search for work items',
      description:
        'Matches by ProcedureStepState, SOPInstanceUID, StudyInstanceUID, InputInformationSequence.SeriesInstanceUID and ' +
        'ScheduledWorkitemCodeSequence.CodeValue, by keyword or tag; limit and offset.',
      responses: { 200: dicomJson('Work items, newest first'), 204: { description: 'None' } },
    },
    async handler(request, response) {
      const found = await searchWorkitems(jobs, principalOf(response), parseSearch(request.query));
      if (found.length === 0) return void response.status(204).end();
      sendJson(response, 'application/dicom+json', found.map(workitemOf));
    },
  };
}

function readWorkitem(options: UpsRoutesOptions): Route {
  return {
    method: 'get',
    path: '/ups-rs/workitems/:uid',
    scope: 'read',
    problems: ['REQUEST_INVALID', 'WORKITEM_NOT_FOUND'],
    operation: {
      tags: TAGS,
      summary: 'A work item',
      requestParams: { path: uidParameter },
      responses: { 200: dicomJson('The work item') },
    },
    async handler(request, response) {
      const job = await find(options, request, response);
      sendJson(response, 'application/dicom+json', [workitemOf(job)]);
    },
  };
}

/** Always refused: the content of a work item cannot change. */
function updateWorkitem(options: UpsRoutesOptions): Route {
  const { basePath } = options.config.server;
  return {
    method: 'post',
    path: '/ups-rs/workitems/:uid',
    scope: 'normalize',
    problems: ['REQUEST_INVALID', 'WORKITEM_NOT_FOUND', 'WORKITEM_STATE', 'FORBIDDEN'],
    operation: {
      tags: TAGS,
      summary: 'Update a work item: always refused',
      description: 'The content of a work item cannot change: cancel it and create a new one.',
      requestParams: { path: uidParameter },
      requestBody: body,
      responses: {},
    },
    async handler(request, response) {
      const job = await find(options, request, response);
      dataSetOf(request.body);
      const state = stateOf(job);
      if (isFinal(state)) return warned(basePath, response, 'WORKITEM_STATE', INCONSISTENT);
      if (state === 'IN PROGRESS')
        return warned(
          basePath,
          response,
          'REQUEST_INVALID',
          transactionProblem(request.query['transaction-uid']),
        );
      throw new StainError(
        'FORBIDDEN',
        'The content of a work item cannot change: cancel it and create a new one.',
      );
    },
  };
}

/**
 * Refused: the service performs all steps itself. See PS3.4 table CC.1.1-2, for requesters that do not hold the
 * transaction.
 */
function changeWorkitemState(options: UpsRoutesOptions): Route {
  const { basePath } = options.config.server;
  return {
    method: 'put',
    path: '/ups-rs/workitems/:uid/state',
    scope: 'normalize',
    problems: ['REQUEST_INVALID', 'WORKITEM_NOT_FOUND', 'WORKITEM_STATE'],
    operation: {
      tags: TAGS,
      summary:
        'Change the state of a work item: always refused, because the service performs all steps itself',
      requestParams: { path: uidParameter },
      requestBody: body,
      responses: {},
    },
    async handler(request, response) {
      const job = await find(options, request, response);
      const dataset = dataSetOf(request.body);
      const wanted = parseInput(stateChange, dataset.string('ProcedureStepState'));
      const transaction = dataset.string('TransactionUID');
      // PS3.4 table CC.1.1-2, for requesters that do not hold the transaction.
      const state = stateOf(job);
      if (transaction === undefined)
        return warned(basePath, response, 'REQUEST_INVALID', transactionProblem(undefined));
      if (state === 'SCHEDULED')
        return warned(
          basePath,
          response,
          'WORKITEM_STATE',
          wanted === 'IN PROGRESS' ? 'The service performs this step itself.' : INCONSISTENT,
        );
      if (wanted === 'IN PROGRESS') return warned(basePath, response, 'WORKITEM_STATE', INCONSISTENT);
      if (state === 'IN PROGRESS')
        return warned(basePath, response, 'REQUEST_INVALID', transactionProblem(transaction));
      return warned(
        basePath,
        response,
        'WORKITEM_STATE',
        state === wanted ? `The UPS is already in the requested state of ${state}.` : INCONSISTENT,
      );
    },
  };
}

function cancelWorkitem(options: UpsRoutesOptions): Route {
  const { jobs } = options;
  const { basePath } = options.config.server;
  return {
    method: 'post',
    path: '/ups-rs/workitems/:uid/cancelrequest',
    scope: 'normalize',
    audit: 'normalization-cancelled',
    problems: ['REQUEST_INVALID', 'WORKITEM_NOT_FOUND', 'WORKITEM_STATE', 'FORBIDDEN'],
    operation: {
      tags: TAGS,
      summary: 'Request that a work item be cancelled',
      requestParams: { path: uidParameter },
      responses: { 202: { description: 'It is or will be CANCELED' } },
    },
    async handler(request, response) {
      const job = await find(options, request, response);
      const state = stateOf(job);
      if (isFinal(state))
        return warned(
          basePath,
          response,
          'WORKITEM_STATE',
          state === 'CANCELED'
            ? 'The UPS is already in the requested state of CANCELED.'
            : 'The UPS is already COMPLETED.',
        );
      setSubject(response, { jobId: job.id });
      await jobs.cancel(principalOf(response), job.id);
      response.status(202).end();
    },
  };
}

/** The standard puts the reason into a Warning header. */
function warned(
  basePath: string,
  response: Response,
  code: 'REQUEST_INVALID' | 'WORKITEM_STATE' | 'WORKITEM_EXISTS',
  text: string,
): void {
  response.set('Warning', `299 ${basePath}/ups-rs: ${text}`);
  sendProblem(response, new StainError(code, text));
}

const INCONSISTENT = 'The submitted request is inconsistent with the current state of the UPS Instance.';

function transactionProblem(transaction: unknown): string {
  return `The Transaction UID is ${transaction === undefined ? 'missing' : 'incorrect'}.`;
}
