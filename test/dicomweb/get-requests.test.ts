/** What all requests to the archive have in common: retries, limits, redirects, errors. */
import { describe, expect, it } from 'vitest';
import { createDicomWebClient } from '../../server/src/dicomweb/client.ts';
import { startFaultServer } from '../support/fault-server.ts';
import { withServer } from '../support/with-server.ts';
import { signal } from './client-support.ts';

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
        // What has no metadata may still be listed.
        expect(server.requests).toHaveLength(status === 404 ? 2 : 1);
      },
    );
  });

  it('takes over what an archive of this product says is wrong with a slide', async () => {
    const problem = { code: 'DICOM_INVALID', detail: 'The pixel data are damaged at byte 7.' };
    const answers: [string, object, object][] = [
      ['application/problem+json', problem, { code: 'DICOM_INVALID', message: problem.detail }],
      ['application/problem+json', { ...problem, code: 'UNAUTHENTICATED' }, { code: 'ARCHIVE_REFUSED' }],
      ['application/problem+json', { detail: 'no' }, { code: 'ARCHIVE_REFUSED' }],
      ['application/json', problem, { code: 'ARCHIVE_REFUSED' }],
    ];
    for (const [type, body, expected] of answers)
      await withServer(
        (_, response) => void response.writeHead(422, { 'Content-Type': type }).end(JSON.stringify(body)),
        async (client) => {
          const asked = client.seriesMetadata('1', '2', signal);
          await expect(asked).rejects.toMatchObject({ ...expected, data: { status: 422 } });
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

  it('gives up after the maximum number of retries', async () => {
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

  it('reports ARCHIVE_UNREACHABLE if nothing listens at the address', async () => {
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

  it('reports ARCHIVE_TIMEOUT for an archive that hangs, before its headers or within its body', async () => {
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

  it('sends its headers to its own archive and does not follow a redirect to another host', async () => {
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

  it('never leaves its root, whatever a UID contains', async () => {
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

  it('keeps queries and tokens out of its errors', async () => {
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

  it('refuses a malformed URL', () => {
    expect(() => createDicomWebClient({ url: 'ftp://archive' })).toThrow(
      expect.objectContaining({ code: 'CONFIGURATION_INVALID' }),
    );
  });
});
