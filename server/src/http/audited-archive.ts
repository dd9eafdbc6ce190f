/** Records in the audit trail who stored through /dicom-web, and who read which study. */
import type { RequestHandler } from 'express';
import { LRUCache } from 'lru-cache';
import type { AuditTrail } from '../audit/audit-trail.ts';
import { storedStudies } from '../audit/stored-studies.ts';
import { resourceOf } from './archive-target.ts';
import { auditEntry, subjectOfResponse } from './audited.ts';
import { principalOf } from './authenticate.ts';

/** A viewer requests thousands of frames of one slide: one record per user and study covers this period. */
const RECORD_HOLDS_MS = 5 * 60_000;
/** A record that is evicted early is simply written again. */
const MAX_RECORDS = 10_000;

/** @param reads false if the archive knows users, so that its own trail says who read */
export function auditedArchive(
  trail: Pick<AuditTrail, 'record'>,
  { reads }: { readonly reads: boolean },
): RequestHandler {
  const written = new LRUCache<string, true>({ max: MAX_RECORDS, ttl: RECORD_HOLDS_MS });
  return (request, response, next) => {
    response.once('close', () => {
      const resource = resourceOf(response);
      // Refused or answered before it reached the archive.
      if (!resource) return;
      if (resource.kind === 'store') {
        void storedStudies(response).then((studies) => {
          const entry = auditEntry('instances-stored', request, response);
          if (studies.length === 0) trail.record(entry);
          // What was stored counts as stored, even if the client left before it got the answer.
          const outcome = response.statusCode < 400 ? 'success' : entry.outcome;
          for (const studyInstanceUid of studies) trail.record({ ...entry, outcome, studyInstanceUid });
        });
        return;
      }
      const { studyInstanceUid } = subjectOfResponse(response);
      if (!reads || studyInstanceUid === undefined) return;
      const entry = auditEntry('study-read', request, response);
      const key = JSON.stringify([principalOf(response).id, studyInstanceUid]);
      if (entry.outcome !== 'success' || written.has(key)) return;
      written.set(key, true);
      trail.record(entry);
    });
    next();
  };
}
