/** Records in the audit trail what was requested of a route, by whom, and how it ended. */
import type { Request, RequestHandler, Response } from 'express';
import { z } from 'zod';
import { dicomUid, nameOfTemplate } from '../../../core/src/contract/index.ts';
import type { AuditEntry, AuditedEvent } from '../audit/audit-event.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import { isRefused } from '../web/problem.ts';
import { principalOf } from './authenticate.ts';
import { clientAddress } from './client-address.ts';
import { requestIdOf, routeOf } from './log.ts';

/** The subject of a request. */
export type AuditSubject = Pick<
  AuditEntry,
  'studyInstanceUid' | 'seriesInstanceUid' | 'jobId' | 'batchId' | 'workitemUid' | 'template' | 'archive'
>;

/** Called by a handler as soon as it knows the subject. */
export function setSubject(response: Response, subject: AuditSubject): void {
  response.locals['subject'] = { ...response.locals['subject'], ...subject };
}

/** The subject that handlers have set so far. */
export function subjectOfResponse(response: Response): AuditSubject {
  return response.locals['subject'] ?? {};
}

/** @param event if undefined, only refusals are recorded */
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

/** The entry for a finished request. */
export function auditEntry(event: AuditedEvent, request: Request, response: Response): AuditEntry {
  const status = response.statusCode;
  // A client that left before the answer got nothing.
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
    // A request refused by the guard reached no handler, and its body was not read.
    ...subjectOfPath(request.originalUrl),
    ...subjectOfResponse(response),
  };
}

/** The subject of a request that names a series and a template, and nothing else of the request. */
export function subjectOf({
  studyInstanceUid,
  seriesInstanceUid,
  template,
  source,
}: AuditSubject & { readonly source?: string | undefined }): AuditSubject {
  return { studyInstanceUid, seriesInstanceUid, template, archive: source };
}

/** Path segments of our addresses, and what follows each. Anything else there may be a patient's name. */
const SEGMENTS = new Map<string, readonly [keyof AuditSubject, z.ZodType<string>]>([
  ['studies', ['studyInstanceUid', dicomUid]],
  ['series', ['seriesInstanceUid', dicomUid]],
  ['normalizations', ['jobId', z.uuid()]],
  ['batches', ['batchId', z.uuid()]],
  ['workitems', ['workitemUid', dicomUid]],
  ['templates', ['template', nameOfTemplate]],
]);

function subjectOfPath(url: string): AuditSubject {
  // Parsed as routes do it: names in any case, values in any encoding.
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
