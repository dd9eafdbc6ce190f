import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { makeFolder } from '../server/src/make-folder.ts';

async function place(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'make-folder-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

it('makes a folder with its parents, and says whether it is new', async () => {
  const folder = join(await place(), 'a', 'b', 'c');
  expect(await makeFolder(folder, 0o700)).toBe(true);
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
  expect(await makeFolder(folder)).toBe(false);
});

it('is not disturbed by others that make the same folder', async () => {
  const folder = join(await place(), 'a', 'b', 'c');
  const made = await Promise.all(Array.from({ length: 8 }, () => makeFolder(folder)));
  expect(made.filter(Boolean)).toHaveLength(1);
  // At any moment: one may see that the parent is missing, and then that the other has made it.
  for (let i = 0; i < 300; i++) {
    const below = join(folder, String(i), 'd');
    await Promise.all([makeFolder(below), new Promise(setImmediate).then(() => makeFolder(below))]);
  }
});

it('fails where there is a file', async () => {
  const file = join(await place(), 'file');
  await writeFile(file, '');
  await expect(makeFolder(file)).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(makeFolder(join(file, 'below'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});

it.skipIf(process.platform !== 'linux')(
  'fails where no folder can be made, instead of trying for ever',
  async () => {
    await expect(makeFolder('/proc/folder/below')).rejects.toMatchObject({ code: 'ENOENT' });
  },
);
