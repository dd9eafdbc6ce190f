import { setTimeout as pause } from 'node:timers/promises';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createDicomWebClient, type StorableInstance } from '../../server/src/dicomweb/client.ts';
import { textOf } from '../../server/src/dicomweb/dicom-json.ts';
import { bodyOf, type FaultServer, type Handler, startFaultServer } from '../support/fault-server.ts';
import { withServer } from '../support/with-server.ts';

const signal = new AbortController().signal;
const FILE = Buffer.alloc(200_000, 'dicom');

function multipart(
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

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const held = [];
  for await (const chunk of chunks) held.push(chunk);
  return Buffer.concat(held);
}

const instance: StorableInstance = {
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
const referenced = { '00081199': { vr: 'SQ', Value: [{ '00081155': { vr: 'UI', Value: ['1.2.3'] } }] } };
const failed = (reason: number): unknown => ({
  '00081198': {
    vr: 'SQ',
    Value: [{ '00081155': { vr: 'UI', Value: ['1.2.3'] }, '00081197': { vr: 'US', Value: [reason] } }],
  },
});
const shown = (frames: number): unknown => [
  {
    '00080018': { vr: 'UI', Value: ['1.2.3'] },
    '0020000E': { vr: 'UI', Value: ['1.2'] },
    '00280008': { vr: 'IS', Value: [String(frames)] },
    '00280010': { vr: 'US', Value: [16] },
    '00280011': { vr: 'US', Value: [16] },
  },
];

/** Answers POSTs with the given answers in turn, the last one for ever, and searches with `found`. */
function storing(
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

const posts = (server: FaultServer): number =>
  server.requests.filter((request) => request.startsWith('POST')).length;

describe('GET requests', () => {
  it.each([
    [401, 'ARCHIVE_REFUSED'],
    [403, 'ARCHIVE_REFUSED'],
    [404, 'SERIES_NOT_FOUND'],
    [500, 'ARCHIVE_ERROR'],
  ])('maps status %i to %s and does not repeat the request', async (status, code) => {
    await withServer(
      (_, response) => void response.writeHead(status).end('no'),
      async (client, server) => {
        await expect(client.seriesMetadata('1', '2', signal)).rejects.toMatchObject({
          code,
          data: { status },
        });
        expect(server.requests).toHaveLength(1);
      },
    );
  });

  it.each([429, 502, 503, 504])('repeats a request answered with %i', async (status) => {
    await withServer(
      (_, response, number) =>
        void (number < 2 ? response.writeHead(status, { 'Retry-After': '0' }).end() : response.end('[{}]')),
      async (client, server) => {
        await expect(client.seriesMetadata('1', '2', signal)).resolves.toHaveLength(1);
        expect(server.requests).toHaveLength(3);
      },
    );
  });

  it('gives up after as many retries as it may make', async () => {
    await withServer(
      (_, response) => void response.writeHead(503).end(),
      async (client, server) => {
        await expect(client.seriesMetadata('1', '2', signal)).rejects.toMatchObject({
          code: 'ARCHIVE_ERROR',
        });
        expect(server.requests).toHaveLength(3);
      },
      { maxRetries: 2 },
    );
  });

  it('repeats a request whose connection breaks', async () => {
    await withServer(
      (request, response, number) => void (number === 0 ? request.socket.destroy() : response.end('[]')),
      async (client) => expect(await client.seriesMetadata('1', '2', signal)).toEqual([]),
    );
  });

  it('says ARCHIVE_UNREACHABLE where nobody listens', async () => {
    const client = createDicomWebClient({
      url: 'http://127.0.0.1:9/dicom-web',
      maxRetries: 1,
      retryDelayMs: 1,
    });
    await expect(client.searchStudies({}, signal)).rejects.toMatchObject({
      code: 'ARCHIVE_UNREACHABLE',
      data: { cause: 'ECONNREFUSED' },
    });
    await client.close();
  });

  it('says ARCHIVE_TIMEOUT for an archive that hangs, before its headers and within its body', async () => {
    await withServer(
      () => {},
      async (client) =>
        expect(client.seriesMetadata('1', '2', signal)).rejects.toMatchObject({ code: 'ARCHIVE_TIMEOUT' }),
      { timeoutMs: 300 },
    );
    await withServer(
      (_, response) => void response.write('[{'),
      async (client) =>
        expect(client.seriesMetadata('1', '2', signal)).rejects.toMatchObject({ code: 'ARCHIVE_TIMEOUT' }),
      { timeoutMs: 300, maxRetries: 0 },
    );
  });

  it.each(['<html>', '{"a":1}', '[1]', '[[]]'])('says ARCHIVE_PROTOCOL for %s', async (body) => {
    await withServer(
      (_, response) => void response.end(body),
      async (client) =>
        expect(client.seriesMetadata('1', '2', signal)).rejects.toMatchObject({ code: 'ARCHIVE_PROTOCOL' }),
    );
  });

  it('stops reading metadata above the limit', async () => {
    await withServer(
      (_, response) => {
        const more = (): void => {
          while (!response.destroyed && response.write(' '.repeat(65_536)));
        };
        response.on('drain', more);
        more();
      },
      async (client) =>
        expect(client.seriesMetadata('1', '2', signal)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' }),
      { maxMetadataBytes: 1e6 },
    );
  });

  it('sends its headers to its own archive and follows no redirect to another', async () => {
    await using other = await startFaultServer((_, response) => void response.end('[]'));
    let authorization: string | undefined;
    await withServer(
      (request, response) => {
        authorization = request.headers.authorization;
        response.writeHead(302, { Location: other.url }).end();
      },
      async (client) =>
        expect(client.searchStudies({}, signal)).rejects.toMatchObject({ code: 'ARCHIVE_PROTOCOL' }),
      { headers: async () => ({ Authorization: 'Bearer secret' }) },
    );
    expect(authorization).toBe('Bearer secret');
    expect(other.requests).toEqual([]);
  });

  it('follows a redirect within the archive', async () => {
    await withServer(
      (request, response) =>
        void (request.url?.startsWith('/moved')
          ? response.end('[]')
          : response.writeHead(307, { Location: '/moved/studies' }).end()),
      async (client) => expect(await client.searchStudies({ limit: 1 }, signal)).toEqual([]),
    );
  });

  it('asks for nothing outside of its root, whatever a UID says', async () => {
    await withServer(
      (_, response) => void response.end('[]'),
      async (client, server) => {
        for (const uid of [
          '..',
          '.',
          '',
          '../../..',
          '1.2#',
          '1.2/../../3',
          '1.2?x',
          '1'.repeat(65),
          '\ud800',
        ])
          await expect(client.seriesMetadata('1.2', uid, signal)).rejects.toMatchObject({
            code: 'REQUEST_INVALID',
          });
        expect(server.requests).toEqual([]);
      },
    );
  });

  it('refuses JSON that is nested too deeply', async () => {
    await withServer(
      (_, response) => void response.end(`[{"00400275":${'['.repeat(1000)}${']'.repeat(1000)}}]`),
      async (client) =>
        expect(client.seriesMetadata('1.2', '1.3', signal)).rejects.toMatchObject({
          code: 'ARCHIVE_PROTOCOL',
          message: expect.stringContaining('nested too deeply'),
        }),
    );
  });

  it('names no query and no token in its errors', async () => {
    await withServer(
      (_, response) => void response.writeHead(500).end(),
      async (client) => {
        const error = await client
          .searchStudies({ PatientName: 'Secret' }, signal)
          .catch((thrown: unknown) => thrown);
        expect(JSON.stringify([error, (error as Error).message])).not.toMatch(/Secret|token/);
      },
      { headers: { 'X-Auth': 'token' } },
    );
  });

  it('refuses a URL that is none', () => {
    expect(() => createDicomWebClient({ url: 'ftp://archive' })).toThrow(
      expect.objectContaining({ code: 'CONFIGURATION_INVALID' }),
    );
  });
});

describe('search', () => {
  const result = (uid: number): unknown => ({
    '0020000D': { vr: 'UI', Value: ['1.2'] },
    '0020000E': { vr: 'UI', Value: [`1.${uid}`] },
  });

  it('fetches page after page, from the path the standard has for it', async () => {
    await withServer(
      (request, response) => {
        const { searchParams } = new URL(request.url!, 'http://x');
        const offset = Number(searchParams.get('offset'));
        response.end(
          JSON.stringify(
            [0, 1, 2]
              .map((i) => offset + i)
              .filter((i) => i < 7)
              .map(result),
          ),
        );
      },
      async (client, server) => {
        expect(await client.searchSeries({ StudyInstanceUID: '1.2', Modality: 'SM' }, signal)).toHaveLength(
          7,
        );
        expect(server.requests[0]).toBe('GET /dicom-web/studies/1.2/series?Modality=SM&limit=3');
      },
      { pageSize: 3 },
    );
  });

  it('stops at an archive that does not know offsets', async () => {
    await withServer(
      (_, response) => void response.end(JSON.stringify([result(1), result(2)])),
      async (client, server) => {
        expect(await client.searchSeries({}, signal)).toHaveLength(2);
        expect(server.requests).toHaveLength(2);
      },
      { pageSize: 2 },
    );
  });

  it('stops at an archive that always has more', async () => {
    const page = 50_000;
    await withServer(
      (_, response, number) =>
        void response.end(JSON.stringify(Array.from({ length: page }, (_, i) => result(number * page + i)))),
      async (client) =>
        expect(client.searchSeries({}, signal)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' }),
      { pageSize: page },
    );
  });

  it('goes on where the archive cuts off and says so', async () => {
    await withServer(
      (_, response, number) =>
        void response
          .writeHead(
            200,
            number === 0 ? { Warning: '299 x "There are 1 additional results that can be requested"' } : {},
          )
          .end(JSON.stringify([result(number)])),
      async (client) => expect(await client.searchSeries({}, signal)).toHaveLength(2),
    );
  });

  it.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ] as const)('reads answers that nobody asked to be compressed: %s', async (encoding, compress) => {
    await withServer(
      (request, response) => {
        expect(request.headers['accept-encoding']).toBe('identity');
        const body = compress(Buffer.from(JSON.stringify([result(1), result(2)])));
        response.writeHead(200, { 'Content-Encoding': encoding, 'Content-Length': body.length }).end(body);
      },
      async (client) => expect(await client.searchSeries({ limit: 5 }, signal)).toHaveLength(2),
    );
  });

  it('refuses compressed answers that are damaged, of another kind, or too large once they are read', async () => {
    const whole = gzipSync(Buffer.from(JSON.stringify([result(1)])));
    const bomb = gzipSync(Buffer.alloc(50e6, ' '));
    for (const [body, encoding, code] of [
      [Buffer.from('not gzip at all'), 'gzip', 'ARCHIVE_PROTOCOL'],
      [whole.subarray(0, whole.length - 9), 'gzip', 'ARCHIVE_PROTOCOL'],
      [whole, 'compress', 'ARCHIVE_PROTOCOL'],
      [bomb, 'gzip', 'PAYLOAD_TOO_LARGE'],
    ] as const)
      await withServer(
        (_, response) => void response.writeHead(200, { 'Content-Encoding': encoding }).end(body),
        async (client) => expect(client.searchSeries({ limit: 5 }, signal)).rejects.toMatchObject({ code }),
        { maxMetadataBytes: 1e6 },
      );
  });

  it('takes smaller pages from an archive that refuses large ones, and remembers it', async () => {
    const all = Array.from({ length: 450 }, (_, i) => result(i));
    await withServer(
      (request, response) => {
        const { searchParams } = new URL(request.url!, 'http://x');
        const [limit, offset] = ['limit', 'offset'].map((name) => Number(searchParams.get(name)));
        if (limit! > 200) response.writeHead(400).end();
        else response.end(JSON.stringify(all.slice(offset!, offset! + limit!)));
      },
      async (client, server) => {
        expect(await client.searchSeries({}, signal)).toHaveLength(450);
        expect(server.requests).toHaveLength(4);
        await client.searchSeries({}, signal);
        expect(server.requests).toHaveLength(7);
      },
    );
  });

  it('asks in each way once, and no longer, where the archive refuses the search itself', async () => {
    await withServer(
      (_, response) => void response.writeHead(400).end(),
      async (client, server) => {
        await expect(client.searchSeries({}, signal)).rejects.toMatchObject({ code: 'ARCHIVE_REFUSED' });
        expect(server.requests).toHaveLength(3);
      },
    );
  });

  it('drops what an archive that does not filter gives besides', async () => {
    const of = (uid: number, modality: string | null): unknown => ({
      ...(result(uid) as object),
      ...(modality !== null && { '00080060': { vr: 'CS', Value: [modality] } }),
    });
    const pages = [[of(1, 'CT'), of(2, 'CT')], [of(3, 'SM'), of(4, null)], [of(5, 'SM ')]];
    await withServer(
      (_, response, number) => void response.end(JSON.stringify(pages[number] ?? [])),
      async (client) => {
        const found = await client.searchSeries({ Modality: 'SM' }, signal);
        expect(found.map((json) => textOf(json, '0020000E'))).toEqual(['1.3', '1.4', '1.5']);
      },
      { pageSize: 2 },
    );
    await withServer(
      (_, response) => void response.end(JSON.stringify([result(1), result(2), result(3)])),
      async (client) => {
        const found = await client.searchSeries({ SeriesInstanceUID: '1.2,1.3', limit: 9 }, signal);
        expect(found.map((json) => textOf(json, '0020000E'))).toEqual(['1.2', '1.3']);
      },
    );
  });

  it('takes 204 as no results', async () => {
    await withServer(
      (_, response) => void response.writeHead(204).end(),
      async (client) => expect(await client.searchStudies({}, signal)).toEqual([]),
    );
  });
});

describe('retrieveInstance', () => {
  it.each(['multipart', 'single part'])('gives the bytes of a %s answer', async (kind) => {
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

  it('takes up a body that broke off where it broke off', async () => {
    const { headers, body } = multipart([FILE]);
    await withServer(
      (_, response, number) => {
        response.writeHead(200, { ...headers, 'Content-Length': body.length });
        if (number < 3)
          response.write(body.subarray(0, 60_000 * (number + 1)), () =>
            setTimeout(() => response.destroy(), 20),
          );
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
        if (number === 0)
          response.write(body.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 20));
        else response.end(body);
      },
      async (client) =>
        expect(collect(client.retrieveInstance('1', '2', '3', signal))).rejects.toMatchObject({
          code: 'ARCHIVE_TRUNCATED',
        }),
    );
  });

  it.each([
    ['a body without its end', (body: Buffer) => body.subarray(0, -9), 0, 'ARCHIVE_TRUNCATED'],
    ['a body shorter than its Content-Length', (body: Buffer) => body, 100, 'ARCHIVE_TRUNCATED'],
  ])('says what is wrong with %s', async (_, change, missing, code) => {
    const { headers, body } = multipart([FILE]);
    await withServer(
      (request, response) => {
        const sent = change(body);
        response.writeHead(200, { ...headers, 'Content-Length': sent.length + missing });
        response.write(sent, () => missing > 0 && setTimeout(() => request.socket.destroy(), 20));
        if (missing === 0) response.end();
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

  it('stops at once when it is aborted, and closes its connection', async () => {
    const abort = new AbortController();
    await withServer(
      (_, response) =>
        void response.writeHead(200, multipart([]).headers).write(multipart([FILE]).body.subarray(0, 5000)),
      async (client, server) => {
        setTimeout(() => abort.abort(), 50);
        const started = performance.now();
        await expect(collect(client.retrieveInstance('1', '2', '3', abort.signal))).rejects.toMatchObject({
          code: 'CANCELLED',
        });
        expect(performance.now() - started).toBeLessThan(1000);
        await pause(50);
        expect(await server.connections()).toBe(0);
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
        await pause(50);
        expect(await server.connections()).toBe(0);
      },
    );
  });

  it('stops waiting for a retry when it is aborted', async () => {
    const abort = new AbortController();
    await withServer(
      (_, response) => void response.writeHead(503, { 'Retry-After': '60' }).end(),
      async (client) => {
        setTimeout(() => abort.abort(new DOMException('late', 'TimeoutError')), 50);
        await expect(client.seriesMetadata('1', '2', abort.signal)).rejects.toMatchObject({
          code: 'TIMED_OUT',
        });
      },
    );
  });
});

it('takes up a compressed instance that broke off', async () => {
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

describe('retrieveFrames', () => {
  const frame = (number: number): Buffer => Buffer.from(`frame ${number}`);
  const framesOf = (url: string): number[] => url.split('/frames/')[1]!.split(',').map(Number);

  it('asks in batches and keeps the order', async () => {
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

  it('asks only for what is missing after a broken connection', async () => {
    await withServer(
      (request, response, number) => {
        const { headers, body } = multipart(framesOf(request.url!).map(frame));
        response.writeHead(200, { ...headers, 'Content-Length': body.length });
        if (number === 0)
          response.write(body.subarray(0, 130), () => setTimeout(() => response.destroy(), 20));
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
    ['fewer frames than asked for', 1, 'ARCHIVE_TRUNCATED'],
    ['more frames than asked for', 3, 'ARCHIVE_PROTOCOL'],
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

  it('takes a single frame that comes without multipart, and refuses a huge one', async () => {
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

describe('storeInstance', () => {
  it('sends one instance with its exact length', async () => {
    let seen: { length: string | undefined; encoding: string | undefined; body: Buffer } | undefined;
    await withServer(
      async (request, response) => {
        seen = {
          length: request.headers['content-length'],
          encoding: request.headers['transfer-encoding'],
          body: await bodyOf(request),
        };
        response.end(JSON.stringify(referenced));
      },
      async (client, server) => {
        await client.storeInstance('1.9', instance, signal);
        expect(server.requests).toEqual(['POST /dicom-web/studies/1.9']);
      },
    );
    expect(seen?.encoding).toBeUndefined();
    expect(Number(seen?.length)).toBe(seen?.body.length);
    expect(seen?.body.includes(FILE)).toBe(true);
  });

  it.each([
    [202, 0xa900, 'A900'],
    [409, 0xc000, 'C000'],
    [200, 0x0122, '0122'],
  ])('gives the reason of a permanent failure (%i)', async (status, reason, code) => {
    await withServer(storing([{ status, body: failed(reason) }]), async (client, server) => {
      await expect(client.storeInstance('1', instance, signal)).rejects.toMatchObject({
        code: 'STORE_REJECTED',
        data: { failureReason: code },
      });
      expect(posts(server)).toBe(1);
    });
  });

  it.each([0xa700, 0xa7ff, 0x0110, 0xb00f])('sends again after the passing failure %i', async (reason) => {
    await withServer(
      storing([
        { status: 409, body: failed(reason) },
        { status: 200, body: referenced },
      ]),
      async (client, server) => {
        await client.storeInstance('1', instance, signal);
        expect(posts(server)).toBe(2);
      },
    );
  });

  it('takes 202 as no success by itself', async () => {
    await withServer(storing([{ status: 202, body: {} }]), async (client) => {
      await expect(client.storeInstance('1', instance, signal)).rejects.toMatchObject({
        code: 'STORE_REJECTED',
      });
    });
  });

  it('looks before it sends again, and sends nothing where the instance is there', async () => {
    await withServer(storing([{ status: 503 }], shown(3)), async (client, server) => {
      await client.storeInstance('1', instance, signal);
      expect(posts(server)).toBe(1);
    });
  });

  it('sends again after a lost connection', async () => {
    const good = storing([{ status: 200, body: referenced }]);
    await withServer(
      async (request, response, number) => {
        if (number === 0) request.socket.destroy();
        else await good(request, response, number);
      },
      async (client, server) => {
        await client.storeInstance('1', instance, signal);
        expect(posts(server)).toBe(2);
      },
    );
  });

  it.each([
    ['reason 0111', { status: 409, body: failed(0x0111) }],
    ["reason B00E of Microsoft's server", { status: 409, body: failed(0xb00e) }],
    ['a bare 409', { status: 409 }],
  ])('takes a duplicate (%s) for success only when it is the same image', async (_, answer) => {
    await withServer(storing([answer], shown(3)), (client) => client.storeInstance('1', instance, signal));
    await withServer(storing([answer], shown(4)), async (client) => {
      await expect(client.storeInstance('1', instance, signal)).rejects.toMatchObject({
        code: 'STORE_REJECTED',
      });
    });
    await withServer(storing([answer], []), async (client) => {
      await expect(client.storeInstance('1', instance, signal)).rejects.toMatchObject({
        code: 'STORE_REJECTED',
      });
    });
  });

  it('believes a wordless 200 only when the instance is shown', async () => {
    await withServer(storing([{ status: 200 }], shown(3)), (client) =>
      client.storeInstance('1', instance, signal),
    );
    await withServer(storing([{ status: 200 }], []), async (client) => {
      await expect(client.storeInstance('1', instance, signal)).rejects.toMatchObject({
        code: 'STORE_UNVERIFIED',
      });
    });
  });

  it('reads a failure in XML', async () => {
    const xml = `<NativeDicomModel><DicomAttribute tag="00081198" vr="SQ"><Item number="1"><DicomAttribute tag="00081197" vr="US"><Value number="1">43264</Value></DicomAttribute></Item></DicomAttribute></NativeDicomModel>`;
    await withServer(
      async (request, response) => {
        await bodyOf(request);
        response.writeHead(409, { 'Content-Type': 'application/dicom+xml' }).end(xml);
      },
      async (client) =>
        expect(client.storeInstance('1', instance, signal)).rejects.toMatchObject({
          data: { failureReason: 'A900' },
        }),
    );
  });

  it('reads XML that is made to match almost everywhere in no time', async () => {
    const xml = `tag="00081198"${'tag="00081197"'.repeat(70_000)}`;
    await withServer(
      async (request, response) => {
        await bodyOf(request);
        response.writeHead(409).end(xml);
      },
      async (client) =>
        expect(client.storeInstance('1', instance, signal)).rejects.toMatchObject({ code: 'STORE_REJECTED' }),
    );
  }, 5000);

  it('says that a body is too large, even when the archive does not read it', async () => {
    const large: StorableInstance = {
      ...instance,
      byteLength: 50e6,
      async *stream() {
        for (let i = 0; i < 50; i++) yield Buffer.alloc(1e6);
      },
    };
    await withServer(
      (_, response) => void response.writeHead(413, { Connection: 'close' }).end('too large'),
      async (client) =>
        expect(client.storeInstance('1', large, signal)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' }),
    );
  });

  it('throws the fault of its own body as it is', async () => {
    await withServer(storing([{ status: 200, body: referenced }]), async (client) => {
      await expect(
        client.storeInstance('1', { ...instance, byteLength: FILE.length + 5 }, signal),
      ).rejects.toMatchObject({ code: 'INTERNAL' });
    });
  });

  it('stops sending when it is aborted', async () => {
    const abort = new AbortController();
    await withServer(
      (request) => void request.resume(),
      async (client, server) => {
        setTimeout(() => abort.abort(), 50);
        await expect(client.storeInstance('1', instance, abort.signal)).rejects.toMatchObject({
          code: 'CANCELLED',
        });
        await pause(50);
        expect(await server.connections()).toBe(0);
      },
    );
  });

  it('does not read its body faster than the archive does', async () => {
    let produced = 0;
    const large: StorableInstance = {
      ...instance,
      byteLength: 200e6,
      async *stream() {
        for (let i = 0; i < 200; i++) {
          produced++;
          yield Buffer.alloc(1e6);
        }
      },
    };
    const abort = new AbortController();
    await withServer(
      (request) => void request.pause(),
      async (client) => {
        setTimeout(() => abort.abort(), 300);
        await expect(client.storeInstance('1', large, abort.signal)).rejects.toMatchObject({
          code: 'CANCELLED',
        });
        expect(produced).toBeLessThan(20);
      },
    );
  });
});

describe('verifyInstance', () => {
  it('waits until the archive shows the instance', async () => {
    await withServer(
      (_, response, number) => void response.end(JSON.stringify(number < 2 ? [] : shown(3))),
      (client) => client.verifyInstance('1', '1.2', '1.2.3', { numberOfFrames: 3 }, signal),
    );
  });

  it.each([
    ['absent', []],
    ['other', shown(2)],
  ])('says STORE_UNVERIFIED where it is %s', async (presence, found) => {
    await withServer(storing([], found), async (client) => {
      await expect(
        client.verifyInstance('1', '1.2', '1.2.3', { numberOfFrames: 3 }, signal),
      ).rejects.toMatchObject({ code: 'STORE_UNVERIFIED', data: { presence } });
    });
  });

  it('reads the metadata where the search leaves attributes out', async () => {
    await withServer(
      (request, response) =>
        void response.end(
          JSON.stringify(
            request.url!.endsWith('/metadata') ? shown(3) : [{ '00080018': { vr: 'UI', Value: ['1.2.3'] } }],
          ),
        ),
      (client) => client.verifyInstance('1', '1.2', '1.2.3', { numberOfFrames: 3 }, signal),
    );
  });
});
