/** Requests and responses for tests of the DICOMweb client. */
import type { StorableInstance } from '../../server/src/dicomweb/client.ts';
import { bodyOf, type FaultServer, type Handler } from '../support/fault-server.ts';

export const signal = new AbortController().signal;
export const FILE = Buffer.alloc(200_000, 'dicom');

export function multipart(
  parts: readonly Buffer[],
  type = 'application/dicom',
  boundary = 'bound',
): { headers: Record<string, string>; body: Buffer } {
  const pieces = parts.flatMap((part) => [
    Buffer.from(`\r\n--${boundary}\r\nContent-Type: ${type}\r\n\r\n`),
    part,
  ]);
  return {
    headers: { 'Content-Type': `multipart/related; type="${type}"; boundary=${boundary}` },
    body: Buffer.concat([...pieces, Buffer.from(`\r\n--${boundary}--`)]),
  };
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const held = [];
  for await (const chunk of chunks) held.push(chunk);
  return Buffer.concat(held);
}

export const instance: StorableInstance = {
  sopInstanceUid: '1.2.3',
  sopClassUid: '1.2.840.10008.5.1.4.1.1.77.1.6',
  byteLength: FILE.length,
  rows: 16,
  columns: 16,
  numberOfFrames: 3,
  async *stream() {
    for (let at = 0; at < FILE.length; at += 60_000) yield FILE.subarray(at, at + 60_000);
  },
};
export const referenced = {
  '00081199': { vr: 'SQ', Value: [{ '00081155': { vr: 'UI', Value: ['1.2.3'] } }] },
};
export const failed = (reason: number): unknown => ({
  '00081198': {
    vr: 'SQ',
    Value: [{ '00081155': { vr: 'UI', Value: ['1.2.3'] }, '00081197': { vr: 'US', Value: [reason] } }],
  },
});
export const shown = (frames: number): unknown => [
  {
    '00080018': { vr: 'UI', Value: ['1.2.3'] },
    '0020000E': { vr: 'UI', Value: ['1.2'] },
    '00280008': { vr: 'IS', Value: [String(frames)] },
    '00280010': { vr: 'US', Value: [16] },
    '00280011': { vr: 'US', Value: [16] },
  },
];

/** Answers POST requests with the given responses in turn, repeating the last one, and searches with `found`. */
export function storing(
  answers: readonly { status: number; body?: unknown; headers?: Record<string, string> }[],
  found: unknown = [],
): Handler {
  let posts = 0;
  return async (request, response) => {
    if (request.method === 'GET') {
      response.setHeader('Content-Type', 'application/dicom+json').end(JSON.stringify(found));
      return;
    }
    await bodyOf(request);
    const { status, body, headers } = answers[Math.min(posts++, answers.length - 1)]!;
    response.writeHead(status, headers).end(body === undefined ? '' : JSON.stringify(body));
  };
}

export const posts = (server: FaultServer): number =>
  server.requests.filter((request) => request.startsWith('POST')).length;
