/** A spool on a disk that is full: the job waits, says for what, and goes on when there is room. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recorded } from './record.ts';
import { PYRAMID, Site, type SiteSlide } from './site.ts';

/** Enough for the source of 2.2 MB, and three times what the result takes. */
const SIZE = '24m';

const missing = process.getuid?.() === 0 ? undefined : 'only root can mount a small disk';

describe.skipIf(missing !== undefined)(missing ? `a full disk (skipped: ${missing})` : 'a full disk', () => {
  let disk: string;
  let site: Site;
  let pyramid: SiteSlide;

  const mount = (...args: string[]) => promisify(execFile)('mount', args);

  beforeAll(async () => {
    disk = await mkdtemp(join(tmpdir(), 'faults-disk-'));
    await mount('-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', disk);
    site = await Site.open({ spool: disk, environment: { STAIN_SPOOL_LEAST_FREE_BYTES: '0' } });
    pyramid = await site.add('pyramid', PYRAMID);
  });
  afterAll(async () => {
    await site?.[Symbol.asyncDispose]();
    await promisify(execFile)('umount', [disk]);
    await rm(disk, { recursive: true });
  });

  async function waitingFor(id: string): Promise<string | undefined> {
    const job = await site.see(id, ({ waiting }) => waiting !== null);
    expect(job?.state).toBe('SCHEDULED');
    expect(await site.storedInstances(pyramid)).toEqual([]);
    return job?.waiting?.code;
  }

  it.each([
    ['before anything was fetched', '100k'],
    ['while the slide is fetched', '1500k'],
    ['of which too little is left for the result', '2900k'],
  ])('%s', (_when, size) =>
    recorded('disk full (ENOSPC)', async () => {
      await site.forget(pyramid);
      await mount('-o', `remount,size=${size}`, disk);
      const { id } = await site.submit(pyramid);
      expect(await waitingFor(id)).toBe('SPOOL_FULL');
      await mount('-o', `remount,size=${SIZE}`, disk);
      return { times: 1, finding: await site.findings(pyramid, await site.end(id)) };
    }),
  );

  it('that somebody else fills while tiles are made', () =>
    recorded('disk full (ENOSPC)', async () => {
      await site.forget(pyramid);
      const { id } = await site.submit(pyramid);
      await site.see(id, ({ progress }) => progress?.stage === 'normalize');
      const filler = join(disk, 'filler');
      await promisify(execFile)('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1M']).catch(() => {});
      expect(await waitingFor(id)).toBe('SPOOL_FULL');
      await rm(filler);
      return { times: 1, finding: await site.findings(pyramid, await site.end(id)) };
    }));
});
