/** Headers and pixel data of Part 10 files. */

import { readFileSync, rmSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import dicomParser from 'dicom-parser';
import { HeaderReader } from '../../server/src/archive/header.ts';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import { readDataSet } from '../../server/src/dicom/dataset-reader.ts';
import { deflatedStart } from '../../server/src/dicom/deflated.ts';
import { openPart10, type Part10File } from '../../server/src/dicom/part10-file.ts';
import { openInflated, type PrivateFolder } from '../../server/src/spool/inflated-file.ts';
import { deflateFile } from '../support/deflate-file.ts';
import { makeSlideInstance } from '../support/make-slide.ts';
import type { Seed } from './mutate.ts';
import { VARIANTS } from './slide-variants.ts';
import type { Targets } from './targets.ts';
import { use } from './use-data-set.ts';

const SAMPLE = new URL('../../scripts/sample/level-3.dcm', import.meta.url);
const META_START = 132;

function slides(): Seed[] {
  return VARIANTS.map((options) => {
    const bytes = makeSlideInstance(options);
    return { bytes, places: placesIn(bytes) };
  });
}

/** Mutates the inflated data too: `repeat` makes streams inflate to many times their size. */
const MAX_INFLATED = 4e6;

/** The block headers and codes at the start of the stream determine how all of it is read. */
function deflatedSlides(): Seed[] {
  const [plain] = slides().slice(-1);
  const long = makeSlideInstance({ ...VARIANTS.at(-1)!, overrides: { TextValue: 'text '.repeat(50_000) } });
  return [plain!.bytes, long].map((file) => {
    const bytes = deflateFile(file);
    const { end } = deflatedStart(bytes)!;
    return { bytes, places: Array.from({ length: 100 }, (_, i) => end - 20 + i) };
  });
}

/** The sample without its pixels. */
function sample(): Seed {
  const bytes = readFileSync(SAMPLE);
  const places = placesIn(bytes);
  const end = dicomParser.parseDicom(bytes).elements.x7fe00010!.dataOffset;
  return { bytes: bytes.subarray(0, end), places: places.filter((place) => place < end) };
}

/** Tags, VRs and lengths of all elements, including those in sequences, and of all items. */
function placesIn(bytes: Uint8Array): number[] {
  const places: number[] = [];
  const visit = ({ elements }: dicomParser.DataSet): void => {
    for (const { dataOffset, items } of Object.values(elements)) {
      for (const back of [2, 4, 6, 8, 12]) places.push(dataOffset - back);
      for (const { dataSet } of items ?? []) if (dataSet) visit(dataSet);
    }
  };
  // The other parser does not know the VR of the extended offset table.
  visit(dicomParser.parseDicom(bytes, { untilTag: 'x7fe00001' }));
  const isItem = (at: number): boolean => bytes[at] === 0xfe && bytes[at + 1] === 0xff;
  return [...places, ...[...bytes.keys()].filter(isItem).flatMap((at) => [at, at + 4])];
}

/** A data set without file meta information, in explicit or implicit VR by its first byte. */
function readHeader(bytes: Uint8Array): void {
  const options = { start: 1, explicitVr: bytes[0] === 1, total: bytes.length, until: '7FE00008' };
  use(readDataSet(bytes, options).dataSet);
}

function headerSeeds(): Seed[] {
  const explicit = [...slides(), sample()].map(({ bytes, places }) => {
    const start =
      META_START + 12 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(META_START + 8, true);
    return {
      bytes: Buffer.concat([Uint8Array.of(1), bytes.subarray(start)]),
      places: places.map((place) => place - start + 1).filter((place) => place > 0),
    };
  });
  // Our writer does not support implicit VR: VR and two-byte length become a length of four bytes.
  const implicit = Buffer.concat([
    Uint8Array.of(0),
    ...DataSet.of({ Modality: 'SM', Rows: 8, Columns: 8, NumberOfFrames: 1, PixelSpacing: '1' }).elements.map(
      (element) => {
        const bytes = 'bytes' in element ? element.bytes : new Uint8Array(0);
        const head = Buffer.alloc(8);
        head.writeUInt16LE(Number.parseInt(element.tag.slice(0, 4), 16), 0);
        head.writeUInt16LE(Number.parseInt(element.tag.slice(4), 16), 2);
        head.writeUInt32LE(bytes.length, 4);
        return Buffer.concat([head, bytes]);
      },
    ),
  ]);
  return [...explicit, { bytes: implicit, places: [1, 5, 9, 13, 17, 21] }];
}

/** A folder that is removed at the end of the process. */
async function folderOfInputs(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stain-fuzz-'));
  process.once('exit', () => rmSync(folder, { recursive: true }));
  return folder;
}

async function readFrames(file: Part10File): Promise<void> {
  const some = Math.min(file.numberOfFrames, 20);
  for (let i = 0; i < some; i++) await file.frame(i);
}

export const dicomTargets: Targets = {
  header: async () => ({ seeds: headerSeeds(), count: 50_000, read: async (bytes) => readHeader(bytes) }),
  part10: async () => {
    const path = join(await folderOfInputs(), 'input.dcm');
    return {
      seeds: slides(),
      count: 16_000,
      async read(bytes) {
        await writeFile(path, bytes);
        await using file = await openPart10(path);
        await readFrames(file);
      },
    };
  },
  deflated: async () => {
    const folder = await folderOfInputs();
    const path = join(folder, 'input.dcm');
    const { signal } = new AbortController();
    const headers = new HeaderReader(MAX_INFLATED);
    const makeFolder = async (): Promise<PrivateFolder> => {
      const own = await mkdtemp(join(folder, 'inflated-'));
      return {
        newFile: (name) => join(own, name),
        take: async () => {},
        [Symbol.asyncDispose]: () => rm(own, { recursive: true }),
      };
    };
    return {
      seeds: deflatedSlides(),
      count: 8000,
      async read(bytes) {
        await writeFile(path, bytes);
        await headers.with(path, signal, ({ dataset }) => use(dataset));
        await using file = await openInflated(
          path,
          { makeFolder, maxInstanceBytes: MAX_INFLATED },
          { signal, maxHeaderBytes: MAX_INFLATED },
        );
        await readFrames(file);
      },
    };
  },
};
