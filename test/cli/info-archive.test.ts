/** `info --archive` examines an archive before the first slide. The servers here behave like known archives. */
import { execFile } from 'node:child_process';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { describeArchiveInfo, infoArchiveCommand } from '../../server/src/cli/info-archive-command.ts';
import { profileArchive } from '../../server/src/dicomweb/archive-profile.ts';
import { createDicomWebClient } from '../../server/src/dicomweb/client.ts';
import { answer, type Fault, type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { bodyOf, startFaultServer } from '../support/fault-server.ts';
import { createWorkplace, type Workplace } from '../support/normalize.ts';
import { repository } from '../support/peers.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';
import { parametersOf } from '../support/with-server.ts';

const signal = new AbortController().signal;
let place: Workplace;
let archive: ServedArchive;
let proxy: FaultProxy;
let seen: IncomingMessage[];

beforeAll(async () => {
  place = await createWorkplace();
  archive = await serveArchive({ folder: await place.fill('source', join(repository, 'scripts/sample')) });
  await archive.archive.rescan();
  proxy = await startFaultProxy(archive.url);
});
afterEach(() => proxy.heal());
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await archive[Symbol.asyncDispose]();
  await place[Symbol.asyncDispose]();
});

/** Records the requests to the archive from now on. */
function watch(): void {
  seen = [];
  proxy.inject((request) => {
    seen.push(request);
    return false;
  }, answer(500));
}

/** The outcome of each check, with its text. */
async function profileOf(url: string) {
  watch();
  const info = await infoArchiveCommand(url, place.composition, signal);
  const checks = Object.fromEntries(info.checks.map(({ what, outcome }) => [what, outcome]));
  return { info, checks, text: describeArchiveInfo(info) };
}

const isJson = ({ url }: IncomingMessage): boolean => !/\/frames\/|\/instances\/[\d.]+$/.test(url!);

/** Passes on the data sets with these attributes only. */
const thinned =
  (kept: readonly string[]): Fault =>
  async ({ ask, response }) => {
    const answered = await ask();
    const sets = JSON.parse(String(await bodyOf(answered))) as Record<string, unknown>[];
    const thin = sets.map((set) =>
      Object.fromEntries(Object.entries(set).filter(([tag]) => kept.includes(tag))),
    );
    response.setHeader('Content-Type', 'application/dicom+json').end(JSON.stringify(thin));
  };
const UIDS = ['00080018', '0020000D', '0020000E', '00080060'];

