/** How files of a folder are named to people. */
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import { chooseSeries } from '../../server/src/cli/choose-series.ts';
import { withFile } from '../../server/src/cli/source-file.ts';
import { loadConfig } from '../../server/src/config.ts';
import { openArchiveLocation } from '../../server/src/wiring/archive-location.ts';
import { temporaryFolder } from '../dicom/temporary-folder.ts';
import { repository } from '../support/peers.ts';

const signal = new AbortController().signal;
const levels = (...to: readonly string[]) =>
  Promise.all(to.map((path, i) => copyFile(join(repository, `scripts/sample/level-${i + 2}.dcm`), path)));

async function fileIn(folder: string, slide?: string): Promise<string | undefined> {
  await using source = await openArchiveLocation(folder, loadConfig({ env: {} }), { create: false });
  return source.fileOf!({ ...(await chooseSeries(source, {}, signal)), slide });
}

it('a slide is named by its only file, its own folder, or its first file', async () => {
  await using folder = await temporaryFolder();
  const root = folder.file('slides');
  const own = join(root, 'cohort/patient 7');
  await mkdir(own, { recursive: true });
  await levels(join(own, 'only.dcm'));
  expect(await fileIn(root)).toBe('cohort/patient 7/only.dcm');
  await levels(join(own, 'only.dcm'), join(own, 'second.dcm'));
  expect(await fileIn(root)).toBe('cohort/patient 7');
  // The folder itself says nothing.
  expect(await fileIn(own)).toMatch(/^(only|second)\.dcm$/);
  expect(await fileIn(root, '1.2.3')).toBeUndefined();
});

it('an error keeps its code, data and cause, and names the file', () => {
  const cause = new StainError('STAIN_NOT_HE', 'It is blue.', { data: { reasons: [1] } });
  const slide = { studyInstanceUid: '1', seriesInstanceUid: '2' };
  expect(withFile(cause, { fileOf: () => 'a.dcm' }, slide)).toMatchObject({
    code: 'STAIN_NOT_HE',
    message: 'a.dcm: It is blue.',
    data: { reasons: [1], file: 'a.dcm' },
    cause,
  });
  expect(withFile(cause, {}, slide)).toBe(cause);
});
