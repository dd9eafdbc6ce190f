/**
 * Real programs and real slides that tests need. In CI a missing one is a failure; elsewhere the test is skipped and
 * its title names what is missing.
 */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const repository = fileURLToPath(new URL('../../', import.meta.url));

export interface Peer {
  readonly missing: boolean;
  /** For the title of the test. */
  readonly note: string;
}

export function peer(what: string, present: boolean): Peer {
  if (!present && process.env.CI) throw new Error(`${what} is missing; .ci/run installs it`);
  return { missing: !present, note: present ? '' : ` (skipped: no ${what})` };
}

export function program(name: string): Peer {
  try {
    execFileSync('which', [name], { stdio: 'ignore' });
    return peer(name, true);
  } catch {
    return peer(name, false);
  }
}

export const PYTHON = process.env.STAIN_PYTHON ?? join(repository, '.venv/bin/python');

/** Python with the packages of test/interop/requirements.txt. */
export const python: Peer = peer('Python with test/interop/requirements.txt', existsSync(PYTHON));

/** Runs a script of test/interop and returns its output. */
export async function runPython(script: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(PYTHON, [join(repository, 'test/interop', script), ...args], {
    maxBuffer: 64e6,
  });
  return stdout;
}

/** The slides beside the checkout on the developers' machines. They are not part of the project, so never required. */
const SHARED_SLIDES = process.env.STAIN_TEST_DATA ?? join(repository, '../shared/data/dicom');

export function sharedSlide(name: string): Peer & { readonly path: string } {
  const path = join(SHARED_SLIDES, name);
  return { path, missing: !existsSync(path), note: existsSync(path) ? '' : ` (skipped: no ${name})` };
}

/** Errors that dciodvfy or dcentvfy reports, without the values, which differ between source and derived. */
export async function dicomErrors(validator: 'dciodvfy' | 'dcentvfy', ...files: string[]): Promise<string[]> {
  const text = await new Promise<string>((resolve, reject) => {
    // They exit with 1 if there are findings.
    execFile(validator, files, { encoding: 'latin1', maxBuffer: 64e6 }, (error, stdout, stderr) => {
      if (error && typeof error.code === 'string') reject(error);
      else resolve(stdout + stderr);
    });
  });
  return text
    .split('\n')
    .filter((line) => /\bError\b/.test(line))
    .map((line) => line.replace(/<\d[^>]*>/g, '<>'));
}
