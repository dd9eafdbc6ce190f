/** An acceptance of a folder with slides of several scanners, from the drawing to the signature. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { AcceptanceContent, AcceptanceDocument } from '../../server/src/acceptance/document.ts';
import type { Attributes } from '../../server/src/dicom/dataset.ts';
import { brown } from '../support/brown.ts';
import { castPixels } from '../support/cast.ts';
import { repository } from '../support/peers.ts';
import { wholeSlide } from '../support/rules-site.ts';
import { tissueSlide } from '../support/tissue-slide.ts';

const PATIENT = { PatientName: 'Geheim^Gerda', PatientID: 'P-4711', AccessionNumber: 'A-0815' };
const scanner = (model: string, serial: string, software: string): Attributes => ({
  ...PATIENT,
  Manufacturer: 'Maker',
  ManufacturerModelName: model,
  DeviceSerialNumber: serial,
  SoftwareVersions: software,
});

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stain-acceptance-'));
  await mkdir(join(folder, 'slides'));
  const put = (name: string, bytes: Uint8Array) => writeFile(join(folder, 'slides', `${name}.dcm`), bytes);
  for (const name of ['a1', 'a2', 'a3', 'a4'])
    await put(name, (await wholeSlide(name, [3], scanner('Alpha', '1', '1.0'))).files[0]!);
  // The same scanner after an update.
  await put('update', (await wholeSlide('update', [3], scanner('Alpha', '1', '2.0'))).files[0]!);
  const station = { ...scanner('Beta', '', '1.0'), StationName: 'HALL2' };
  const strong = (rgb: Uint8Array) => castPixels(rgb, { eosin: 1.2 });
  await put('b1', tissueSlide('b1', { overrides: station }, strong).bytes);
  await put('b2', tissueSlide('b2', { overrides: station }, (rgb) => rgb.fill(240)).bytes);
  await put('brown', tissueSlide('brown', { overrides: scanner('Gamma', '3', '1.0') }, brown).bytes);
});
afterAll(() => rm(folder, { recursive: true }));

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const MAIN = join(repository, 'server/src/main.ts');
const options = () => ({
  env: { ...process.env, STAIN_SPOOL_DIRECTORY: join(folder, 'spool'), STAIN_DEVICE: 'cpu' },
  cwd: folder,
});

function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, [MAIN, 'acceptance', ...args], {
    ...options(),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

function run(...args: string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, 'acceptance', ...args], options(), (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr }),
    );
  });
}

const make = (out: string, ...args: string[]): Promise<Run> =>
  run('slides', '--template', 'he-pink-violet', '--out', out, '--per-scanner', '3', ...args);
const read = async (out: string): Promise<AcceptanceDocument> =>
  JSON.parse(await readFile(join(folder, out, 'acceptance.json'), 'utf8'));
const drawnOf = async (out: string) =>
  (await readFile(join(folder, out, 'slides.csv'), 'utf8')).split('\r\n');

/** By the model and software of the scanner. */
function scannerOf({ scanners }: AcceptanceContent, name: string) {
  return scanners.find(
    ({ scanner: { model, softwareVersions } }) => `${model} ${softwareVersions}` === name,
  )!;
}

it('draws slides of each scanner, fits them, and says what was refused', { timeout: 240_000 }, async () => {
  const before = await readdir(join(folder, 'slides'));
  const { code, stdout, stderr } = await make('one');
  expect([code, stderr]).toEqual([0, expect.stringContaining('Scanner 4 of 4')]);
  const { content } = await read('one');
  expect(content.series).toEqual({ found: 8, read: 8 });
  expect(
    content.scanners.map(({ scanner: { model, softwareVersions } }) => [model, ...softwareVersions]),
  ).toEqual([
    ['Alpha', '1.0'],
    ['Alpha', '2.0'],
    ['Beta', '1.0'],
    ['Gamma', '1.0'],
  ]);
  const alpha = scannerOf(content, 'Alpha 1.0');
  expect(alpha).toMatchObject({ found: 4, failed: 0, refused: { count: 0, of: 3 }, drift: null });
  for (const { state, distance, score } of alpha.slides) {
    expect(state).toBe('FITTED');
    expect(score).toBeLessThan(0.5);
    // Measured on the normalised pixels, so not zero.
    expect(distance!.after.nuclei!).toBeLessThan(distance!.before.nuclei! / 3);
    expect(distance!.after.nuclei!).toBeGreaterThan(0);
  }
  const beta = scannerOf(content, 'Beta 1.0');
  expect(beta.scanner).toMatchObject({ serialNumber: null, station: 'HALL2' });
  expect(beta).toMatchObject({
    refused: { count: 1, of: 2, rate: 0.5 },
    refusals: { TOO_LITTLE_TISSUE: 1 },
  });
  const gamma = scannerOf(content, 'Gamma 1.0');
  expect(gamma).toMatchObject({ refusals: { STAIN_NOT_HE: 1 } });
  expect(gamma.slides[0]!.notes.length).toBeGreaterThan(0);
  expect(stdout).toContain('refused 1 of 2: 50 %');
  // Nothing of the fourth scanner could be seen.
  expect(stdout).toMatch(/ sign one\/acceptance\.json .* --decision accepted --scanner 1 2 3$/m);
  // Neither the slides nor the spool have anything more.
  expect(await readdir(join(folder, 'slides'))).toEqual(before);
  expect(await readdir(join(folder, 'spool')).catch(() => [])).toEqual([]);
});

