/** Request a normalisation, follow it, cancel it. */
import { z } from 'zod';
import {
  isFinal,
  type Job,
  job,
  jobList,
  jobListQuery,
  type NormalizationRequest,
  normalizationCreate,
} from '../../../core/src/contract/index.ts';
import type { Config } from '../config.ts';
import { leaving } from '../web/leaving.ts';
import { setSubject, subjectOf } from './audited.ts';
import { principalOf } from './authenticate.ts';
import { type EventStreams, sendEvents } from './event-stream.ts';
import { parseBody } from './json-body.ts';
import { parseInput } from './problem.ts';
import { json, type Route } from './route.ts';
import type { UserJobs } from './user-jobs.ts';

const TAGS = ['Normalizations'];
const idParameter = z.object({ id: z.uuid() });

export interface NormalizationRoutesOptions {
  readonly config: Pick<Config, 'output' | 'server'>;
  readonly jobs: UserJobs;
  readonly streams: EventStreams;
  readonly heartbeatMs: number;
}

export function normalizationRoutes({
  config,
  jobs,
  streams,
  heartbeatMs,
}: NormalizationRoutesOptions): Route[] {
  const root = `${config.server.basePath}/api/normalizations`;

  const cancel: Pick<Route, 'handler' | 'problems'> & { operation: Route['operation'] } = {
    problems: ['REQUEST_INVALID', 'JOB_NOT_FOUND', 'JOB_FINISHED'],
    operation: {
      tags: TAGS,
      summary: 'Cancel a job',
      requestParams: { path: idParameter },
      responses: { 200: json('Cancelled', job), 202: json('Running; it will stop soon', job) },
    },
    async handler(request, response) {
      const { id } = parseInput(idParameter, request.params);
      setSubject(response, { jobId: id });
      const cancelled = await jobs.cancel(principalOf(response), id);
      response.status(isFinal(cancelled.state) ? 200 : 202).json(cancelled);
    },
  };

  return [
    {
      method: 'post',
      path: '/api/normalizations',
      scope: 'normalize',
      audit: 'normalization-requested',
      problems: [
        'REQUEST_INVALID',
        'PAYLOAD_TOO_LARGE',
        'ARCHIVE_NOT_FOUND',
        'ARCHIVE_READ_ONLY',
        'SERIES_NOT_FOUND',
        'SEVERAL_SLIDES',
        'SLIDE_NOT_FOUND',
        'TEMPLATE_NOT_FOUND',
        'TEMPLATE_INVALID',
        'MODEL_NOT_FOUND',
        'TEMPLATE_OUTDATED',
        'NOT_WHOLE_SLIDE',
        'STAIN_NOT_HE',
        'ALREADY_NORMALIZED',
        'ARCHIVE_UNREACHABLE',
        'ARCHIVE_UNTRUSTED',
        'ARCHIVE_TLS_FAILED',
        'ARCHIVE_TIMEOUT',
      ],
      operation: {
        tags: TAGS,
        summary: 'Normalise a slide',
        description:
          'Creates a job. If the same work is waiting, running, or done and stored, its job is returned instead of a second one.',
        requestBody: { required: true, content: { 'application/json': { schema: normalizationCreate } } },
        responses: { 202: json('A new job', job), 200: json('The existing job for the same work', job) },
      },
      async handler(request, response) {
        const wanted: NormalizationRequest = {
          ...config.output,
          ...withoutUndefined(parseBody(normalizationCreate, request)),
        };
        setSubject(response, subjectOf(wanted));
        const created = await jobs.create(
          principalOf(response),
          wanted,
          { priority: 'interactive' },
          leaving(response),
        );
        setSubject(response, { jobId: created.job.id });
        response
          .status(created.existing ? 200 : 202)
          .location(`${root}/${created.job.id}`)
          .json(created.job);
      },
    },
    {
      method: 'get',
      path: '/api/normalizations',
      scope: 'read',
      problems: ['REQUEST_INVALID'],
      operation: {
        tags: TAGS,
        summary: 'Jobs, newest first',
        requestParams: { query: jobListQuery },
        responses: { 200: json('One page', jobList) },
      },
      async handler(request, response) {
        response.json(await jobs.list(principalOf(response), parseInput(jobListQuery, request.query)));
      },
    },
    {
      method: 'get',
      path: '/api/normalizations/:id',
      scope: 'read',
      problems: ['REQUEST_INVALID', 'JOB_NOT_FOUND'],
      operation: {
        tags: TAGS,
        summary: 'A job',
        requestParams: { path: idParameter },
        responses: { 200: json('The job', job) },
      },
      async handler(request, response) {
        response.json(await jobs.get(principalOf(response), parseInput(idParameter, request.params).id));
      },
    },
    {
      method: 'delete',
      path: '/api/normalizations/:id',
      scope: 'normalize',
      audit: 'normalization-cancelled',
      ...cancel,
    },
    {
      method: 'post',
      path: '/api/normalizations/:id/cancel',
      scope: 'normalize',
      audit: 'normalization-cancelled',
      ...cancel,
    },
    {
      method: 'get',
      path: '/api/normalizations/:id/events',
      scope: 'read',
      problems: ['REQUEST_INVALID', 'JOB_NOT_FOUND', 'TOO_MANY_STREAMS'],
      operation: {
        tags: TAGS,
        summary: 'Follow a job (server-sent events)',
        description:
          'Events named "job" whose data is the whole Job: first the current one, then one after each change, up to the final state. ' +
          'A slow client misses intermediate states. Close the EventSource when the job is final.',
        requestParams: { path: idParameter, header: z.object({ 'Last-Event-ID': z.string().optional() }) },
        responses: {
          200: { description: 'The events', content: { 'text/event-stream': { schema: z.string() } } },
          204: { description: 'The client already has the final state' },
        },
      },
      async handler(request, response) {
        const { id } = parseInput(idParameter, request.params);
        const principal = principalOf(response);
        streams.enter(request, response);
        const isOver = async (after: string | undefined) => isKnownEnd(await jobs.get(principal, id), after);
        const open = (signal: AbortSignal, after: string | undefined) =>
          jobs.events(principal, id, signal, after);
        await sendEvents(request, response, open, { heartbeatMs, isOver });
      },
    },
  ];
}

function isKnownEnd({ state, revision }: Job, known: string | undefined): boolean {
  return isFinal(state) && revision === known;
}

/** So that a missing field does not hide the configured value. */
function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
