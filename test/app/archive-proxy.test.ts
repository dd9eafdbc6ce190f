/** The way to the configured archive, against archives over real HTTP that tell what reached them. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import express from 'express';
import { afterEach, describe, expect, test } from 'vitest';
import { archiveProxy } from '../../server/src/app/archive-proxy.ts';
import { type Listening, listen } from '../../server/src/app/listen.ts';
import { createLogger, requestLog } from '../../server/src/app/log.ts';
import { problemHandler } from '../../server/src/app/problem.ts';
import { securityHeaders } from '../../server/src/app/security.ts';
import { archiveCredentials } from '../../server/src/auth/archive-credentials.ts';
import { bodyOf, type FaultServer, type Handler, startFaultServer } from '../support/fault-server.ts';

const log = createLogger({ level: 'silent' });
const FRAME = '/studies/1.2/series/1.3/instances/1.4/frames/1';
let open: AsyncDisposableStack;
afterEach(() => open.disposeAsync());

interface Options {
  readonly headers?: Record<string, string>;
  readonly timeoutSeconds?: number;
  readonly users?: 'known' | 'unknown';
  /** Whether there is a login. */
  readonly isRequired?: boolean;
  /** What the configured URL holds before the host, or instead of the archive's own URL. */
  readonly url?: (archive: FaultServer) => string;
}

/** An archive that does what `handle` says, and our service before it. */
async function start(
  handle: Handler,
  { headers = {}, timeoutSeconds = 10, url, users = 'known', isRequired = false }: Options = {},
) {
  open = new AsyncDisposableStack();
  const archive = open.use(await startFaultServer(handle));
  const proxy = archiveProxy(
    { url: url?.(archive) ?? archive.url, timeoutSeconds, users, bulkDataKey: randomBytes(32) },
    { isRequired },
    archiveCredentials({ headers, users, oauth: {} }),
  );
  const app = express()
    .set('basePath', '/stain')
    .use(requestLog(log), securityHeaders({ allowedOrigins: [], tls: {} }))
    .use('/stain/dicom-web', proxy)
    .use(problemHandler(log));
  const service: Listening = await listen(app, { host: '127.0.0.1', port: 0, graceMs: 0 });
  open.defer(() => service.close());
  const root = `${service.url}/stain/dicom-web`;
  return {
    archive,
    service,
    get: (path: string, given: Record<string, string> = {}) => fetch(root + path, { headers: given }),
    /** As it stands: fetch would tidy paths up, and hides some headers. */
    raw: (path: string, given: Record<string, string> = {}) =>
      new Promise<{ status: number; headers: IncomingHttpHeaders; text: string }>((resolve, reject) => {
        const { hostname, port } = new URL(service.url);
        const options = { hostname, port, path: `/stain/dicom-web${path}`, headers: given };
        const request = httpRequest(options, async (response) => {
          const text = (await bodyOf(response)).toString();
          resolve({ status: response.statusCode!, headers: response.headers, text });
        });
        request.on('error', reject).end();
      }),
  };
}

/** Answers every request with the headers it came with. */
const mirror: Handler = (request, response) => {
  response.setHeader('Content-Type', 'application/json').end(JSON.stringify(request.headers));
};
const seen = async (response: Response) => (await response.json()) as IncomingHttpHeaders;

