/** Whole instances, retrieved in one piece or in several. */
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { breakOffAfter } from '../support/fault-server.ts';
import { withServer } from '../support/with-server.ts';
import { collect, FILE, multipart, signal } from './client-support.ts';

describe('retrieveInstance', () => {
  it.each(['multipart', 'single part'])('returns the bytes of a %s response', async (kind) => {
    const answer =
      kind === 'multipart'
        ? multipart([FILE])
        : { headers: { 'Content-Type': 'application/dicom' }, body: FILE };
    await withServer(
      (request, response) => {
        expect(request.headers.accept).toBe('multipart/related; type="application/dicom"; transfer-syntax=*');
        response.writeHead(200, answer.headers).end(answer.body);
      },
      async (client) =>
        expect((await collect(client.retrieveInstance('1', '2', '3', signal))).equals(FILE)).toBe(true),
    );
  });

  it('resumes a truncated body where it ended', async () => {
    const { headers, body } = multipart([FILE]);
    await withServer(
      (_, response, number) => {
        response.writeHead(200, { ...headers, 'Content-Length': body.length });
        if (number < 3) breakOffAfter(response, body.subarray(0, 60_000 * (number + 1)));
        else response.end(body);
      },
      async (client, server) => {
        expect((await collect(client.retrieveInstance('1', '2', '3', signal))).equals(FILE)).toBe(true);
        expect(server.requests).toHaveLength(4);
      },
      { maxRetries: 1 },
    );
  });

  it('never joins two different bodies', async () => {
    await withServer(
      (_, response, number) => {
        const { headers, body } = multipart([Buffer.alloc(FILE.length, String(number))]);
        response.writeHead(200, { ...headers, 'Content-Length': body.length });
        if (number === 0) breakOffAfter(response, body.subarray(0, 100_000));
        else response.end(body);
      },
      async (client) =>
        expect(collect(client.retrieveInstance('1', '2', '3', signal))).rejects.toMatchObject({
          code: 'ARCHIVE_TRUNCATED',
        }),
    );
  });

  it.each([
    ['a body without its closing delimiter', (body: Buffer) => body.subarray(0, -9), 0, 'ARCHIVE_TRUNCATED'],
    ['a body shorter than its Content-Length', (body: Buffer) => body, 100, 'ARCHIVE_TRUNCATED'],
  ])('says what is wrong with %s', async (_, change, missing, code) => {
    const { headers, body } = multipart([FILE]);
    await withServer(
      (_request, response) => {
        const sent = change(body);
        response.writeHead(200, { ...headers, 'Content-Length': sent.length + missing });
        if (missing > 0) breakOffAfter(response, sent);
        else response.end(sent);
      },
      async (client) =>
        expect(collect(client.retrieveInstance('1', '2', '3', signal))).rejects.toMatchObject({ code }),
      { maxRetries: 0 },
    );
  });

  it('refuses an HTML page and two instances', async () => {
    const two = multipart([FILE, FILE]);
    await withServer(
      (_, response, number) =>
        void (number === 0
          ? response.writeHead(200, { 'Content-Type': 'text/html' }).end('hello')
          : response.writeHead(200, two.headers).end(two.body)),
      async (client) => {
        await expect(collect(client.retrieveInstance('1', '2', '3', signal))).rejects.toMatchObject({
          code: 'ARCHIVE_PROTOCOL',
        });
        await expect(collect(client.retrieveInstance('1', '2', '3', signal))).rejects.toMatchObject({
          code: 'ARCHIVE_PROTOCOL',
        });
      },
    );
  });

  it('stops at once when aborted, and closes its connection', async () => {
    const abort = new AbortController();
    await withServer(
      (_, response) =>
        void response
          .writeHead(200, multipart([]).headers)
          .write(multipart([FILE]).body.subarray(0, 5000), () => abort.abort()),
      async (client, server) => {
        await expect(collect(client.retrieveInstance('1', '2', '3', abort.signal))).rejects.toMatchObject({
          code: 'CANCELLED',
        });
        await expect.poll(() => server.connections()).toBe(0);
      },
      { timeoutMs: 60_000 },
    );
  });

  it('closes its connection when the consumer leaves', async () => {
    await withServer(
      (_, response) =>
        void response.writeHead(200, multipart([]).headers).write(multipart([FILE]).body.subarray(0, 5000)),
      async (client, server) => {
        for await (const _ of client.retrieveInstance('1', '2', '3', signal)) break;
        await expect.poll(() => server.connections()).toBe(0);
      },
    );
  });

  it('stops waiting for a retry when aborted', async () => {
    const abort = new AbortController();
    await withServer(
      (_, response) => void response.writeHead(503, { 'Retry-After': '60' }).end(),
      async (client) => {
        // Time to read the response and start waiting; an earlier abort gives the same error.
        setTimeout(() => abort.abort(new DOMException('late', 'TimeoutError')), 50);
        await expect(client.seriesMetadata('1', '2', abort.signal)).rejects.toMatchObject({
          code: 'TIMED_OUT',
        });
      },
    );
  });
});

it('resumes a truncated compressed instance', async () => {
  const { headers, body } = multipart([
    Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i) % 251)),
  ]);
  const compressed = gzipSync(body);
  await withServer(
    (_, response, number) => {
      response.writeHead(200, {
        ...headers,
        'Content-Encoding': 'gzip',
        'Content-Length': compressed.length,
      });
      if (number > 0) return void response.end(compressed);
      response.write(compressed.subarray(0, compressed.length / 2), () => response.destroy());
    },
    async (client) => {
      const lengths: number[] = [];
      const onLength = async (bytes: number): Promise<void> => void lengths.push(bytes);
      expect(await collect(client.retrieveInstance('1', '1.2', '1.2.3', signal, onLength))).toHaveLength(
        300_000,
      );
      expect(lengths).toEqual([]);
    },
  );
});
