import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addSample } from '../../server/src/cli/sample.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stain-sample-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('an empty archive gets the sample slide, and nothing but slides', async () => {
  const archive = join(folder, 'archive');
  await addSample(archive);
  await addSample(archive);
  expect((await readdir(archive, { recursive: true })).sort()).toEqual([
    'sample',
    ...[0, 1, 2, 3].map((level) => `sample/level-${level}.dcm`),
  ]);
});

test('an archive with contents is left alone', async () => {
  await writeFile(join(folder, 'mine.dcm'), '');
  await addSample(folder);
  expect(await readdir(folder)).toEqual(['mine.dcm']);
});
