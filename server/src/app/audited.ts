/** Writes down in the audit trail what was asked of a route, by whom, and how it ended. */
import type { Request, RequestHandler, Response } from 'express';
import type { AuditEntry, AuditedEvent } from '../audit/audit-event.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import { principalOf } from './authenticate.ts';
import { requestIdOf } from './log.ts';

/** What a request was about. */
export type AuditSubject = Pick<
  AuditEntry,
  'studyInstanceUid' | 'seriesInstanceUid' | 'jobId' | 'batchId' | 'template'
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
      const status = response.statusCode;
      const isRefused = status === 401 || status === 403;
      if (!event && !isRefused) return;
      trail.record(auditEntry(isRefused ? 'access-refused' : event!, request, response));
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
    address: request.ip,
    requestId: requestIdOf(response),
    code: response.locals['code'],
    ...subjectOfResponse(response),
  };
}

/** Of a request that names a series and a template: no more than that of it. */
export function subjectOf({ studyInstanceUid, seriesInstanceUid, template }: AuditSubject): AuditSubject {
  return { studyInstanceUid, seriesInstanceUid, template };
}