it('writes pages without identifiers, and which slide is which apart from them', async () => {
  const page = await readFile(join(folder, 'one/acceptance.html'), 'utf8');
  const json = await readFile(join(folder, 'one/acceptance.json'), 'utf8');
  for (const text of [page, json]) {
    expect(text).not.toMatch(/Geheim|Gerda|P-4711|A-0815/);
    expect(text.replaceAll(/data:image[^"]*/g, '')).not.toMatch(/\b2\.25\.\d+/);
  }
  expect(page).not.toContain('<script');
  // Four pictures of each of the five slides that were fitted, and one of each that was refused.
  expect(page.match(/<img /g)).toHaveLength(4 * 5 + 2);
  expect(page).toContain((await read('one')).sha256);
  const lines = await drawnOf('one');
  expect(lines.filter((line) => line.includes('2.25.'))).toHaveLength(7);
  expect((await stat(join(folder, 'one/slides.csv'))).mode & 0o077).toBe(0);
});

it('draws the same slides again, and others with another seed; never into a folder that is in use', async () => {
  await make('two');
  expect(await drawnOf('two')).toEqual(await drawnOf('one'));
  const first = (await read('one')).content.scanners.map(({ slides }) => slides);
  expect((await read('two')).content.scanners.map(({ slides }) => slides)).toEqual(first);
  await make('three', '--seed', '5', '--per-scanner', '1');
  const alphas = async (out: string) => (await drawnOf(out)).filter((line) => line.startsWith('1,1,'));
  expect(await alphas('three')).not.toEqual(await alphas('one'));
  const again = await make('two');
  expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('REQUEST_INVALID')]);
  expect((await read('two')).content.scanners).toHaveLength(4);
}, 240_000);

it('compares with an earlier acceptance, also over an update of the scanner', {
  timeout: 240_000,
}, async () => {
  const { code } = await make('later', '--baseline', 'one/acceptance.json');
  expect(code).toBe(0);
  const { content } = await read('later');
  const alpha = scannerOf(content, 'Alpha 1.0');
  // The very same slides, but too few to tell.
  expect(alpha.drift).toMatchObject({ softwareBefore: null, found: { nuclei: 0, stroma: 0, isDrift: null } });
  expect(content.baseline!.sha256).toBe((await read('one')).sha256);
  const damaged = join(folder, 'damaged.json');
  await writeFile(
    damaged,
    (await readFile(join(folder, 'one/acceptance.json'), 'utf8')).replace('Alpha', 'Alfa'),
  );
  const refused = await make('refused', '--baseline', damaged);
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('ACCEPTANCE_INVALID')]);
  await expect(stat(join(folder, 'refused'))).rejects.toThrow('ENOENT');
});

it('leaves nothing behind if it cannot be finished', async () => {
  const { code, stderr } = await make('none', '--query', 'StudyDate=18990101');
  expect([code, stderr]).toEqual([1, expect.stringContaining('SERIES_NOT_FOUND')]);
  await expect(stat(join(folder, 'none'))).rejects.toThrow('ENOENT');
});

it('can be interrupted, and leaves nothing behind then', async () => {
  const child = start('slides', '--template', 'he-pink-violet', '--out', 'interrupted');
  const ended = once(child, 'exit');
  child.stderr!.on('data', (text) => {
    if (String(text).includes('Scanner 1 of')) child.kill('SIGINT');
  });
  expect((await ended)[0]).toBe(130);
  await expect(stat(join(folder, 'interrupted'))).rejects.toThrow('ENOENT');
});

it('records a decision for some scanners, and refuses to accept what nobody could see', async () => {
  const file = 'one/acceptance.json';
  const who = ['--name', 'Dr. A. Example', '--role', 'consultant pathologist'];
  const accepted = await run('sign', file, ...who, '--decision', 'accepted', '--scanner', '1', '2');
  expect([accepted.code, accepted.stdout]).toEqual([
    0,
    expect.stringContaining('accepted by Dr. A. Example'),
  ]);
  expect((await read('one')).signatures).toMatchObject([{ scanners: [1, 2], decision: 'accepted' }]);
  const all = await run('sign', file, ...who, '--decision', 'accepted');
  expect([all.code, all.stderr]).toEqual([
    1,
    expect.stringContaining('nothing to accept. Accept the others with --scanner 1 2 3.'),
  ]);
  const unknown = await run('sign', file, ...who, '--decision', 'rejected', '--scanner', '9');
  expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('There is no scanner 9')]);
  expect((await run('sign', file, ...who, '--decision', 'perhaps')).code).toBe(2);
  expect((await read('one')).signatures).toHaveLength(1);
});
