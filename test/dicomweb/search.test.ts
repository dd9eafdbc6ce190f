/** Searches of the archive, in pages. */
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { textOf } from '../../server/src/dicom/json-model.ts';
import { withServer } from '../support/with-server.ts';
import { signal } from './client-support.ts';

describe('search', () => {
  const result = (uid: number): unknown => ({
    '0020000D': { vr: 'UI', Value: ['1.2'] },
    '0020000E': { vr: 'UI', Value: [`1.${uid}`] },
  });

  it('fetches page after page, from the path that the standard defines', async () => {
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

  it('keeps series apart that have the same UID in two studies', async () => {
    const inStudy = (study: string): unknown => ({
      '0020000D': { vr: 'UI', Value: [study] },
      '0020000E': { vr: 'UI', Value: ['1.5'] },
    });
    await withServer(
      (_, response) => void response.end(JSON.stringify([inStudy('1.2'), inStudy('1.3')])),
      async (client) => {
        const found = await client.searchSeries({}, signal);
        expect(found.map((item) => textOf(item, '0020000D'))).toEqual(['1.2', '1.3']);
      },
    );
  });

  it('stops if the archive ignores offsets', async () => {
    await withServer(
      (_, response) => void response.end(JSON.stringify([result(1), result(2)])),
      async (client, server) => {
        expect(await client.searchSeries({}, signal)).toHaveLength(2);
        expect(server.requests).toHaveLength(2);
      },
      { pageSize: 2 },
    );
  });

  it('stops if the archive never runs out of results', async () => {
    const page = 50_000;
    await withServer(
      (_, response, number) =>
        void response.end(JSON.stringify(Array.from({ length: page }, (_, i) => result(number * page + i)))),
      async (client) =>
        expect(client.searchSeries({}, signal)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' }),
      { pageSize: page },
    );
  });

  it('continues if the archive truncates results and says so', async () => {
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
  ] as const)('reads responses that are compressed without a request: %s', async (encoding, compress) => {
    await withServer(
      (request, response) => {
        expect(request.headers['accept-encoding']).toBe('identity');
        const body = compress(Buffer.from(JSON.stringify([result(1), result(2)])));
        response.writeHead(200, { 'Content-Encoding': encoding, 'Content-Length': body.length }).end(body);
      },
      async (client) => expect(await client.searchSeries({ limit: 5 }, signal)).toHaveLength(2),
    );
  });

  it('refuses compressed responses that are damaged, of another format, or too large once inflated', async () => {
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

  it('uses smaller pages if an archive refuses large ones, and remembers it', async () => {
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

  it('tries each way once, and no more, if the archive refuses the search itself', async () => {
    await withServer(
      (_, response) => void response.writeHead(400).end(),
      async (client, server) => {
        await expect(client.searchSeries({}, signal)).rejects.toMatchObject({ code: 'ARCHIVE_REFUSED' });
        expect(server.requests).toHaveLength(3);
      },
    );
  });

  it('drops surplus results of an archive that does not filter', async () => {
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

  it('takes 204 as an empty result', async () => {
    await withServer(
      (_, response) => void response.writeHead(204).end(),
      async (client) => expect(await client.searchStudies({}, signal)).toEqual([]),
    );
  });
});
