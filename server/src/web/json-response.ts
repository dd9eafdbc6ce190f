/** JSON responses with exactly the content type that the standard defines. */
import type { Response } from 'express';

/** Without express's `type` and `send`: they add a charset, and clients compare the whole header. */
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