describe('info --archive', () => {
  it('finds nothing to work round in the embedded archive, writes nothing and fetches little', async () => {
    const { info, checks, text } = await profileOf(proxy.url);
    expect(info.isUsable).toBe(true);
    expect(new Set(Object.values(checks))).toEqual(new Set(['can', 'not tried']));
    expect(checks['storing (STOW-RS)']).toBe('not tried');
    expect(new Set(seen.map(({ method }) => method))).toEqual(new Set(['GET']));
    expect(seen.length).toBeLessThan(12);
    // Neither the slide that it tried nor its patient.
    expect(text).not.toMatch(/2\.25|CMU|Sample\^/);
    expect(JSON.stringify(info)).not.toMatch(/2\.25|CMU|Sample\^/);
  });

  it.each<[string, string, (request: IncomingMessage) => boolean, Fault]>([
    [
      'application/dicom+json',
      'application/json',
      (request) => isJson(request) && request.headers.accept !== 'application/json',
      answer(406),
    ],
    [
      'frames as stored',
      'decompresses',
      ({ url, headers }) => url!.includes('/frames/') && headers.accept!.includes('transfer-syntax'),
      answer(406),
    ],
    [
      'instances as stored',
      'list the readable',
      ({ url, headers }) => /instances\/[\d.]+$/.test(url!) && headers.accept!.endsWith('=*'),
      answer(400),
    ],
    [
      'attributes by includefield',
      'continue from',
      ({ url }) => parametersOf(url).has('includefield'),
      answer(400),
    ],
    [
      'search for slides (modality SM)',
      '200 results',
      ({ url }) => Number(parametersOf(url).get('limit')) > 200,
      answer(400),
    ],
    [
      'search for slides (modality SM)',
      'does not support limit',
      ({ url }) => parametersOf(url).has('limit'),
      answer(400),
    ],
    [
      'metadata of a slide',
      'each instance are requested',
      ({ url }) => /series\/[\d.]+\/metadata$/.test(url!),
      thinned(UIDS),
    ],
    ['metadata of a slide', 'up to its pixel data', ({ url }) => url!.endsWith('/metadata'), thinned(UIDS)],
    ['search for instances', 'omits', ({ url }) => /\/instances\?/.test(url!), thinned(UIDS)],
  ])('reports that it works round %s (%s)', async (what, words, matches, fault) => {
    proxy.inject(matches, fault);
    const { info, checks, text } = await profileOf(proxy.url);
    expect(checks[what]).toBe('worked round');
    expect(info.checks.find((check) => check.what === what)!.detail).toContain(words);
    expect(text).toMatch(new RegExp(`worked round +${what.replace(/[()+]/g, '\\$&')}`));
    expect(info.isUsable).toBe(true);
  });

  it.each<[string, boolean, (request: IncomingMessage) => boolean, Fault]>([
    ['frames as stored', true, ({ url }) => url!.includes('/frames/'), answer(404)],
    ['instances as stored', false, ({ url }) => /instances\/[\d.]+$/.test(url!), answer(403)],
    ['metadata of a slide', false, ({ url }) => /series\/[\d.]+\/metadata$/.test(url!), answer(500)],
    [
      'search for slides (modality SM)',
      false,
      ({ url }) => url!.startsWith('/dicom-web/series'),
      answer(404),
    ],
    ['search for instances', false, ({ url }) => /\/instances\?/.test(url!), answer(204)],
  ])('reports that the archive lacks %s, and the effect', async (what, isUsable, matches, fault) => {
    proxy.inject(matches, fault);
    const { info, checks, text } = await profileOf(proxy.url);
    expect(checks[what]).toBe('lacking');
    expect(info.isUsable).toBe(isUsable);
    expect(text).toContain('lacking');
    expect(text).not.toMatch(/2\.25/);
  });

  it('reports an archive that ignores offset, and one that does not filter by modality', async () => {
    const series = (uid: string, modality: string) => ({
      '0020000D': { vr: 'UI', Value: ['1.2'] },
      '0020000E': { vr: 'UI', Value: [uid] },
      '00080060': { vr: 'CS', Value: [modality] },
    });
    await using server = await startFaultServer((request, response) => {
      response.setHeader('Server', 'Strange Archive/7');
      if (request.url!.includes('/metadata')) return void response.writeHead(404).end();
      const limit = Number(parametersOf(request.url).get('limit') ?? 100);
      const all = [series('1.3', 'SM'), series('1.4', 'CT'), series('1.5', 'SM')];
      response.end(JSON.stringify(all.slice(0, limit)));
    });
    const { info, checks } = await profileOf(server.url);
    expect(info.server).toBe('Strange Archive/7');
    expect(checks).toMatchObject({
      'pages of a search': 'lacking',
      'search for slides (modality SM)': 'worked round',
      'metadata of a slide': 'lacking',
    });
  });

  it('says that there is no slide to try', async () => {
    const { info, text } = await profileOf(await place.fill('empty'));
    expect(info).toMatchObject({ isUsable: true, hasSlides: false });
    expect(text).toContain('no slide');
  });

  it('ends with the check that gets no answer, and skips the rest', async () => {
    await using server = await startFaultServer((request, response) => {
      if (!request.url!.includes('/metadata'))
        response.end(
          JSON.stringify([
            { '0020000D': { vr: 'UI', Value: ['1.2'] }, '0020000E': { vr: 'UI', Value: ['1.3'] } },
          ]),
        );
    });
    const client = createDicomWebClient({ url: server.url });
    const profile = await profileArchive(client, signal, AbortSignal.timeout(500));
    await client.close();
    expect(profile.isUsable).toBe(false);
    expect(profile.checks.find(({ what }) => what === 'metadata of a slide')!.outcome).toBe('lacking');
  });

  it('is interrupted', async () => {
    await using server = await startFaultServer((request, response) => {
      if (request.url!.includes('/studies')) response.end('[]');
    });
    const client = createDicomWebClient({ url: server.url });
    const interrupted = AbortSignal.timeout(300);
    await expect(profileArchive(client, interrupted, signal)).rejects.toMatchObject({ code: 'TIMED_OUT' });
    await client.close();
  });
});

describe('as a command', () => {
  const run = (...args: string[]) =>
    new Promise<{ code: number; output: string }>((resolve) => {
      execFile(
        process.execPath,
        [join(repository, 'server/src/main.ts'), 'info', '--archive', ...args],
        {
          env: {
            ...process.env,
            STAIN_DICOMWEB_URL: proxy.url,
            STAIN_DICOMWEB_HEADERS: '{"Authorization":"Bearer the-token"}',
          },
        },
        (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, output: stdout + stderr }),
      );
    });

  it('queries the configured archive with its credentials, and does not print them', async () => {
    watch();
    const { code, output } = await run();
    expect(output).toContain('can be normalised');
    expect(code).toBe(0);
    expect(new Set(seen.map(({ headers }) => headers.authorization))).toEqual(new Set(['Bearer the-token']));
    expect(output).not.toContain('the-token');
  });

  it('exits with 1 for an archive that cannot be used, and prints no password of its address', async () => {
    proxy.inject(({ url }) => /instances\/[\d.]+$/.test(url!), answer(403));
    const { code, output } = await run(proxy.url.replace('://', '://user:hidden@'));
    expect(code).toBe(1);
    expect(output).toContain('cannot be normalised');
    expect(output).not.toContain('hidden');
  });
});
