/** JSON answers whose content type is exactly the one of the standard. */
import type { Response } from 'express';

/** Not through express's `type` and `send`: they add a character set, and clients compare the whole header. */
export function sendJson(
  response: Response,
  contentType: 'application/dicom+json' | 'application/problem+json',
  value: unknown,
): void {
  const body = Buffer.from(JSON.stringify(value));
  response.setHeader('Content-Type', contentType);
  response.setHeader('Content-Length', body.length);
  response.end(body);
}
