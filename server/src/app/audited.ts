/** Writes down in the audit trail what was asked of a route, by whom, and how it ended. */
import type { Request, RequestHandler, Response } from 'express';
import { z } from 'zod';
import type { AuditEntry, AuditedEvent } from '../audit/audit-event.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import { dicomUid, nameOfTemplate } from '../contract/index.ts';
import { principalOf } from './authenticate.ts';
import { clientAddress } from './client-address.ts';
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

/** What the handlers have told so far. */
export function subjectOfResponse(response: Response): AuditSubject {
  return response.locals['subject'] ?? {};
}

/** @param event without it only refusals are written down */
export function audited(trail: Pick<AuditTrail, 'record'>, event: AuditedEvent | undefined): RequestHandler {
  return (request, response, next) => {
    response.once('close', () => {
      const refused = isRefused(response);
      if (!event && !refused) return;
      trail.record(auditEntry(refused ? 'access-refused' : event!, request, response));
    });
    next();
  };
}

/** Of a request that has ended. */
export function auditEntry(event: AuditedEvent, request: Request, response: Response): AuditEntry {
  const status = response.statusCode;
  // A client that has left before the answer has got nothing.
  const isAnswered = response.headersSent;
  return {
    event,
    outcome: status >= 500 ? 'fault' : status >= 400 || !isAnswered ? 'failure' : 'success',
    principal: principalOf(response)?.id,
    address: clientAddress(request),
    method: request.method,
    route: routeOf(response),
    requestId: requestIdOf(response),
    code: response.locals['code'],
    // Whoever is refused at the door has not come to a handler, and no body has been read.
    ...subjectOfPath(request.originalUrl),
    ...subjectOfResponse(response),
  };
}

/** Of a request that names a series and a template: no more than that of it. */
export function subjectOf({ studyInstanceUid, seriesInstanceUid, template }: AuditSubject): AuditSubject {
  return { studyInstanceUid, seriesInstanceUid, template };
}

/** Segments of our addresses, and what stands behind each. Whatever else stands there may be a patient's name. */
const SEGMENTS = new Map<string, readonly [keyof AuditSubject, z.ZodType<string>]>([
  ['studies', ['studyInstanceUid', dicomUid]],
  ['series', ['seriesInstanceUid', dicomUid]],
  ['normalizations', ['jobId', z.uuid()]],
  ['batches', ['batchId', z.uuid()]],
  ['workitems', ['workitemUid', dicomUid]],
  ['templates', ['template', nameOfTemplate]],
]);

function subjectOfPath(url: string): AuditSubject {
  // As routes read them: whatever case names are in, and however values are encoded.
  const parts = url.split(/[?#]/, 1)[0]!.split('/', 20).map(decoded);
  return Object.fromEntries(
    parts.flatMap((part, i) => {
      const [name, schema] = SEGMENTS.get(part.toLowerCase()) ?? [];
      const value = schema?.safeParse(parts[i + 1]);
      return name && value?.success ? [[name, value.data]] : [];
    }),
  );
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
