/** The viewer's package and the pages that it is served as, with a small invented package. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import vm from 'node:vm';
import express from 'express';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { loadConfig } from '../../server/src/config.ts';
import { type Listening, listen } from '../../server/src/http/listen.ts';
import { ensureOhif } from '../../server/src/viewer/ohif-package.ts';
import { openViewer } from '../../server/src/viewer/open-viewer.ts';
import { viewerRouter } from '../../server/src/viewer/viewer-router.ts';
import { freePort } from '../support/free-port.ts';

const signal = new AbortController().signal;
const INLINE = 'window.PUBLIC_URL="/"';
let folder: string;
let archive: string;
let integrity: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'viewer-'));
  await mkdir(join(folder, 'package/dist/plugins'), { recursive: true });
  await writeFile(join(folder, 'package/dist/index.html'), `<html><script>${INLINE}</script></html>`);
  await writeFile(join(folder, 'package/dist/app.bundle.0f6159c501addfe9.js'), '1');
  await writeFile(join(folder, 'package/dist/0ddf166f7a343eda.wasm'), '');
  await writeFile(join(folder, 'package/package.json'), '{}');
  archive = join(folder, 'package.tgz');
  await promisify(execFile)('tar', ['-czf', archive, '-C', folder, 'package']);
  integrity = `sha512-${createHash('sha512')
    .update(await readFile(archive))
    .digest('base64')}`;
});
afterAll(() => rm(folder, { recursive: true }));

describe('the package', () => {
  test('two simultaneous starts download one viewer, and later ones find it', async () => {
    const directory = join(folder, 'kept');
    const options = { directory, archive, release: { version: '1', integrity }, signal };
    const found = await Promise.all([ensureOhif(options), ensureOhif(options)]);
    expect(new Set(found).size).toBe(1);
    expect(await readdir(directory)).toEqual(['ohif-1']);
    expect(await readdir(join(directory, 'ohif-1'))).toEqual(['dist']);
    expect(await ensureOhif({ ...options, archive: join(folder, 'gone.tgz') })).toBe(found[0]);
  });

  test('a package with wrong contents is refused, and nothing of it stays', async () => {
    const directory = join(folder, 'refused');
    const release = { version: '1', integrity: 'sha512-AAAA' };
    await expect(ensureOhif({ directory, archive, release, signal })).rejects.toMatchObject({
      code: 'VIEWER_UNAVAILABLE',
    });
    expect(await readdir(directory)).toEqual([]);
  });

  test('without a registry it ends soon, with the reason of npm', async () => {
    const directory = join(folder, 'offline');
    onTestFinished(() => void vi.unstubAllEnvs());
    vi.stubEnv('npm_config_registry', `http://127.0.0.1:${await freePort()}`);
    await expect(ensureOhif({ directory, signal })).rejects.toMatchObject({
      code: 'VIEWER_UNAVAILABLE',
      message: 'The viewer @ohif/app 3.13.2 could not be installed: npm ended with ECONNREFUSED.',
    });
  });

  test('it is downloaded for a user without a home, such as that of the unit for systemd', async () => {
    const registry = express();
    const server = await listen(registry, { host: '127.0.0.1', port: 0 });
    onTestFinished(() => server.close());
    onTestFinished(() => void vi.unstubAllEnvs());
    registry.get('/package.tgz', (_request, response) => response.sendFile(archive));
    registry.use((_request, response) =>
      response.json({
        name: '@ohif/app',
        'dist-tags': { latest: '1.0.0' },
        versions: {
          '1.0.0': {
            name: '@ohif/app',
            version: '1.0.0',
            dist: { tarball: `${server.url}/package.tgz`, integrity },
          },
        },
      }),
    );
    vi.stubEnv('npm_config_registry', server.url);
    vi.stubEnv('npm_config_cache', undefined);
    // Below a file not even root can make a folder.
    vi.stubEnv('HOME', join(archive, 'home'));
    const directory = join(folder, 'homeless');
    const dist = await ensureOhif({ directory, release: { version: '1.0.0', integrity }, signal });
    expect(await readdir(dist)).toContain('index.html');
    expect(await readdir(directory)).toEqual(['ohif-1.0.0']);
  });

  test('ended meanwhile, the service stops and does not go on without a viewer', async () => {
    const viewer = { enabled: true, directory: join(folder, 'ended') };
    const plugin = join(folder, 'built');
    await mkdir(plugin);
    await writeFile(join(plugin, 'stain-normalization.mjs'), 'export default {}');
    const open = openViewer(
      { ...loadConfig({ env: {} }), viewer },
      async () => [],
      AbortSignal.abort(new Error('ended')),
      plugin,
    );
    await expect(open).rejects.toThrow('ended');
  });
});

describe('the pages', () => {
  let server: Listening;
  beforeAll(async () => {
    const plugin = join(folder, 'plugin');
    await mkdir(plugin);
    await writeFile(join(plugin, 'stain-normalization.mjs'), 'export default {}');
    const router = await viewerRouter({
      dist: join(folder, 'package/dist'),
      plugin,
      basePath: '/stain',
      archives: [{ name: 'vendor', isReadOnly: true }],
      templates: async () => [{ id: 'he-one', name: 'H&E "one"' }],
    });
    server = await listen(express().use(router), { host: '127.0.0.1', port: 0 });
  });
  afterAll(() => server.close());

  const get = (path: string, accept = 'text/html') => fetch(server.url + path, { headers: { accept } });

  test('every route of OHIF is its page, under a policy that names its scripts', async () => {
    for (const path of ['/', '/stain?StudyInstanceUIDs=1', '/microscopy/a']) {
      const response = await get(path);
      expect(response.status).toBe(200);
      const policy = response.headers.get('Content-Security-Policy')!;
      expect(policy).toContain(`'sha256-${createHash('sha256').update(INLINE).digest('base64')}'`);
      expect(policy).not.toContain('http');
      expect(Object.fromEntries(response.headers)).toMatchObject({
        'cache-control': 'no-cache',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-embedder-policy': 'require-corp',
        'cross-origin-resource-policy': 'same-origin',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
      });
    }
  });

  test('an address that is neither a page nor a file is not found', async () => {
    expect((await get('/nothing.json', 'application/json')).status).toBe(404);
    expect((await get('/plugins/gone.mjs')).status).toBe(404);
    expect((await fetch(`${server.url}/`, { method: 'POST' })).status).toBe(404);
    expect((await get('/plugins/..%2f..%2fpackage.tgz', '*/*')).status).not.toBe(200);
    for (const path of ['/%E0%A4%A', '/plugins/%E0%A4%A']) {
      const refused = await get(path, '*/*');
      expect(refused.status).toBe(400);
      expect(await refused.text()).toContain('REQUEST_INVALID');
    }
  });

  test('modules are served as scripts, WebAssembly with its own type; files with a digest in their name are cached', async () => {
    const module = await get('/plugins/stain-normalization.mjs', '*/*');
    expect(module.headers.get('Content-Type')).toMatch(/javascript/);
    expect(module.headers.get('Cache-Control')).toBe('no-cache');
    const wasm = await get('/0ddf166f7a343eda.wasm', '*/*');
    expect(wasm.headers.get('Content-Type')).toBe('application/wasm');
    const bundle = await get('/app.bundle.0f6159c501addfe9.js', '*/*');
    expect(bundle.headers.get('Cache-Control')).toMatch(/immutable/);
  });

  test('the configuration names our archive and plugin', async () => {
    const window: { config?: { dataSources: { configuration: object }[]; extensions: string[] } } = {};
    vm.runInNewContext(await (await get('/app-config.js', '*/*')).text(), { window });
    expect(window.config!.extensions).toEqual(['/plugins/stain-normalization.mjs']);
    const [archive, normalized, vendor, ...others] = window.config!.dataSources;
    expect(archive!.configuration).toMatchObject({ name: 'dicomweb', wadoRoot: '/stain/dicom-web' });
    expect(normalized!.configuration).toMatchObject({
      name: 'normalized-he-one',
      friendlyName: 'Normalised to H&E "one"',
      wadoRoot: '/stain/normalized/he-one/dicom-web',
    });
    expect(archive!.configuration).not.toHaveProperty('stainNormalization');
    expect(vendor!.configuration).toMatchObject({
      name: 'archive-vendor',
      friendlyName: 'Archive vendor (read-only)',
      wadoRoot: '/stain/archives/vendor/dicom-web',
      stainNormalization: { name: 'vendor', isReadOnly: true },
    });
    expect(others).toEqual([]);
  });
});
