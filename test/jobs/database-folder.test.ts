/** The folder of the embedded database contains what no other user of the host may read. */
import { chmod, mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openDatabase } from '../../server/src/jobs/database.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stain-database-'));
});
afterEach(() => rm(folder, { recursive: true }));

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

it.each([
  ['a new one', async () => {}],
  [
    'one of an older version',
    async (directory: string) => {
      await mkdir(directory);
      await chmod(directory, 0o755);
    },
  ],
])(
  'attack: another user of the host reads it. %s is readable by us alone, and its lock too',
  async (_what, prepare) => {
    const directory = join(folder, 'var/database');
    await mkdir(join(folder, 'var'));
    await prepare(directory);
    const database = await openDatabase({ directory, heartbeatSeconds: 30, onError: () => {} });
    expect(await modeOf(directory)).toBe(0o700);
    expect(await modeOf(`${directory}.lock`)).toBe(0o600);
    await database.close();
  },
);
