/** Which files of the embedded archive stay open after their request. A deflated file shows it: its folder goes with it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN } from '../../core/src/dicom/transfer-syntaxes.ts';
import type { IndexedInstance } from '../../server/src/archive/folder-index.ts';
import { OpenFiles } from '../../server/src/archive/open-files.ts';
import { deflateFile } from '../support/deflate-file.ts';
import { EXPLICIT_LITTLE_ENDIAN } from '../support/make-slide.ts';
import { noise, storableSlide } from '../support/storable.ts';

const { signal } = new AbortController();
const slide = storableSlide('open', {
  transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN,
  photometricInterpretation: 'RGB',
  frames: [noise(16 * 16 * 3, 1)],
});
const file = deflateFile(slide.bytes);
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'open-files-'));
  for (const name of ['a', 'b', 'c']) await writeFile(join(directory, name), file);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const instance = (name: string, mtimeMs = 1): IndexedInstance => ({
  path: join(directory, name),
  size: file.length,
  mtimeMs,
  changedAtMs: mtimeMs,
  studyUid: slide.studyUid,
  seriesUid: slide.seriesUid,
  sopUid: slide.sopInstanceUid,
  sopClassUid: slide.sopClassUid,
  transferSyntaxUid: DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  json: {},
});

/** Files that keep two open while nobody reads them. */
function openFiles() {
  const open = new Set<string>();
  let made = 0;
  const files = new OpenFiles({
    capacity: 2,
    maxHeaderBytes: 1e6,
    maxInstanceBytes: 1e6,
    keepInflatedMs: 60_000,
    async makeFolder() {
      const folder = await mkdtemp(join(directory, `${made++}-`));
      open.add(folder);
      return {
        newFile: (name) => join(folder, name),
        take: async () => {},
        [Symbol.asyncDispose]: async () => void open.delete(folder),
      };
    },
  });
  return {
    files,
    read: (name: string, mtimeMs?: number) =>
      files.with(instance(name, mtimeMs), signal, async (opened) => void (await opened.frame(0))),
    /** Numbers of the openings whose file is still open, counted from 0. */
    open: () => [...open].map((folder) => Number.parseInt(basename(folder), 10)),
    get made() {
      return made;
    },
  };
}

it('keeps those read last, and closes the one unused for longest', async () => {
  const opened = openFiles();
  for (const name of ['a', 'b', 'a', 'c']) await opened.read(name);
  await expect.poll(opened.open).toEqual([0, 2]);
  await opened.read('a');
  expect(opened.made).toBe(3);
  await opened.files.close();
  expect(opened.open()).toEqual([]);
});

it('closes none that somebody reads, however many they are', async () => {
  const opened = openFiles();
  const { files } = opened;
  await files.with(instance('a'), signal, async (a) => {
    for (const name of ['b', 'c', 'b', 'c']) await opened.read(name);
    await opened.read('b', 2);
    await expect.poll(opened.open).toEqual([0, 2, 3]);
    await a.frame(0);
    // The second reader goes first.
    await opened.read('a');
    await a.frame(0);
  });
  await expect.poll(opened.open).toEqual([0, 3]);
  await files.close();
});

it('opens a file anew that was replaced under the same name', async () => {
  const opened = openFiles();
  await opened.read('a', 1);
  await opened.read('a', 2);
  expect(opened.made).toBe(2);
  await opened.files.close();
});

it('closes a file that is still read at the end after its last reader', async () => {
  const opened = openFiles();
  await opened.files.with(instance('a'), signal, async (a) => {
    await opened.files.close();
    await a.frame(0);
  });
  await expect.poll(opened.open).toEqual([]);
});
