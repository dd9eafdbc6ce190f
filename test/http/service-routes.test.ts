import { describe, expect, it, vi } from 'vitest';
import { health, templateList } from '../../core/src/contract/index.ts';
import { ERROR_TABLE } from '../../core/src/errors.ts';
import { THUMBNAIL } from '../support/template.ts';
import { app, archive, get, jsonOf, serveWholeApp, url } from './whole-app.ts';

serveWholeApp();

describe('the service', () => {
  it('is healthy, and ready only if every check passes', async () => {
    expect(health.parse(await (await get('/health')).json())).toEqual({
      status: 'ok',
      version: '1.2.3',
      checks: [],
    });
    expect(await (await get('/ready')).json()).toMatchObject({
      status: 'ok',
      checks: [
        { name: 'database', ok: true },
        { name: 'archive', ok: true },
      ],
    });
    archive.works = false;
    // A result is kept for two seconds.
    const response = await vi.waitFor(
      async () => {
        const later = await get('/ready');
        expect(later.status).toBe(503);
        return later;
      },
      { timeout: 10_000, interval: 500 },
    );
    archive.works = true;
    expect(health.parse(await response.json()).checks).toContainEqual({
      name: 'archive',
      ok: false,
      code: 'ARCHIVE_UNREACHABLE',
    });
  });

  it('lists templates with the URL of a picture', async () => {
    const { templates } = templateList.parse(await (await get('/api/templates')).json());
    const picture = await fetch(`${app()}${templates[0]!.thumbnail}`);
    expect(picture.headers.get('Content-Type')).toBe('image/jpeg');
    expect(Buffer.from(await picture.arrayBuffer()).toString('base64')).toBe(THUMBNAIL);
  });

  it('lists models, the device and every error code', async () => {
    expect(await (await get('/api/models')).json()).toMatchObject({ models: [{ name: 'reference' }] });
    expect(await (await get('/api/device')).json()).toMatchObject({ requested: 'auto' });
    const { errors } = await jsonOf(await get('/api/errors'));
    expect(errors.map(({ code }: { code: string }) => code)).toEqual(Object.keys(ERROR_TABLE));
  });

  it('shows the API without requests to other hosts', async () => {
    const redirected = await get('/docs');
    expect(redirected.url).toBe(`${url}/docs/`);
    expect(redirected.headers.get('Content-Security-Policy')).toContain("script-src 'self'");
    const page = await redirected.text();
    const files = [...page.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, file]) => file!);
    expect(files.length).toBeGreaterThan(3);
    for (const file of files) {
      expect(file).toMatch(/^\.\//);
      expect((await get(`/docs/${file.slice(2)}`)).status).toBe(200);
    }
    expect(page).not.toMatch(/<script>|https?:/);
    expect((await get('/docs/package.json')).status).toBe(404);
  });
});
