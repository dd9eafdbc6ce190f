/** Headers of every response. */
import { describe, expect, it } from 'vitest';
import { app, get, jsonOf, serveWholeApp } from './whole-app.ts';

serveWholeApp();

describe('headers', () => {
  it('are strict, contain the request id of a proxy, and do not name the product', async () => {
    const id = crypto.randomUUID();
    const { headers } = await get('/health', { headers: { 'X-Request-Id': id } });
    expect(headers.get('X-Request-Id')).toBe(id);
    expect(headers.get('Content-Security-Policy')).toContain("default-src 'none'");
    expect(headers.get('X-Content-Type-Options')).toBe('nosniff');
    expect(headers.get('X-Powered-By')).toBeNull();
    expect(
      (await get('/health', { headers: { 'X-Request-Id': 'x\u00e4' } })).headers.get('X-Request-Id'),
    ).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('allow only the browser to cache graphs and pictures, and nothing else; no problem is cached', async () => {
    const cacheOf = async (path: string) => (await get(path)).headers.get('Cache-Control');
    expect(await cacheOf('/api/templates')).toBe('no-store');
    expect(await cacheOf('/api/templates/one/thumbnail')).toBe('private, no-cache');
    expect(await cacheOf('/api/templates/none/thumbnail')).toBe('no-store');
    const { models } = await jsonOf(await get('/api/models'));
    const { url: graph } = models[0].graphs.apply;
    expect((await fetch(`${app()}${graph}`)).headers.get('Cache-Control')).toMatch(/^private, max-age=/);
    expect(await cacheOf('/api/models/reference/graphs/apply')).toBe('private, no-cache');
    expect(await cacheOf('/api/models/reference/graphs/apply?sha256=00')).toBe('no-store');
  });

  it('admit only the configured origins', async () => {
    const preflight = (origin: string) =>
      get('/api/normalizations', {
        method: 'OPTIONS',
        headers: { Origin: origin, 'Access-Control-Request-Method': 'POST' },
      });
    expect((await preflight('https://viewer.example')).headers.get('Access-Control-Allow-Origin')).toBe(
      'https://viewer.example',
    );
    expect((await preflight('https://evil.example')).headers.get('Access-Control-Allow-Origin')).toBeNull();
  });
});
