/** What a folder was trained with: the same training goes on there, and another one must not mix with it. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { StainError } from '../core/src/errors.ts';
import { UNFINISHED_PICTURES } from './training-pictures.ts';

const FILE = 'run.json';

export type Run = Readonly<Record<string, string>>;

/** Creates the folder if it is missing. @throws REQUEST_INVALID if it holds anything other than this training */
export async function requireRun(folder: string, run: Run): Promise<void> {
  await mkdir(folder, { recursive: true });
  const names = (await readdir(folder)).filter((name) => name !== UNFINISHED_PICTURES);
  if (names.length === 0) return;
  if (!names.includes(FILE) || !isDeepStrictEqual(parsed(await readFile(join(folder, FILE), 'utf8')), run))
    throw new StainError(
      'REQUEST_INVALID',
      `"${folder}" holds something other than this training. Choose another folder for --out; a training goes on only with the source and the options that it began with (${FILE}).`,
    );
}

export function saveRun(folder: string, run: Run): Promise<void> {
  return writeFile(join(folder, FILE), `${JSON.stringify(run, null, 2)}\n`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
