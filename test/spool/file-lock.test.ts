import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { lockFile } from '../../server/src/spool/file-lock.ts';
import { PROCESS } from '../../server/src/spool/process-identity.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stain-lock-'));
});
afterEach(() => rm(directory, { recursive: true }));

const path = () => join(directory, 'lock');
/** On this host. Larger than any process number on Linux. */
const DEAD = `${PROCESS.split('-')[0]}-4194305-00000000-0000-0000-0000-000000000000`;
const ELSEWHERE = '00000000-1-00000000-0000-0000-0000-000000000000';

it('is held by one at a time', async () => {
  const counter = join(directory, 'counter');
  await writeFile(counter, '0');
  const add = async () => {
    await using _lock = await lockFile(path());
    await writeFile(counter, String(Number(await readFile(counter, 'utf8')) + 1));
  };
  await Promise.all(Array.from({ length: 30 }, add));
  expect(await readFile(counter, 'utf8')).toBe('30');
  expect(await readdir(directory)).toEqual(['counter']);
});

it.each([
  ['a process of this host that was killed', DEAD],
  ['a process that had the number of this one', `${PROCESS}-00000000-0000-0000-0000-000000000000`],
])('of %s is taken over at once', async (_whose, token) => {
  await writeFile(path(), token);
  await using lock = await lockFile(path(), { silenceMs: 1e9, maxWaitMs: 10_000 });
  await lock.requireHeld();
});

it.each([
  ['of another host', ELSEWHERE],
  ['that was killed before it wrote its name', ''],
])('of a holder %s is taken over when it stays silent', async (_whose, token) => {
  await writeFile(path(), token);
  await using lock = await lockFile(path(), { silenceMs: 50 });
  await lock.requireHeld();
});

it('is taken over if the process that broke it was killed too', async () => {
  await writeFile(path(), DEAD);
  await writeFile(`${path()}.broken`, DEAD);
  await using lock = await lockFile(path(), { silenceMs: 1e9, maxWaitMs: 10_000 });
  await lock.requireHeld();
});

it('is waited for until the timeout', async () => {
  await writeFile(path(), ELSEWHERE);
  await expect(lockFile(path(), { maxWaitMs: 100 })).rejects.toMatchObject({ code: 'SPOOL_FULL' });
  expect(await readFile(path(), 'utf8')).toBe(ELSEWHERE);
});

it('is known to be lost by a holder that was silent, which does not remove that of its successor', async () => {
  const lock = await lockFile(path());
  await writeFile(path(), ELSEWHERE);
  await expect(lock.requireHeld()).rejects.toMatchObject({ code: 'SPOOL_FULL' });
  await lock[Symbol.asyncDispose]();
  expect(await readFile(path(), 'utf8')).toBe(ELSEWHERE);
});
