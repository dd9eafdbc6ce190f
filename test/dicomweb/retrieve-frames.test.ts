/** Frames are retrieved in batches. */
import { describe, expect, it } from 'vitest';
import { breakOffAfter } from '../support/fault-server.ts';
import { withServer } from '../support/with-server.ts';
import { multipart, signal } from './client-support.ts';

describe('retrieveFrames', () => {
  const frame = (number: number): Buffer => Buffer.from(`frame ${number}`);
  const framesOf = (url: string): number[] => url.split('/frames/')[1]!.split(',').map(Number);

  it('requests batches and keeps the order', async () => {
    const wanted = [5, 3, 1, 2, 9, 3, 7];
    await withServer(
      (request, response) => {
        const { headers, body } = multipart(framesOf(request.url!).map(frame), 'image/jpeg');
        response.writeHead(200, headers).end(body);
      },
      async (client, server) => {
        const got = [];
        for await (const one of client.retrieveFrames('1', '2', '3', wanted, signal)) got.push(one);
        expect(got.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(
          wanted.map((n) => `frame ${n}`),
        );
        expect(got.map(({ index, frameNumber }) => [index, frameNumber])).toEqual(
          wanted.map((n, i) => [i, n]),
        );
        expect(got[0]!.contentType).toBe('image/jpeg');
        expect(server.requests.map((request) => framesOf(request).length)).toEqual([3, 3, 1]);
      },
      { framesPerRequest: 3 },
    );
  });

  it('requests only the missing frames after a broken connection', async () => {
    await withServer(
      (request, response, number) => {
        const { headers, body } = multipart(framesOf(request.url!).map(frame));
        response.writeHead(200, { ...headers, 'Content-Length': body.length });
        if (number === 0) breakOffAfter(response, body.subarray(0, 130));
        else response.end(body);
      },
      async (client, server) => {
        const got = [];
        for await (const { bytes } of client.retrieveFrames('1', '2', '3', [1, 2, 3, 4], signal))
          got.push(Buffer.from(bytes).toString());
        expect(got).toEqual(['frame 1', 'frame 2', 'frame 3', 'frame 4']);
        expect(framesOf(server.requests[1]!)).toEqual([3, 4]);
      },
    );
  });

  it('keeps its URLs short', async () => {
    await withServer(
      (request, response) => {
        const { headers, body } = multipart(framesOf(request.url!).map(frame));
        response.writeHead(200, headers).end(body);
      },
      async (client, server) => {
        const wanted = Array.from({ length: 2500 }, (_, i) => 1_000_000 + i);
        let count = 0;
        for await (const _ of client.retrieveFrames('1', '2', '3', wanted, signal)) count++;
        expect(count).toBe(2500);
        for (const request of server.requests) expect(request.length).toBeLessThan(7000);
      },
    );
  });

  it.each([
    ['fewer frames than requested', 1, 'ARCHIVE_TRUNCATED'],
    ['more frames than requested', 3, 'ARCHIVE_PROTOCOL'],
  ])('refuses %s', async (_, count, code) => {
    const { headers, body } = multipart(Array.from({ length: count }, (_, i) => frame(i)));
    await withServer(
      (_, response) => void response.writeHead(200, headers).end(body),
      async (client) => {
        await expect(async () => {
          for await (const _ of client.retrieveFrames('1', '2', '3', [1, 2], signal));
        }).rejects.toMatchObject({ code });
      },
    );
  });

  it('accepts a single frame that is not multipart, and refuses a huge one', async () => {
    await withServer(
      (_, response) => void response.writeHead(200, { 'Content-Type': 'image/jpeg' }).end(Buffer.alloc(5000)),
      async (client) => {
        for await (const { bytes } of client.retrieveFrames('1', '2', '3', [1], signal))
          expect(bytes).toHaveLength(5000);
      },
    );
    await withServer(
      (_, response) => void response.writeHead(200, { 'Content-Type': 'image/jpeg' }).end(Buffer.alloc(5000)),
      async (client) => {
        await expect(async () => {
          for await (const _ of client.retrieveFrames('1', '2', '3', [1], signal));
        }).rejects.toMatchObject({ code: 'ARCHIVE_PROTOCOL' });
      },
      { maxFrameBytes: 4000 },
    );
  });
});
