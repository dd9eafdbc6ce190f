/** Caching of answers that hold images of patients. */
import { createHash } from 'node:crypto';
import type { Request, Response } from 'express';
import type { IndexedInstance } from './folder-index.ts';

/**
 * Sets the headers for caching and answers 304 where the client has it already. `private, no-cache`: images of
 * patients stay out of shared caches, and a cached one is asked for again, which costs a few bytes.
 */
export function isUnchanged(
  request: Request,
  response: Response,
  instances: readonly IndexedInstance[],
): boolean {
  const hash = createHash('sha256');
  for (const { sopUid, size, mtimeMs } of instances) hash.update(`${sopUid} ${size} ${mtimeMs}\n`);
  // Weak, and with the accepted type: one resource has several representations.
  hash.update(request.get('accept') ?? '').update(request.originalUrl);
  response.set({
    ETag: `W/"${hash.digest('base64url').slice(0, 27)}"`,
    'Cache-Control': 'private, no-cache',
    Vary: 'Accept',
  });
  if (!request.fresh) return false;
  response.status(304).end();
  return true;
}
