/** An acceptance of slides in real archives: scanners are told apart, and nothing is stored. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { AcceptanceDocument } from '../../server/src/acceptance/document.ts';
import { createDicomWebClient } from '../../server/src/dicomweb/client.ts';
import { ARCHIVES } from '../faults/archives.ts';
import { repository } from '../support/peers.ts';
import { wholeSlide } from '../support/rules-site.ts';

const device = { Manufacturer: 'Maker', ManufacturerModelName: 'Alpha', DeviceSerialNumber: '1' };

describe.each(ARCHIVES)('an acceptance of $name', ({ missing, start }) => {
  it.skipIf(missing)('draws slides of each scanner, and stores nothing', async () => {
    await using cleanup = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'interop-acceptance-'));
    cleanup.defer(() => rm(folder, { recursive: true, force: true }));
    const archive = cleanup.use(await start());
    for (const [name, software] of [
      ['one', ['1.0', 'Library 7']],
      ['two', ['1.0', 'Library 7']],
      ['three', ['2.0']],
    ] as const)
      await archive.put((await wholeSlide(name, [3], { ...device, SoftwareVersions: software })).files);
    const client = createDicomWebClient({ url: archive.url });
    cleanup.defer(() => client.close());
    const count = async () => (await client.searchSeries({}, AbortSignal.timeout(60_000))).length;
    const before = await count();
    const args = ['acceptance', archive.url, '--template', 'he-pink-violet', '--out', join(folder, 'out')];
    await promisify(execFile)(process.execPath, [join(repository, 'server/src/main.ts'), ...args], {
      env: { ...process.env, STAIN_SPOOL_DIRECTORY: join(folder, 'spool'), STAIN_DEVICE: 'cpu' },
    });
    const text = await readFile(join(folder, 'out/acceptance.json'), 'utf8');
    const { content } = JSON.parse(text) as AcceptanceDocument;
    expect(content.scanners).toMatchObject([
      { scanner: { softwareVersions: ['1.0', 'Library 7'] }, found: 2, refused: { count: 0, of: 2 } },
      { scanner: { softwareVersions: ['2.0'] }, found: 1, refused: { count: 0, of: 1 } },
    ]);
    expect(await count()).toBe(before);
  });
});
