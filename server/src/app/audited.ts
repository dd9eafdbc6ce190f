/** Writes down in the audit trail what was asked of a route, by whom, and how it ended. */
import type { RequestHandler, Response } from 'express';
import { z } from 'zod';
import type { AuditEntry, AuditedEvent } from '../audit/audit-event.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import { dicomUid, nameOfTemplate } from '../contract/index.ts';
import { principalOf } from './authenticate.ts';
import { requestIdOf, routeOf } from './log.ts';
import { isRefused } from './problem.ts';

/** What a request was about. */
export type AuditSubject = Pick<
  AuditEntry,
  'studyInstanceUid' | 'seriesInstanceUid' | 'jobId' | 'batchId' | 'workitemUid' | 'template'
>;

/** Called by a handler as soon as it knows. */
export function setSubject(response: Response, subject: AuditSubject): void {
  response.locals['subject'] = { ...response.locals['subject'], ...subject };
}

/** @param event without it only refusals are written down */
export function audited(trail: Pick<AuditTrail, 'record'>, event: AuditedEvent | undefined): RequestHandler {
  return (request, response, next) => {
    const { method, path } = request;
    response.once('close', () => {
      const status = response.statusCode;
      const refused = isRefused(response);
      if (!event && !refused) return;
      trail.record({
        event: refused ? 'access-refused' : event!,
        outcome: status < 400 ? 'success' : status < 500 ? 'failure' : 'fault',
        principal: principalOf(response)?.id,
        address: request.ip,
        method,
        route: routeOf(response),
        requestId: requestIdOf(response),
        code: response.locals['code'],
        // Whoever is refused at the door has not come to a handler, and no body has been read.
        ...subjectOfPath(path),
        ...response.locals['subject'],
      });
    });
    next();
  };
}

/** Of a request that names a series and a template: no more than that of it. */
export function subjectOf({ studyInstanceUid, seriesInstanceUid, template }: AuditSubject): AuditSubject {
  return { studyInstanceUid, seriesInstanceUid, template };
}

/** Segments of our addresses, and what stands behind each. Whatever else stands there may be a patient's name. */
const SEGMENTS: Record<string, readonly [keyof AuditSubject, z.ZodType<string>]> = {
  studies: ['studyInstanceUid', dicomUid],
  series: ['seriesInstanceUid', dicomUid],
  normalizations: ['jobId', z.uuid()],
  batches: ['batchId', z.uuid()],
  workitems: ['workitemUid', dicomUid],
  templates: ['template', nameOfTemplate],
};

function subjectOfPath(path: string): AuditSubject {
  const parts = path.split('/', 20);
  return Object.fromEntries(
    parts.flatMap((part, i) => {
      const [name, schema] = SEGMENTS[part] ?? [];
      const value = schema?.safeParse(parts[i + 1]);
      return name && value?.success ? [[name, value.data]] : [];
    }),
  );
}
