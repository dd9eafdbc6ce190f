/** The proxy to the configured archive, tested with archives over real HTTP that report the requests they receive. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import express from 'express';
import { afterEach, describe, expect, test } from 'vitest';
import { type ArchiveCredentials, archiveCredentials } from '../../server/src/auth/archive-credentials.ts';
import { archiveProxy } from '../../server/src/http/archive-proxy.ts';
import { type Listening, listen } from '../../server/src/http/listen.ts';
import { createLogger, requestLog } from '../../server/src/http/log.ts';
import { problemHandler } from '../../server/src/http/problem.ts';
import { securityHeaders } from '../../server/src/http/security.ts';
import { bodyOf, type FaultServer, type Handler, startFaultServer } from '../support/fault-server.ts';

const log = createLogger({ level: 'silent' });
const FRAME = '/studies/1.2/series/1.3/instances/1.4/frames/1';
let open: AsyncDisposableStack;
afterEach(() => open.disposeAsync());

interface Options {
  readonly headers?: Record<string, string>;
  readonly timeoutSeconds?: number;
  readonly users?: 'known' | 'unknown';
  /** Whether users log in. */
  readonly isRequired?: boolean;
  readonly credentials?: ArchiveCredentials;
  /** What precedes the host in the configured URL, or a URL in place of the archive's own. */
  readonly url?: (archive: FaultServer) => string;
}

