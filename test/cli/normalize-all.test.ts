/** A folder of slides through the command line: good ones, a series that is not a slide, and a second run. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { encodeFrame } from '../../server/src/codec/encode-frame.ts';
import { makeSlideInstance, testUid } from '../support/make-slide.ts';
import { repository } from '../support/peers.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stain-all-'));
  await mkdir(join(folder, 'slides'));
  await copyFile(join(repository, 'scripts/sample/level-3.dcm'), join(folder, 'slides/slide.dcm'));
  const white = await encodeFrame(new Uint8Array(64 * 64 * 3).fill(240), {
    rows: 64,
    columns: 64,
    encoding: 'jpeg',
    quality: 90,
  });
  const glass = makeSlideInstance({
    slide: 'glass',
    rows: 64,
    columns: 64,
    totalRows: 64,
    totalColumns: 64,
    frames: [white],
  });
  await writeFile(join(folder, 'slides/glass.dcm'), glass);
});
afterAll(() => rm(folder, { recursive: true }));

function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = {
    ...process.env,
    STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
    STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
    STAIN_DEVICE: 'cpu',
    STAIN_JOBS_STABLE_SECONDS: '0',
  };
  const main = join(repository, 'server/src/main.ts');
  const fixed = ['normalize-all', 'slides', 'results', '--template', 'he-pink-violet'];
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...fixed, ...args], { env, cwd: folder }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr }),
    );
  });
}

const stored = async () =>
  (await readdir(join(folder, 'results'), { recursive: true }))
    .filter((name) => name.endsWith('.dcm'))
    .sort();

it('continues after a slide that fails, and reports each outcome', async () => {
  const { code, stdout, stderr } = await run('--report', 'report.json');
  expect(code).toBe(1);
  // By the names that people know.
  expect(stdout).toMatch(/^ {2}glass\.dcm {2}[\d.]+ {2}TOO_LITTLE_TISSUE: /m);
  expect(stderr).toMatch(/^\d of 2 {2}[\d.]+ {2}glass\.dcm$/m);
  const report: { state: string; file: string }[] = JSON.parse(
    await readFile(join(folder, 'report.json'), 'utf8'),
  );
  expect(report.map(({ state, file }) => `${file} ${state}`).sort()).toEqual([
    'glass.dcm FAILED',
    'slide.dcm COMPLETED',
  ]);
  expect(await stored()).toHaveLength(1);
  expect(await readdir(join(folder, 'spool'))).toEqual([]);
});

it('skips what is done when run again', async () => {
  const before = await stored();
  const { stdout } = await run('--report', 'report.csv');
  expect(stdout).toContain('1 skipped');
  const [head, ...lines] = (await readFile(join(folder, 'report.csv'), 'utf8')).trim().split('\r\n');
  expect(head).toMatch(/,slide,file$/);
  expect(lines.find((line) => line.includes('SKIPPED,,ALREADY_NORMALIZED'))).toMatch(/,slide\.dcm$/);
  expect(await stored()).toEqual(before);
});

it('processes only what the query matches, and refuses a malformed query', async () => {
  const { code, stdout } = await run('--query', `StudyInstanceUID=${testUid('glass-study')}`);
  expect([code, stdout]).toEqual([1, expect.stringMatching(/^1 failed/)]);
  for (const query of ['PatientName=x', 'StudyDate'])
    expect((await run('--query', query)).stderr).toContain('REQUEST_INVALID');
  const twice = await run('--query', 'PatientID=1', 'StudyDate=20260101-', '--query', 'PatientID=2');
  expect(twice.stderr).toContain(
    'Error (REQUEST_INVALID): PatientID is given twice: run the command for each value, or use a wildcard.',
  );
});

it('refuses a template or model that does not exist once, and not slide by slide', async () => {
  for (const [option, code] of [
    ['--template', 'TEMPLATE_NOT_FOUND'],
    ['--model', 'MODEL_NOT_FOUND'],
  ]) {
    const { stdout, stderr } = await run(option!, 'mistyped');
    expect([stdout, stderr]).toEqual(['', expect.stringContaining(`Error (${code})`)]);
  }
});

it('notices a report that cannot be written before the work', async () => {
  const { stderr } = await run('--report', 'missing/report.csv');
  expect(stderr).toContain(
    'Error (REQUEST_INVALID): The report missing/report.csv cannot be written (ENOENT).',
  );
  expect(stderr).not.toContain('1 of 2');
});
