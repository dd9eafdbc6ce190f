import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  createTemporarySpool,
  openJobSpool,
  removeJobSpool,
  spooledBytes,
  sweepSpools,
} from '../../server/src/normalization/spool.ts';

const [OVER, FAILED, FORGOTTEN] = [1, 2, 3].map((n) => `0d0c5b0e-0d1c-4a3f-9d3f-5a1c7e6b2f1${n}`);
const DAY = 24 * 3_600_000;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stain-spool-'));
});
afterEach(() => rm(directory, { recursive: true }));

it('gives the folder of a job to every attempt at it, until it is removed', async () => {
  const first = await openJobSpool({ directory }, OVER!);
  await writeFile(first.newFile('frames'), 'abc');
  const second = await openJobSpool({ directory }, OVER!);
  expect(await readdir(second.directory)).toHaveLength(1);
  expect(second.newFile('frames')).not.toBe(first.newFile('frames'));
  await removeJobSpool({ directory }, OVER!);
  expect(await readdir(directory)).toEqual([]);
});

it('refuses what quota or disk have no room for', async () => {
  const options = { directory, quotaBytes: 1000 };
  await using other = await createTemporarySpool(options);
  await writeFile(other.newFile('frames'), new Uint8Array(600));
  expect(await spooledBytes(options)).toBe(600);
  await using spool = await createTemporarySpool(options);
  await spool.requireRoom(400);
  await expect(spool.requireRoom(401)).rejects.toMatchObject({ code: 'SPOOL_FULL' });
  await using unlimited = await createTemporarySpool({ directory });
  await expect(unlimited.requireRoom(1e18)).rejects.toMatchObject({ code: 'SPOOL_FULL' });
});

it('is swept of what nobody needs: jobs that are over, what is old, what dead processes of this host left', async () => {
  const options = { keepDays: 7, isOver: async (id: string) => id === OVER };
  for (const id of [OVER!, FAILED!, FORGOTTEN!]) await openJobSpool({ directory }, id);
  const old = new Date(Date.now() - 8 * DAY);
  await utimes(join(directory, `job-${FORGOTTEN}`), old, old);
  await using alive = await createTemporarySpool({ directory });
  const ours = /temporary-([0-9a-f]{8})-/.exec(alive.directory)![1];
  await mkdir(join(directory, `temporary-${ours}-4194305-dead`));
  // In a container that was started again the new process has the number of the dead one.
  await mkdir(join(directory, `temporary-${ours}-${process.pid}-before`));
  // Of another host: its numbers of processes say nothing here.
  await mkdir(join(directory, 'temporary-00000000-4194305-elsewhere'));
  await mkdir(join(directory, 'lost+found'));
  await sweepSpools({ directory }, options);
  expect(new Set(await readdir(directory))).toEqual(
    new Set([
      `job-${FAILED}`,
      alive.directory.split('/').at(-1),
      'temporary-00000000-4194305-elsewhere',
      'lost+found',
    ]),
  );
});
