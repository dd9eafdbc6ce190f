/** Attacks through the browser of an authorised user: DNS rebinding, pages of other origins, caches. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it, test } from 'vitest';
import { LOCAL } from '../../server/src/auth/principal.ts';
import { loadConfig } from '../../server/src/config.ts';
import { monitoringHosts } from '../../server/src/http/hosts.ts';
import { listen } from '../../server/src/http/listen.ts';
import { createLogger } from '../../server/src/http/log.ts';
import { createMonitoringApp } from '../../server/src/http/monitoring-app.ts';
import { type OwnService, startOwnService } from '../support/own-service.ts';
import { sendRaw } from '../support/raw-connection.ts';
import { NO_BATCHES, NO_JOBS, startApp, testMetrics } from '../support/test-app.ts';
import { browserMissing, launchBrowser } from '../support/viewer.ts';

let open: AsyncDisposableStack;
afterEach(() => open?.disposeAsync());

/** What a request has reached after the checks. */
let reached: string[];

async function start(environment: Record<string, string> = {}, hasLogin = false) {
  open = new AsyncDisposableStack();
  reached = [];
  const reach = express.Router().use((request, response) => {
    reached.push(request.originalUrl);
    response.send('reached');
  });
  const app = await startApp(NO_JOBS, {
    config: loadConfig({ env: environment }),
    batches: NO_BATCHES,
    archiveRouter: reach,
    viewerRouter: reach,
    ...(hasLogin && { login: { isRequired: true, identify: async () => LOCAL } }),
  });
  return open.use(app);
}

const PATHS = [
  '/',
  '/api/normalizations',
  '/api/nothing',
  '/dicom-web/studies',
  '/docs/',
  '/health',
  '/ups-rs/workitems',
];

