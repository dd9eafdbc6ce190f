/**
 * Folders that cannot be made, as on the read-only root of a container. Tests may run as root, whom only the kind of file
 * keeps out: each folder lies below a plain file.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { addSample } from '../server/src/cli/sample.ts';
import { loadConfig } from '../server/src/config.ts';
import { openDatabase } from '../server/src/jobs/database.ts';
import { lockFolder } from '../server/src/jobs/folder-lock.ts';
import { spoolCheck } from '../server/src/monitoring/checks.ts';
import { createTemporarySpool } from '../server/src/spool/spool.ts';
import { createTemplateFolder } from '../server/src/templates/template-folder.ts';
import { ensureOhif } from '../server/src/viewer/ohif-package.ts';
import { openArchiveLocation } from '../server/src/wiring/archive-location.ts';
import { templateOf } from './support/template.ts';

let home: string;
let folder: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'stain-read-only-'));
  await writeFile(join(home, 'file'), '');
  folder = join(home, 'file/folder');
});
afterEach(() => rm(home, { recursive: true }));

const spool = () => ({ directory: folder, minFreeBytes: 0 });
const ofSetting = (key: string) => ({
  code: 'CONFIGURATION_INVALID',
  data: { key },
  message: expect.stringMatching(/cannot be written \(E\w+\)/),
});

it.each<[string, () => Promise<unknown>, object]>([
  [
    'the embedded database',
    () => openDatabase({ directory: folder, heartbeatSeconds: 30, onError: () => {} }),
    ofSetting('database.directory'),
  ],
  ['its lock', () => lockFolder(folder), ofSetting('database.directory')],
  ['the embedded archive', () => addSample(folder), ofSetting('archive.folder')],
  [
    'own templates',
    () =>
      createTemplateFolder({ shipped: home, own: folder, onIgnored: () => {} }).add(templateOf('one'), {
        replace: false,
      }),
    ofSetting('templates.directory'),
  ],
  [
    'a destination',
    () => openArchiveLocation(folder, loadConfig({ env: {} }), { create: true }),
    { code: 'REQUEST_INVALID', message: expect.stringContaining('ENOTDIR') },
  ],
  [
    'a destination that exists',
    // The only folder that root cannot write into either.
    () => openArchiveLocation('/proc', loadConfig({ env: {} }), { create: true }),
    { code: 'REQUEST_INVALID', message: expect.stringMatching(/"\/proc" cannot be written \(E\w+\)/) },
  ],
  ['the spool', () => createTemporarySpool(spool()), { code: 'SPOOL_FULL' }],
  ['the spool, for /ready', () => spoolCheck(spool())(), { code: 'SPOOL_FULL' }],
  [
    'the viewer',
    () => ensureOhif({ directory: folder, signal: AbortSignal.timeout(10_000) }),
    { code: 'VIEWER_UNAVAILABLE', message: expect.stringContaining('ENOTDIR') },
  ],
])('%s says which folder it is, with a code', async (_what, open, error) => {
  await expect(open()).rejects.toMatchObject(error);
});