/** An archive that does what `handle` does, behind our service. */
async function start(
  handle: Handler,
  { headers = {}, timeoutSeconds = 10, url, users = 'known', isRequired = false, ...more }: Options = {},
) {
  open = new AsyncDisposableStack();
  const archive = open.use(await startFaultServer(handle));
  const proxy = archiveProxy(
    { url: url?.(archive) ?? archive.url, timeoutSeconds, users, bulkDataKey: randomBytes(32) },
    { isRequired },
    more.credentials ?? archiveCredentials({ headers, users, oauth: {} }),
  );
  const firstClosed = Promise.withResolvers<void>();
  const app = express()
    .set('basePath', '/stain')
    .use((_request, response, next) => {
      response.once('close', firstClosed.resolve);
      next();
    })
    .use(requestLog(log), securityHeaders({ allowedOrigins: [], tls: {} }))
    .use('/stain/dicom-web', proxy)
    .use(problemHandler(log));
  const service: Listening = await listen(app, { host: '127.0.0.1', port: 0, graceMs: 0 });
  open.defer(() => service.close());
  const root = `${service.url}/stain/dicom-web`;
  return {
    archive,
    service,
    firstClosed: firstClosed.promise,
    get: (path: string, given: Record<string, string> = {}) => fetch(root + path, { headers: given }),
    /** Sends the path as it is: fetch would normalise it, and hides some headers. */
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

/** Answers every request with the headers that it received. */
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

  test('frames are requested as stored; renderings and everything else as the viewer requests them', async () => {
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
    // A picture in a page of a browser.
    const headers = { accept: 'image/avif,image/webp,image/*,*/*;q=0.8' };
    for (const path of [`${FRAME}/rendered`, '/studies/1.2/thumbnail'])
      expect((await seen(await get(path, headers))).accept).toBe('image/jpeg');
    for (const accept of ['image/*, image/jpeg;q=0', '*/*, image/jpeg;q=0', 'image/png, image/*;q=0.8'])
      expect((await seen(await get(`${FRAME}/rendered`, { accept }))).accept, accept).toBe('image/png');
  });

  test('frames in another way if the archive refuses that, and from then on directly', async () => {
    const { archive, get } = await start((request, response) => {
      const takes = !request.headers.accept!.includes('transfer-syntax');
      if (takes) response.setHeader('Content-Type', 'application/octet-stream').end('pixels');
      else response.writeHead(406).end('no');
    });
    expect(await (await get(FRAME)).text()).toBe('pixels');
    expect(archive.requests).toHaveLength(3);
    expect(await (await get(FRAME)).text()).toBe('pixels');
    expect(archive.requests).toHaveLength(4);
  });

  test('data sets as application/json if the archive knows no other type', async () => {
    const { archive, get } = await start((request, response) => {
      const { accept } = request.headers;
      if (accept === 'application/json') response.setHeader('Content-Type', accept).end('[]');
      else response.writeHead(406).end();
    });
    for (const path of ['/studies', '/studies/1.2/metadata'])
      expect(await (await get(path)).json()).toEqual([]);
    expect(archive.requests).toHaveLength(3);
  });

  test('nothing more if all ways are refused, or if there is only one: the refusal is passed on', async () => {
    const { archive, get } = await start((_, response) => void response.writeHead(400).end());
    expect((await get(FRAME)).status).toBe(400);
    expect(archive.requests).toHaveLength(3);
    expect((await get('/studies')).status).toBe(400);
    expect((await get('/studies/1.2')).status).toBe(400);
    expect(archive.requests).toHaveLength(5);
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

  test("no user's token if the archive has no users", async () => {
    const authorization = 'Bearer user';
    const headers = { 'X-Api-Key': 'key' };
    for (const [configured, expected] of [
      [{}, undefined],
      [{ Authorization: 'Basic service' }, 'Basic service'],
      [headers, undefined],
    ] as const) {
      const { get } = await start(mirror, { headers: configured, users: 'unknown', isRequired: true });
      expect((await seen(await get('/studies', { authorization }))).authorization).toBe(expected);
      expect((await seen(await get('/studies/1.2/rendered', { authorization }))).authorization).toBe(
        expected,
      );
      await open.disposeAsync();
    }
  });

  test('user and password of the configured URL', async () => {
    const { get } = await start(mirror, { url: ({ url }) => url.replace('//', '//me:p%40ss@') });
    const expected = `Basic ${Buffer.from('me:p@ss').toString('base64')}`;
    expect((await seen(await get('/studies'))).authorization).toBe(expected);
    expect((await seen(await get('/studies', { authorization: 'Bearer user' }))).authorization).toBe(
      'Bearer user',
    );
  });

  test('no header meant for a single connection', async () => {
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

  test('OPTIONS is answered here', async () => {
    const { archive, service } = await start(mirror);
    const ask = async (path: string) => {
      const response = await fetch(`${service.url}/stain/dicom-web${path}`, { method: 'OPTIONS' });
      return [response.status, response.headers.get('allow')];
    };
    expect(await ask('/studies')).toEqual([204, 'GET, HEAD, OPTIONS, POST']);
    expect(await ask('/studies/1.2/metadata')).toEqual([204, 'GET, HEAD, OPTIONS']);
    expect((await ask('/servers'))[0]).toBe(400);
    expect(archive.requests).toEqual([]);
  });

  test.each([
    'evil;proto=https',
    'a,host=b',
    '"evil"',
    'evil/path',
    'me@evil',
    'evil:99999999',
    '[::1',
    'ev il',
  ])('no Forwarded for a malformed Host: %s', async (host) => {
    const { raw } = await start(mirror);
    const { text } = await raw('/studies', { host });
    expect(JSON.parse(text)).not.toHaveProperty('forwarded');
  });

  test.each(['service.example', 'service.example:3080', '127.0.0.1:80', '[::1]:3080'])(
    'Forwarded with the host %s',
    async (host) => {
      const { raw } = await start(mirror);
      expect(JSON.parse((await raw('/studies', { host })).text).forwarded).toBe(`host=${host};proto=http`);
    },
  );

  test('known media types, those of the query before those of the header', async () => {
    const { get } = await start(mirror);
    const acceptOf = async (path: string, accept: string) => (await seen(await get(path, { accept }))).accept;
    expect(await acceptOf('/studies', 'application/json')).toBe('application/dicom+json');
    expect(await acceptOf('/studies?accept=application/dicom+json', 'text/html')).toBe(
      'application/dicom+json',
    );
    expect(await acceptOf('/studies/1.2/metadata', 'application/dicom+xml, */*')).toBe(
      'application/dicom+json',
    );
    expect(
      await acceptOf('/studies/1.2', 'application/x-evil;a=b, multipart/related; type="application/dicom"'),
    ).toBe('multipart/related; type="application/dicom"');
    expect(
      await acceptOf(
        '/studies/1.2',
        'multipart/related; type="application/dicom"; transfer-syntax=*, application/dicom; transfer-syntax=1.2',
      ),
    ).toBe(
      'multipart/related; type="application/dicom"; transfer-syntax=*, application/dicom; transfer-syntax=1.2',
    );
    expect(await acceptOf(`${FRAME}/rendered?accept=image/png`, 'image/jpeg')).toBe('image/png');
    for (const [path, accept] of [
      ['/studies', 'application/dicom+xml'],
      ['/studies?accept=application/dicom%2bxml', 'application/json'],
      ['/studies/1.2', 'text/html'],
    ] as const)
      expect((await get(path, { accept })).status).toBe(406);
  });

  test('a slide at the speed of the archive, with a Content-Length or chunked', async () => {
    const seenHeaders: IncomingHttpHeaders[] = [];
    const { service } = await start(async (request, response) => {
      seenHeaders.push(request.headers);
      response.end(String((await bodyOf(request)).length));
    });
    const store = async (body: Buffer | ReadableStream) => {
      const answer = await fetch(`${service.url}/stain/dicom-web/studies`, {
        method: 'POST',
        headers: { 'content-type': 'multipart/related; type="application/dicom"; boundary=b' },
        body,
        duplex: 'half',
      } as RequestInit);
      return answer.text();
    };
    expect(await store(Buffer.alloc(3_000_000))).toBe('3000000');
    const pieces = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 30; i++) controller.enqueue(Buffer.alloc(100_000));
        controller.close();
      },
    });
    expect(await store(pieces)).toBe('3000000');
    expect(seenHeaders[0]).toMatchObject({
      'content-length': '3000000',
      'content-type': 'multipart/related; type="application/dicom"; boundary=b',
      accept: 'application/dicom+json',
    });
    expect(seenHeaders[1]).toMatchObject({ 'transfer-encoding': 'chunked' });
  });

  test('no partial slide if the browser leaves', async () => {
    const broken = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const { service } = await start(async (request) => {
      request.once('data', () => begun.resolve());
      await bodyOf(request).catch(() => broken.resolve());
    });
    const { hostname, port } = new URL(service.url);
    const request = httpRequest({ hostname, port, method: 'POST', path: '/stain/dicom-web/studies' });
    request.on('error', () => {}).setHeader('Content-Length', '1000');
    request.write('half');
    await begun.promise;
    request.destroy();
    await broken.promise;
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

describe('responses of the archive', () => {
  test('keep bytes, status and type, and get our security headers', async () => {
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

  test('are never a page, script or style sheet of the archive under our origin, and never kept in shared caches', async () => {
    let type = '';
    let status = 200;
    const { get } = await start((_request, response) => {
      response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'public, max-age=60, S-MaxAge=9' });
      response.end('<script>alert(1)</script>');
    });
    const typesOf = async (path: string): Promise<string | null> => {
      const answer = await get(path);
      expect(answer.status).toBe(status);
      const isDataSet = path === '/studies' || /json$/.test(type.split(';', 1)[0]!);
      expect(answer.headers.get('cache-control')).toBe(isDataSet ? 'no-store' : 'private, max-age=60');
      return answer.headers.get('content-type');
    };
    const text = 'text/plain; charset=utf-8';
    for (status of [200, 404])
      for (const [given, expected] of [
        ['text/html', text],
        ['TEXT/HTML;x=application/json', text],
        ['text/html, application/json', text],
        ['text/javascript', text],
        ['application/javascript', 'application/octet-stream'],
        ['multipart/x-mixed-replace; boundary=x', 'application/octet-stream'],
        ['application/dicom', 'application/dicom'],
        ['image/jls', 'image/jls'],
      ] as const) {
        type = given;
        expect(await typesOf('/studies/1.2/rendered')).toBe(expected);
        if (!given.startsWith('multipart')) expect(await typesOf('/studies')).toBe(expected);
      }
  });

  test('that redirect are neither followed nor passed on', async () => {
    const { archive, raw } = await start((_request, response) => {
      response.writeHead(302, { Location: '/dicom-web/elsewhere' }).end();
    });
    const response = await raw('/studies');
    expect(response.headers.location).toBeUndefined();
    expect(archive.requests).toHaveLength(1);
  });

  test('that refuse before the end of a slide are passed on', async () => {
    const { service } = await start((_request, response) => {
      response.writeHead(413, { 'Content-Type': 'text/plain', Connection: 'close' }).end('too large');
    });
    const { hostname, port } = new URL(service.url);
    const request = httpRequest({ hostname, port, method: 'POST', path: '/stain/dicom-web/studies' });
    request.setHeader('Content-Length', '1000').write('half');
    const [response] = await once(request, 'response');
    expect(response.statusCode).toBe(413);
    expect((await bodyOf(response)).toString()).toBe('too large');
    request.destroy();
  });

  test('with a slide that is truncated become a problem', async () => {
    const { service } = await start(async (request) => void bodyOf(request).catch(() => {}), {
      timeoutSeconds: 0.2,
    });
    const { hostname, port } = new URL(service.url);
    const request = httpRequest({ hostname, port, method: 'POST', path: '/stain/dicom-web/studies' });
    request.setHeader('Content-Length', '1000').write('half');
    const [response] = await once(request, 'response');
    expect(response.statusCode).toBe(504);
    request.destroy();
  });

  test('are not held for ever for a browser that does not read', async () => {
    const cut = Promise.withResolvers<void>();
    const { service } = await start(
      (_request, response) => {
        response.once('close', () => cut.resolve());
        const send = (): void => {
          while (response.write(Buffer.alloc(1 << 20)));
          response.once('drain', send);
        };
        send();
      },
      { timeoutSeconds: 0.3 },
    );
    const response = await fetch(`${service.url}/stain/dicom-web/studies/1.2`);
    await cut.promise;
    await expect(response.arrayBuffer()).rejects.toThrow();
  });

  test.each([
    [
      'an archive that hangs up',
      'ARCHIVE_UNREACHABLE',
      ((request) => void request.socket.destroy()) as Handler,
    ],
    ['an archive that never answers', 'ARCHIVE_TIMEOUT', (() => {}) as Handler],
  ])('become a problem with %s: %s', async (_name, code, handle) => {
    const { get } = await start(handle, { timeoutSeconds: 0.2 });
    const response = await get('/studies');
    expect(response.headers.get('content-type')).toMatch(/problem\+json/);
    expect(await response.json()).toMatchObject({ code });
    expect(response.status).toBe(code === 'ARCHIVE_TIMEOUT' ? 504 : 502);
  });

  test('are retried once if the archive drops the connection of a read', async () => {
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

  test('become a problem if the archive is unreachable', async () => {
    const { get } = await start(mirror, { url: () => 'http://127.0.0.1:9/dicom-web' });
    const response = await get('/studies');
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ code: 'ARCHIVE_UNREACHABLE' });
  });

  test.each([
    ['break off', ((_request, response) => void response.socket!.destroy()) as Handler],
    ['fall silent', (() => {}) as Handler],
  ])('that %s halfway do not count as complete', async (_name, end) => {
    const { get } = await start(
      (request, response, number) => {
        response.writeHead(200, { 'Content-Length': '100' });
        response.write('half', () => void end(request, response, number));
      },
      { timeoutSeconds: 0.2 },
    );
    await expect(get('/studies').then((response) => response.text())).rejects.toThrow();
  });

  test('when the browser leaves, the request to the archive ends', async () => {
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

describe('data sets', () => {
  const json =
    (value: unknown, headers: Record<string, string> = {}): Handler =>
    (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/dicom+json', ETag: '"1"', ...headers });
      response.end(typeof value === 'string' ? value : JSON.stringify(value));
    };
  const icc = (address: string) => [{ '00282000': { vr: 'OB', BulkDataURI: address } }];
  const addressIn = async (response: Response) =>
    ((await response.json()) as ReturnType<typeof icc>)[0]!['00282000'].BulkDataURI as string | undefined;

  test('name bulk data under our origin, which serves them', async () => {
    const { archive, service, get } = await start((request, response, number) => {
      const { url } = archive;
      if (request.url!.includes('/bulk/'))
        response.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end('profile');
      else json(icc(`${url}/studies/1.2/bulk/00282000?x=%20y`))(request, response, number);
    });
    const answer = await get('/studies/1.2/metadata');
    expect(answer.headers.get('etag')).toBeNull();
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const address = (await addressIn(answer))!;
    expect(address).toMatch(new RegExp(`^${service.url}/stain/dicom-web/bulkdata/[\\w-]+\\.[\\w-]{43}$`));
    expect(await (await fetch(address)).text()).toBe('profile');
    expect(archive.requests.at(-1)).toBe('GET /dicom-web/studies/1.2/bulk/00282000?x=%20y');
  });

  test('name no bulk data outside the archive, and a forged URL opens nothing', async () => {
    const { archive, service, get } = await start(json(icc('http://evil.example/dicom-web/x')));
    expect(await addressIn(await get('/studies/1.2/metadata'))).toBeUndefined();
    const before = archive.requests.length;
    for (const token of [`${Buffer.from('["1.2","system"]').toString('base64url')}.${'A'.repeat(43)}`, 'x']) {
      const forged = await fetch(`${service.url}/stain/dicom-web/bulkdata/${token}`);
      expect([400, 404]).toContain(forged.status);
    }
    expect((await get(`${FRAME.replace('/frames/1', '')}/bulkdata/00282000`)).status).toBe(400);
    expect(archive.requests).toHaveLength(before);
  });

  test('with bulk data that redirect are not followed', async () => {
    const { archive, get } = await start((request, response, number) => {
      if (request.url!.endsWith('/bulk')) response.writeHead(302, { Location: '/system' }).end();
      else json(icc(`${archive.url}/studies/1.2/bulk`))(request, response, number);
    });
    const address = (await addressIn(await get('/studies/1.2/metadata')))!;
    const before = archive.requests.length;
    expect((await fetch(address, { redirect: 'manual' })).headers.get('location')).toBeNull();
    expect(archive.requests).toHaveLength(before + 1);
  });

  test.each([
    ['as XML', { 'Content-Type': 'application/dicom+xml' }],
    ['as XML in parts', { 'Content-Type': 'multipart/related; type="application/dicom+xml"; boundary=b' }],
    ['as JSON in parts', { 'Content-Type': 'multipart/related; type="application/dicom+json"; boundary=b' }],
    ['in UTF-16', { 'Content-Type': 'application/dicom+json; charset=utf-16' }],
    ['compressed', { 'Content-Encoding': 'gzip' }],
  ])('sent %s are refused', async (_how, headers) => {
    const { get } = await start(json('<BulkData uri="http://evil.example"/>', headers));
    for (const path of ['/studies/1.2/metadata', '/studies']) {
      const answer = await get(path, { 'accept-encoding': 'gzip' });
      expect(answer.status).toBe(502);
      expect(await answer.json()).toMatchObject({ code: 'ARCHIVE_PROTOCOL' });
    }
  });

  test('are rewritten if they are labelled or requested as JSON', async () => {
    const { get } = await start(json(icc('http://evil.example/x')));
    expect(await addressIn(await get('/studies/1.2'))).toBeUndefined();
    await open.disposeAsync();
    const other = await start(json(icc('http://evil.example/x'), { 'Content-Type': 'text/plain' }));
    expect(await addressIn(await other.get('/studies'))).toBeUndefined();
  });
});

test('a client that leaves while its credentials are fetched: the archive gets no request', async () => {
  const asked = Promise.withResolvers<void>();
  const given = Promise.withResolvers<Record<string, string>>();
  const { archive, service, firstClosed, get } = await start(mirror, {
    credentials: {
      reach: {},
      async service() {
        asked.resolve();
        return given.promise;
      },
      ofUser: async (token) => token,
    },
  });
  const client = new AbortController();
  const request = fetch(`${service.url}/stain/dicom-web/studies`, { signal: client.signal });
  await asked.promise;
  client.abort();
  await expect(request).rejects.toThrow('aborted');
  await firstClosed;
  given.resolve({});
  // Sent after it, so that any request for the first client has arrived.
  await get('/studies?limit=1');
  expect(archive.requests).toEqual(['GET /dicom-web/studies?limit=1']);
});