describe('a rebound name', () => {
  it.each(PATHS)('is refused at %s before anything else, with a code', async (path) => {
    const { url } = await start();
    const { status, text } = await sendRaw(url, [
      `GET ${path} HTTP/1.1`,
      'Host: evil.example',
      'Connection: close',
    ]);
    expect(status).toBe(421);
    expect(text).toContain('"code":"MISDIRECTED_REQUEST"');
    expect(text).toMatch(/^cache-control: no-store\r$/im);
    expect(reached).toEqual([]);
  });

  it.each([
    'localhost.evil.example',
    '127.0.0.1.nip.io',
    'LOCALHOST.EVIL.EXAMPLE:3080',
    'localhost.',
    '127.0.0.1.',
    '0.0.0.0:3080',
    '10.1.2.3',
    '[::ffff:127.0.0.1]',
  ])('such as %s is refused', async (host) => {
    const { url } = await start();
    expect((await sendRaw(url, ['GET / HTTP/1.1', `Host: ${host}`, 'Connection: close'])).status).toBe(421);
    expect(reached).toEqual([]);
  });

  it.each<[string, string[]]>([
    ['no Host', []],
    ['two Hosts', ['Host: 127.0.0.1', 'Host: evil.example']],
    ['the same Host twice', ['Host: 127.0.0.1', 'Host: 127.0.0.1']],
    ['an empty Host', ['Host: ']],
    ['user information', ['Host: evil.example@127.0.0.1']],
    ['a zone', ['Host: [fe80::1%25lo]:3080']],
    ['a malformed port', ['Host: 127.0.0.1:evil']],
    ['a port that is too large', ['Host: 127.0.0.1:70000']],
    ['a list', ['Host: 127.0.0.1, evil.example']],
    ['a path', ['Host: 127.0.0.1/evil.example']],
  ])('hidden by %s is a malformed request', async (_name, headers) => {
    const { url } = await start();
    for (const version of ['1.1', '1.0'])
      expect((await sendRaw(url, [`GET / HTTP/${version}`, ...headers, 'Connection: close'])).status).toBe(
        400,
      );
    expect(reached).toEqual([]);
  });

  it.each(['http://evil.example/api/normalizations', 'http://127.0.0.1/', 'evil.example:80'])(
    'hidden in the target %s is a malformed request',
    async (target) => {
      const { url } = await start();
      const { status } = await sendRaw(url, [
        `GET ${target} HTTP/1.1`,
        'Host: 127.0.0.1',
        'Connection: close',
      ]);
      expect(status).toBe(400);
      expect(reached).toEqual([]);
    },
  );

  it.each(['127.0.0.1', 'localhost:1', 'LocalHost', '[::1]:3080', 'stain.example', 'Stain.Example:443'])(
    'is not %s, which is ours',
    async (host) => {
      const { url } = await start({ STAIN_SERVER_ALLOWED_HOSTS: 'stain.example' });
      expect((await sendRaw(url, ['GET / HTTP/1.1', `Host: ${host}`, 'Connection: close'])).status).toBe(200);
    },
  );

  test('does not pass by claiming to be forwarded, from the address of a trusted proxy or not', async () => {
    for (const trusted of ['127.0.0.1', '192.0.2.1']) {
      const { url } = await start({
        STAIN_SERVER_TRUSTED_PROXIES: trusted,
        STAIN_SERVER_ALLOWED_HOSTS: 'stain.example',
      });
      const ask = async (host: string, forwarded: string) =>
        (
          await sendRaw(url, [
            'GET / HTTP/1.1',
            `Host: ${host}`,
            `X-Forwarded-Host: ${forwarded}`,
            'Connection: close',
          ])
        ).status;
      expect(await ask('evil.example', 'stain.example')).toBe(421);
      expect(await ask('127.0.0.1', 'stain.example')).toBe(200);
      if (trusted !== '127.0.0.1') continue;
      expect(await ask('127.0.0.1', 'evil.example')).toBe(421);
      expect(await ask('127.0.0.1', 'stain.example, evil.example')).toBe(421);
      expect(await ask('127.0.0.1', 'stain.example, 127.0.0.1:3080')).toBe(200);
      expect(await ask('127.0.0.1', 'evil.example@stain.example')).toBe(400);
      await open.disposeAsync();
    }
  });

  test('has no token if there is a login; with configured names it is refused there too', async () => {
    const ask = async (url: string) =>
      (await sendRaw(url, ['GET / HTTP/1.1', 'Host: stain.example', 'Connection: close'])).status;
    expect(await ask((await start({}, true)).url)).toBe(200);
    await open.disposeAsync();
    expect(await ask((await start({ STAIN_SERVER_ALLOWED_HOSTS: 'other.example' }, true)).url)).toBe(421);
  });

  it('does not reach the monitoring port, unlike Prometheus and the kubelet', async () => {
    open = new AsyncDisposableStack();
    const isOwnHost = monitoringHosts({ host: '0.0.0.0' }, ['stain-service.stain.svc']);
    const options = { version: '1', checks: {}, metrics: testMetrics(NO_JOBS), isOwnHost };
    const { url, close } = await listen(createMonitoringApp(options, createLogger({ level: 'silent' })), {
      host: '127.0.0.1',
      port: 0,
    });
    open.defer(close);
    const ask = async (path: string, ...headers: string[]) =>
      (await sendRaw(url, [`GET ${path} HTTP/1.1`, ...headers, 'Connection: close'])).status;
    const KUBELET = ['User-Agent: kube-probe/1.33', 'Accept: */*'];
    const PROMETHEUS = [
      'User-Agent: Prometheus/3.5.0',
      'Accept: application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
      'Accept-Encoding: gzip',
      'X-Prometheus-Scrape-Timeout-Seconds: 10',
    ];
    expect(await ask('/health', 'Host: 10.42.0.17:9464', ...KUBELET)).toBe(200);
    expect(await ask('/ready', 'Host: [fd00:10:244::17]:9464', ...KUBELET)).toBe(200);
    expect(await ask('/metrics', 'Host: 10.1.2.3:9464', ...PROMETHEUS)).toBe(200);
    expect(await ask('/metrics', 'Host: stain-service.stain.svc:9464', ...PROMETHEUS)).toBe(200);
    expect(await ask('/metrics', 'Host: rebound.example:9464')).toBe(421);
    expect(await ask('/metrics', 'Host: 10.1.2.3.nip.io:9464')).toBe(421);
    expect(await ask('/health', 'Host: 10.1.2.3', 'Host: 10.1.2.3')).toBe(400);
  });
});