describe('what reaches the archive', () => {
  test('the path below its root with the query, and our host in Forwarded', async () => {
    const { archive, service, get } = await start(mirror);
    const headers = await seen(
      await get('/studies?PatientID=a%20b&limit=1', { 'X-Forwarded-Host': 'evil.example' }),
    );
    expect(archive.requests).toEqual(['GET /dicom-web/studies?PatientID=a%20b&limit=1']);
    expect(headers).toMatchObject({
      host: new URL(archive.url).host,
      forwarded: `host=${new URL(service.url).host};proto=http`,
    });
    expect(headers).not.toHaveProperty('x-forwarded-host');
  });

  test('frames are asked for as they are stored; their renderings and all else as the viewer asks', async () => {
    const { get } = await start(mirror);
    const accept = 'multipart/related; type="image/jpeg", multipart/related; type="image/jp2"';
    const acceptOf = async (path: string) => (await seen(await get(path, { accept }))).accept;
    const stored = 'multipart/related; type="application/octet-stream"; transfer-syntax=*';
    expect(await acceptOf(FRAME)).toBe(stored);
    expect(await acceptOf(`${FRAME},2,13`)).toBe(stored);
    expect(await acceptOf(`${FRAME}%2C2`)).toBe(stored);
    expect(await acceptOf(`${FRAME}?charset=utf-8`)).toBe(stored);
    expect(await acceptOf(`${FRAME}/rendered`)).toBe(accept);
    expect(await acceptOf('/studies/1.2')).toBe(accept);
  });

  test("the service's credentials, unless the browser sends a user's own; never our cookies", async () => {
    const headers = { Authorization: 'Bearer service', 'X-Api-Key': 'key' };
    const { get, raw } = await start(mirror, { headers });
    const ours = await seen(await get('/studies', { cookie: 'session=1' }));
    expect(ours).toMatchObject({ authorization: 'Bearer service', 'x-api-key': 'key' });
    expect(ours).not.toHaveProperty('cookie');
    const theirs = await seen(await get('/studies', { authorization: 'Bearer user' }));
    expect(theirs.authorization).toBe('Bearer user');
    expect(theirs).not.toHaveProperty('x-api-key');

    const { text } = await raw('/studies', { expect: '100-continue', cookie: 'session=1' });
    expect(JSON.parse(text)).toMatchObject({ authorization: 'Bearer service' });
    expect(text).not.toContain('session');
  });

  test('user and password of the configured URL', async () => {
    const { get } = await start(mirror, { url: ({ url }) => url.replace('//', '//me:p%40ss@') });
    const expected = `Basic ${Buffer.from('me:p@ss').toString('base64')}`;
    expect((await seen(await get('/studies'))).authorization).toBe(expected);
    expect((await seen(await get('/studies', { authorization: 'Bearer user' }))).authorization).toBe(
      'Bearer user',
    );
  });

  test('no header that is meant for one connection', async () => {
    const { raw } = await start(mirror);
    const given = { te: 'trailers', 'proxy-authorization': 'Basic x', 'keep-alive': '5' };
    const { text } = await raw('/studies', given);
    for (const name of ['te', 'proxy-authorization', 'keep-alive'])
      expect(JSON.parse(text)).not.toHaveProperty(name);
  });

  test('reading and STOW-RS, and nothing else', async () => {
    const bodies: string[] = [];
    const { archive, service } = await start(async (request, response) => {
      bodies.push((await bodyOf(request)).toString());
      response.end();
    });
    const send = async (method: string, path: string) => {
      const body = ['POST', 'PUT'].includes(method) ? 'slide' : null;
      return (await fetch(`${service.url}/stain/dicom-web${path}`, { method, body })).status;
    };
    expect(await send('POST', '/studies')).toBe(200);
    expect(await send('POST', '/studies/1.2.3')).toBe(200);
    expect(await send('HEAD', '/studies')).toBe(200);
    expect(bodies).toEqual(['slide', 'slide', '']);
    for (const [method, path] of [
      ['DELETE', '/studies/1.2.3'],
      ['PUT', '/studies/1.2.3'],
      ['POST', '/studies/1.2.3/series'],
      ['POST', '/workitems'],
    ] as const)
      expect(await send(method, path)).toBe(400);
    expect(archive.requests).toHaveLength(3);
  });

  test.each([
    '/../admin',
    '/studies/..',
    '/studies/%2e%2e/%2e%2e/admin',
    '/..%2fadmin',
    '/..;/admin',
    '/.;a=b/..;c/admin',
    '/..%3b/admin',
    '/%252e%252e/admin',
    '/..\\admin',
    '/..%5cadmin',
  ])('not %s, which leaves its path', async (path) => {
    const { archive, raw } = await start(mirror);
    const response = await raw(path);
    expect(response.status).toBe(400);
    expect(response.headers['content-type']).toMatch(/problem\+json/);
    expect(archive.requests).toEqual([]);
  });
});

