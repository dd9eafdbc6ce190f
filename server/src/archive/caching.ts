/** Caching of responses that contain images of patients. */
import { createHash } from 'node:crypto';
import type { Request, Response } from 'express';

/**
 * Sets the caching headers, and answers 304 if the client already has the response. `private, no-cache`: images of
 * patients stay out of shared caches, and a cached one is revalidated, which costs only a few bytes.
 * @param versions change whenever the response does
 */
export function isUnchanged(request: Request, response: Response, versions: readonly string[]): boolean {
  const hash = createHash('sha256');
  for (const version of versions) hash.update(`${version}\n`);
  // Weak, and including the accepted type: one resource has several representations.
  hash.update(request.get('accept') ?? '').update(request.originalUrl);
  response.set({
    ETag: `W/"${hash.digest('base64url').slice(0, 27)}"`,
    'Cache-Control': 'private, no-cache',
  });
  response.vary('Accept');
  if (!request.fresh) return false;
  response.status(304).end();
  return true;
}