describe('a change from a page of another origin', () => {
  const NOBODY = crypto.randomUUID();
  const post = (url: string, headers: Record<string, string>) =>
    fetch(`${url}/api/normalizations/${NOBODY}/nothing`, { method: 'POST', headers });
  /** 404: the request has passed, but nothing has this address. */
  const PASSED = 404;

  it.each<[string, (own: string) => Record<string, string>]>([
    ['of a sandboxed frame', () => ({ Origin: 'null' })],
    [
      'of a sandboxed frame that claims to be ours',
      () => ({ Origin: 'null', 'Sec-Fetch-Site': 'same-origin' }),
    ],
    ['on another port', () => ({ Origin: 'http://127.0.0.1:1', 'Sec-Fetch-Site': 'same-site' })],
    ['by another name of this host', (own) => ({ Origin: own.replace('127.0.0.1', 'localhost') })],
    ['by another scheme', (own) => ({ Origin: own.replace('http', 'https') })],
    ['elsewhere', () => ({ Origin: 'https://evil.example', 'Sec-Fetch-Site': 'same-origin' })],
    ['that hides its Origin', () => ({ 'Sec-Fetch-Site': 'cross-site' })],
    ['on another port that hides its Origin', () => ({ 'Sec-Fetch-Site': 'same-site' })],
    ['with two Origins', (own) => ({ Origin: `${own}, https://evil.example` })],
  ])('%s is refused, by every method', async (_name, headers) => {
    const { url } = await start();
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      const answer = await fetch(`${url}/api/templates/x`, { method, headers: headers(url) });
      expect(answer.status).toBe(403);
      expect(await answer.json()).toMatchObject({ code: 'ORIGIN_REFUSED' });
    }
    const stored = await fetch(`${url}/dicom-web/studies`, {
      method: 'POST',
      headers: headers(url),
      body: 'x',
    });
    expect(stored.status).toBe(403);
    expect(reached).toEqual([]);
  });

  test('is none if no browser, our own page or a configured origin sends it', async () => {
    const { url } = await start({ STAIN_SERVER_ALLOWED_ORIGINS: 'https://viewer.example' });
    for (const headers of [
      {},
      { 'Sec-Fetch-Site': 'none' },
      { Origin: url, 'Sec-Fetch-Site': 'same-origin' },
      { Origin: 'https://viewer.example', 'Sec-Fetch-Site': 'cross-site' },
    ] as Record<string, string>[])
      expect((await post(url, headers)).status).toBe(PASSED);
  });

  test('is distinguished from our own behind a trusted proxy, by the address that the client sees', async () => {
    const { url } = await start({
      STAIN_SERVER_TRUSTED_PROXIES: '127.0.0.1',
      STAIN_SERVER_ALLOWED_HOSTS: 'stain.example',
    });
    const ask = async (Origin: string, host = 'stain.example') =>
      (await post(url, { Origin, 'X-Forwarded-Host': host, 'X-Forwarded-Proto': 'https' })).status;
    expect(await ask('https://stain.example')).toBe(PASSED);
    expect(await ask('https://stain.example', 'stain.example:443')).toBe(PASSED);
    expect(await ask('https://stain.example:8443')).toBe(403);
    expect(await ask('http://stain.example')).toBe(403);
    expect(await ask(url)).toBe(403);
  });
});

describe('a cache', () => {
  it.each([
    '/api/normalizations',
    '/api/templates',
    '/api/errors',
    '/api/nothing',
    '/api/normalizations/7',
    '/ups-rs/workitems',
    '/ups-rs/nothing',
    '/health',
    '/openapi.json',
  ])('keeps nothing of %s', async (path) => {
    const { url } = await start();
    for (const method of ['GET', 'DELETE'])
      expect((await fetch(url + path, { method })).headers.get('Cache-Control')).toBe('no-store');
  });
});

/** The attacker's page: it tries each request by fetch in both modes, and as a form that sends text. */
const ATTACK_PAGE = `<!DOCTYPE html><title>harmless</title><script>
async function attack(root, attempts) {
  const statuses = [];
  for (const { method, path, type, body } of attempts) {
    for (const mode of ['cors', 'no-cors']) {
      const sent = mode === 'no-cors' ? 'POST' : method;
      const init = { method: sent, mode, body: new Blob([Uint8Array.from(body, (character) => character.charCodeAt(0))], { type }) };
      statuses.push(await fetch(root + path, init).then((answer) => answer.status, () => 'failed'));
    }
    const frame = Object.assign(document.createElement('iframe'), { name: 'frame' + statuses.length });
    const form = Object.assign(document.createElement('form'), {
      method: 'POST', action: root + path, target: frame.name, enctype: 'text/plain',
    });
    form.append(Object.assign(document.createElement('textarea'), { name: 'a', value: body }));
    document.body.append(frame, form);
    const loaded = new Promise((resolve) => frame.addEventListener('load', resolve, { once: true }));
    form.submit();
    await loaded;
  }
  return statuses;
}
</script><body></body>`;

