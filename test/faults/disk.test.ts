/** A spool on a full disk: the job waits, says for what, and continues when there is space. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { delay, isInstance } from '../support/fault-proxy.ts';
import { recorded } from './record.ts';
import { PYRAMID, Site, type SiteSlide } from './site.ts';

/** Enough for the estimated size of a job. */
const SIZE = '48m';

const missing = process.getuid?.() === 0 ? undefined : 'only root can mount a small disk';

describe.skipIf(missing !== undefined)(missing ? `a full disk (skipped: ${missing})` : 'a full disk', () => {
  let disk: string;
  let site: Site;
  let pyramid: SiteSlide;

  const mount = (...args: string[]) => promisify(execFile)('mount', args);

  beforeAll(async () => {
    disk = await mkdtemp(join(tmpdir(), 'faults-disk-'));
    await mount('-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', disk);
    site = await Site.open({ spool: disk, environment: { STAIN_SPOOL_MIN_FREE_BYTES: '0' } });
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

  /** Another program fills the disk, except for this many bytes. */
  async function fill(left: number): Promise<() => Promise<void>> {
    const filler = join(disk, 'filler');
    const { bavail, bsize } = await statfs(disk);
    const pages = left === 0 ? [] : [`count=${Math.floor(bavail - left / bsize)}`];
    // Writing fails when the disk is full.
    await promisify(execFile)('dd', ['if=/dev/zero', `of=${filler}`, `bs=${bsize}`, ...pages]).catch(
      () => {},
    );
    return () => rm(filler);
  }

  it.each([
    ['to its last byte', 0],
    ['but for a few bytes', 100_000],
    ['but for the source', 3_000_000],
  ])('%s, before a job begins', (_how, left) =>
    recorded('disk full (ENOSPC)', async () => {
      await site.forget(pyramid);
      const free = await fill(left);
      const { id } = await site.submit(pyramid);
      expect(await waitingFor(id)).toBe('SPOOL_FULL');
      await free();
      return { times: 1, finding: await site.findings(pyramid, await site.end(id)) };
    }),
  );

  it.each(['fetch', 'normalize'])('that somebody else fills at stage %s', (stage) =>
    recorded('disk full (ENOSPC)', async () => {
      await site.forget(pyramid);
      site.proxy.inject(isInstance, delay(300));
      const { id } = await site.submit(pyramid);
      await site.see(id, ({ progress }) => progress?.stage === stage);
      const free = await fill(0);
      expect(await waitingFor(id)).toBe('SPOOL_FULL');
      await free();
      site.proxy.heal();
      return { times: 1, finding: await site.findings(pyramid, await site.end(id)) };
    }),
  );
});
