/** The sample slide of a checkout, for an empty archive. */
import { cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeSettingFolder, unwritable } from '../setting.ts';

const SAMPLE = fileURLToPath(new URL('../../../scripts/sample/', import.meta.url));

/**
 * Does nothing if the folder is not empty, or if the product is installed without the sample.
 * @throws CONFIGURATION_INVALID if the folder cannot be written
 */
export async function addSample(folder: string): Promise<void> {
  const slides = (await readdir(SAMPLE).catch(() => [])).filter((name) => name.endsWith('.dcm'));
  await makeSettingFolder('archive.folder', folder);
  if ((await readdir(folder)).length > 0) return;
  for (const name of slides)
    await cp(join(SAMPLE, name), join(folder, 'sample', name)).catch((cause: unknown) => {
      throw unwritable('archive.folder', cause);
    });
}
