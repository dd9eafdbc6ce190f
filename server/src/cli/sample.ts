/** The sample slide of a checkout, for an archive in which there is nothing yet. */
import { cp, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SAMPLE = fileURLToPath(new URL('../../../scripts/sample/', import.meta.url));

/** Does nothing where the folder holds anything, or where the product is installed without the sample. */
export async function addSample(folder: string): Promise<void> {
  const slides = (await readdir(SAMPLE).catch(() => [])).filter((name) => name.endsWith('.dcm'));
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if ((await readdir(folder)).length > 0) return;
  for (const name of slides) await cp(join(SAMPLE, name), join(folder, 'sample', name));
}