describe.skipIf(browserMissing)(`Chromium${browserMissing ? ` (${browserMissing})` : ''}`, () => {
  let service: OwnService;
  let browser: Browser;
  let attacker: AsyncDisposable & { url: string };

  beforeAll(async () => {
    service = await startOwnService();
    browser = await launchBrowser([
      '--host-resolver-rules=MAP rebound.example 127.0.0.1',
      // Not every browser has its own protection against pages that reach into this host.
      '--disable-features=LocalNetworkAccessChecks',
    ]);
    const pages = createServer((_request, response) => {
      response.setHeader('Content-Type', 'text/html').end(ATTACK_PAGE);
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => pages.once('listening', resolve));
    attacker = {
      url: `http://127.0.0.1:${(pages.address() as AddressInfo).port}/`,
      async [Symbol.asyncDispose]() {
        pages.closeAllConnections();
        pages.close();
      },
    };
  });
  afterAll(async () => {
    await browser?.close();
    await attacker?.[Symbol.asyncDispose]();
    await service?.[Symbol.asyncDispose]();
  });

  /** What the page tried, and which responses it saw. */
  const attack = (page: Page, root: string, tried: Awaited<ReturnType<typeof attempts>>) =>
    page.evaluate<(number | string)[]>(`attack(${JSON.stringify(root)}, ${JSON.stringify(tried)})`);

  async function attempts() {
    const { job, template, slide } = service;
    const { studyInstanceUid, seriesInstanceUid } = slide;
    return [
      { method: 'POST', path: `/api/normalizations/${job}/cancel`, type: 'text/plain', body: '' },
      { method: 'DELETE', path: `/api/normalizations/${job}`, type: 'text/plain', body: '' },
      {
        method: 'POST',
        path: '/api/batches',
        type: 'application/json',
        body: JSON.stringify({ query: {}, template: 'he-pink-violet' }),
      },
      {
        method: 'POST',
        path: '/api/normalizations',
        type: 'application/json',
        body: JSON.stringify({ studyInstanceUid, seriesInstanceUid, template: 'he-purple' }),
      },
      { method: 'DELETE', path: `/api/templates/${template}`, type: 'text/plain', body: '' },
      {
        method: 'POST',
        path: '/dicom-web/studies',
        type: 'multipart/related; type="application/dicom"; boundary=x',
        body: service.storable,
      },
    ];
  }

  it('a page on another loopback port changes nothing: jobs, batches, templates and slides stay', async () => {
    const before = await service.everything();
    expect(before).toMatchObject({ jobs: [{ id: service.job, state: 'SCHEDULED' }], batches: [] });
    const refusedBefore = await service.answers(403);
    const page = await browser.newPage();
    await page.goto(attacker.url);
    const tried = await attempts();
    const statuses = await attack(page, service.url, tried);
    expect(new Set(statuses)).toEqual(new Set(['failed']));
    // Requests that need no preflight are sent, but the page gets no response: they were refused.
    expect((await service.answers(403)) - refusedBefore).toBeGreaterThanOrEqual(2 * tried.length);
    expect(await service.everything()).toEqual(before);
    await page.close();
  });

  it('a page at a rebound name reads and changes nothing', async () => {
    const before = await service.everything();
    const rebound = service.url.replace('127.0.0.1', 'rebound.example');
    const page = await browser.newPage();
    // It came from the attacker's own server before the name was bound to our address.
    await page.route(`${rebound}/page`, (route) =>
      route.fulfill({ contentType: 'text/html', body: ATTACK_PAGE }),
    );
    await page.goto(`${rebound}/page`);
    const read = await page.evaluate<number[]>(
      `Promise.all(['/api/normalizations', '/dicom-web/series', '/docs/', '/metrics'].map(async (path) => (await fetch(path)).status))`,
    );
    // For the browser it has the same origin as the service: only the Host differs.
    const changed = await attack(page, rebound, await attempts());
    expect(new Set([...read, ...changed])).toEqual(new Set([421]));
    expect(await service.everything()).toEqual(before);
    await page.close();
  });

  it('a page of the service itself still changes what it may', async () => {
    const page = await browser.newPage();
    await page.goto(`${service.url}/docs/`);
    const status = await page.evaluate(
      async (path) => (await fetch(path, { method: 'POST' })).status,
      `/api/normalizations/${service.job}/cancel`,
    );
    expect(status).toBe(200);
    await page.close();
  });
});