describe('what comes back', () => {
  test('bytes, status and type, under our security headers', async () => {
    const bytes = Buffer.alloc(3_000_000, 7);
    const { get } = await start((_request, response) => {
      response.writeHead(206, {
        'Content-Type': 'multipart/related; boundary=b',
        'Content-Security-Policy': 'default-src *',
        'Cross-Origin-Resource-Policy': 'cross-origin',
        'Access-Control-Allow-Origin': '*',
        'Access-Control-Allow-Credentials': 'true',
        'Set-Cookie': 'archive=1',
        Server: 'archive/1.0',
        ETag: '"1"',
      });
      response.end(bytes);
    });
    const response = await get('/studies/1.2');
    expect(response.status).toBe(206);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'multipart/related; boundary=b',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'cross-origin-resource-policy': 'same-origin',
      etag: '"1"',
    });
    for (const name of [
      'set-cookie',
      'server',
      'access-control-allow-origin',
      'access-control-allow-credentials',
    ])
      expect(response.headers.has(name)).toBe(false);
    expect(bytes.equals(Buffer.from(await response.arrayBuffer()))).toBe(true);
  });

  test('a redirect is neither followed nor handed on', async () => {
    const { archive, raw } = await start((_request, response) => {
      response.writeHead(302, { Location: '/dicom-web/elsewhere' }).end();
    });
    const response = await raw('/studies');
    expect(response.headers.location).toBeUndefined();
    expect(archive.requests).toHaveLength(1);
  });

  test.each([
    [
      'an archive that hangs up',
      'ARCHIVE_UNREACHABLE',
      ((request) => void request.socket.destroy()) as Handler,
    ],
    ['one that says nothing', 'ARCHIVE_TIMEOUT', (() => {}) as Handler],
  ])('of %s: a problem, %s', async (_name, code, handle) => {
    const { get } = await start(handle, { timeoutSeconds: 0.2 });
    const response = await get('/studies');
    expect(response.headers.get('content-type')).toMatch(/problem\+json/);
    expect(await response.json()).toMatchObject({ code });
    expect(response.status).toBe(code === 'ARCHIVE_TIMEOUT' ? 504 : 502);
  });

  test('of an archive that drops the connection: asked for once more, if it only reads', async () => {
    let drops = 1;
    const { archive, get, raw } = await start((request, response, number) => {
      if (drops-- > 0) request.socket.destroy();
      else mirror(request, response, number);
    });
    expect((await get('/studies')).status).toBe(200);
    expect(archive.requests).toEqual(['GET /dicom-web/studies', 'GET /dicom-web/studies']);
    drops = 2;
    const refused = await raw('/studies');
    expect(refused.status).toBe(502);
    expect(JSON.parse(refused.text)).toMatchObject({ code: 'ARCHIVE_UNREACHABLE' });
  });

  test('of an archive that is away: a problem', async () => {
    const { get } = await start(mirror, { url: () => 'http://127.0.0.1:9/dicom-web' });
    const response = await get('/studies');
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ code: 'ARCHIVE_UNREACHABLE' });
  });

  test.each([
    ['breaks off', ((_request, response) => void response.socket!.destroy()) as Handler],
    ['falls silent', (() => {}) as Handler],
  ])('an answer that %s half-way is no whole answer', async (_name, end) => {
    const { get } = await start(
      (request, response, number) => {
        response.writeHead(200, { 'Content-Length': '100' });
        response.write('half', () => void end(request, response, number));
      },
      { timeoutSeconds: 0.2 },
    );
    await expect(get('/studies').then((response) => response.text())).rejects.toThrow();
  });

  test('when the browser goes away, the request to the archive ends', async () => {
    let left: Promise<unknown> | undefined;
    const { service } = await start((_request, response) => {
      left = once(response, 'close');
      response.write('half');
    });
    const browser = new AbortController();
    const response = await fetch(`${service.url}/stain/dicom-web/studies`, { signal: browser.signal });
    browser.abort();
    await left;
    await expect(response.text()).rejects.toThrow();
  });
});
