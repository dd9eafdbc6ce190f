/** A spool on a disk that is full: the job waits, says for what, and goes on when there is room. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recorded } from './record.ts';
import { PYRAMID, Site, type SiteSlide } from './site.ts';

/** Room for the source of 2.2 MB and little more: it is full while something is written, not before. */
const SMALL = '2900k';
const LARGE = '64m';

const missing = process.getuid?.() === 0 ? undefined : 'only root can mount a small disk';

describe.skipIf(missing !== undefined)(missing ? `a full disk (skipped: ${missing})` : 'a full disk', () => {
  let disk: string;
  let site: Site;
  let pyramid: SiteSlide;

  const mount = (...args: string[]) => promisify(execFile)('mount', args);

  beforeAll(async () => {
    disk = await mkdtemp(join(tmpdir(), 'faults-disk-'));
    await mount('-t', 'tmpfs', '-o', `size=${LARGE}`, 'tmpfs', disk);
    site = await Site.open({ spool: disk });
    pyramid = await site.add('pyramid', PYRAMID);
  });
  afterAll(async () => {
    await site?.[Symbol.asyncDispose]();
    await promisify(execFile)('umount', [disk]);
    await rm(disk, { recursive: true });
  });

  it.each([
    ['before anything was fetched', '100k'],
    ['while the slide is fetched', '1500k'],
    ['while the result is spooled', SMALL],
  ])('%s', (_when, size) =>
    recorded('disk full (ENOSPC)', async () => {
      await site.forget(pyramid);
      await mount('-o', `remount,size=${size}`, disk);
      const { id } = await site.submit(pyramid);
      const waiting = await site.see(id, (job) => job.waiting !== null);
      expect(waiting).toMatchObject({ state: 'SCHEDULED', waiting: { code: 'SPOOL_FULL' } });
      expect(await site.storedInstances(pyramid)).toEqual([]);
      await mount('-o', `remount,size=${LARGE}`, disk);
      return { times: 1, finding: await site.findings(pyramid, await site.end(id)) };
    }),
  );
});
