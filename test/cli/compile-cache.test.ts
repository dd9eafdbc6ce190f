/** What a command keeps of its compiled code, and where it must not. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { repository } from '../support/peers.ts';

let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'stain-compiled-'));
});
afterEach(() => rm(home, { recursive: true }));

/** The version that the command prints. */
async function version(env: NodeJS.ProcessEnv): Promise<string> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(repository, 'server/src/main.ts'), '--version'],
    { env: { PATH: process.env['PATH'], HOME: home, ...env } },
  );
  return stdout;
}

async function filesIn(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).length;
}

describe('compiled code', () => {
  it('is kept in a folder of the user alone', async () => {
    await version({});
    const kept = join(home, '.cache/stain-normalization');
    expect((await stat(kept)).mode & 0o777).toBe(0o700);
    expect(await filesIn(kept)).toBeGreaterThan(0);
  });

  it('is kept where the user keeps caches', async () => {
    const cache = join(home, 'caches');
    await version({ XDG_CACHE_HOME: cache });
    expect(await filesIn(join(cache, 'stain-normalization'))).toBeGreaterThan(0);
    expect(await readdir(home)).toEqual(['caches']);
  });

  it.each(['a relative path', ''])(
    'is not kept in a cache folder that the specification forbids: "%s"',
    async (cache) => {
      await version({ XDG_CACHE_HOME: cache });
      expect(await readdir(home)).toEqual(['.cache']);
    },
  );

  it('is not kept where others can write, because it is executed', async () => {
    const kept = join(home, '.cache/stain-normalization');
    await mkdir(kept, { recursive: true });
    await chmod(kept, 0o777);
    await version({});
    expect(await filesIn(kept)).toBe(0);
  });

  it('is not kept if the user says so', async () => {
    await version({ NODE_DISABLE_COMPILE_CACHE: '1' });
    expect(await readdir(home)).toEqual([]);
  });

  it('is not needed: without a home folder a command runs too, and makes none', async () => {
    const nowhere = join(home, 'none');
    expect(await version({ HOME: nowhere })).toMatch(/^\d+\.\d+\.\d+/);
    expect(await readdir(home)).toEqual([]);
  });
});
