/** Headers and pixel data of Part 10 files, and DICOM JSON. */
import { readFileSync, rmSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import dicomParser from 'dicom-parser';
import { HeaderReader } from '../../server/src/archive/header.ts';
import { openInflated, type PrivateFolder } from '../../server/src/archive/inflated-file.ts';
import { toDicomJson } from '../../server/src/archive/to-dicom-json.ts';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import { readDataSet } from '../../server/src/dicom/dataset-reader.ts';
import { writeDataSet } from '../../server/src/dicom/dataset-writer.ts';
import { deflatedStart } from '../../server/src/dicom/deflated.ts';
import { deriveLevel } from '../../server/src/dicom/derived-series.ts';
import type { DicomJsonDataSet } from '../../server/src/dicom/dicom-json.ts';
import { openPart10, type Part10File } from '../../server/src/dicom/part10-file.ts';
import { itemsOf, numberOf, textOf } from '../../server/src/dicomweb/dicom-json.ts';
import { parseDataSets } from '../../server/src/dicomweb/parse-json.ts';
import { readStoreAnswer } from '../../server/src/dicomweb/store-answer.ts';
import { StainError } from '../../server/src/errors.ts';
import { describeSlide } from '../../server/src/slide/describe.ts';
import type { Level } from '../../server/src/slide/types.ts';
import { record } from '../dicom/derive-for-tests.ts';
import { deflateFile } from '../support/deflate-file.ts';
import { makeSlideHeader, makeSlideInstance, type SlideInstanceOptions } from '../support/make-slide.ts';
import type { Seed } from './mutate.ts';
import type { Targets } from './targets.ts';

const LIMITS = { maxSlideMegapixels: 40_000 };
const SAMPLE = new URL('../../scripts/sample/level-3.dcm', import.meta.url);
const META_START = 132;

function frames(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => Uint8Array.of(0xff, 0xd8, i, 1, 2, 3, 0xff, 0xd9));
}

const COMMON = { rows: 8, columns: 8, totalRows: 16, totalColumns: 24, frames: frames(6) };
const VARIANTS: readonly SlideInstanceOptions[] = [
  COMMON,
  { ...COMMON, tiling: 'TILED_SPARSE', offsetTable: 'extended', fragmentsPerFrame: 2 },
  { ...COMMON, tiling: 'none', offsetTable: 'empty', fragmentsPerFrame: 3, padFragments: false },
  {
    ...COMMON,
    transferSyntaxUid: '1.2.840.10008.1.2.1',
    photometricInterpretation: 'RGB',
    frames: Array.from({ length: 6 }, (_, i) => new Uint8Array(192).fill(i)),
  },
];

function slides(): Seed[] {
  return VARIANTS.map((options) => {
    const bytes = makeSlideInstance(options);
    return { bytes, places: placesIn(bytes) };
  });
}

/** Of what a mutant is inflated to: `repeat` makes streams of many times what they were. */
const LARGEST_INFLATED = 4e6;

/** The block headers and codes at the beginning of the stream say how all of it is read. */
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

/** Tags, VRs and lengths of all elements, those within sequences too, and of all items. */
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

/** Everything that the product asks a data set for. */
function use(dataSet: DataSet): void {
  toDicomJson(dataSet, () => 'bulk');
  writeDataSet(dataSet);
  const level = baseLevel(dataSet);
  if (!level) return;
  const options = { instanceNumber: 1, sopInstanceUid: '2.25.1', encodedBytes: 1000, sourceIsLossy: true };
  writeDataSet(deriveLevel({ level, derivation: record(), ...options }));
}

/** Undefined for what is no slide that can be normalised. */
function baseLevel(dataSet: DataSet): Level | undefined {
  try {
    return describeSlide([dataSet], LIMITS).levels[0];
  } catch (error) {
    if (error instanceof StainError) return undefined;
    throw error;
  }
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
  // Implicit VR, which our writer does not have: VR and two-byte length become a length of four bytes.
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

/** Strings that are no keys and numbers; lists and objects that hold no others. */
const JSON_TOKENS = [/(?<=[:[,])"(?:[^"\\]|\\.)*"(?!:)|(?<=[:[,])-?\d[\d.eE+-]*/g, /\[[^[\]]*\]|\{[^{}]*\}/g];
const ODD_VALUES = [
  ...[
    'null',
    '{}',
    '[]',
    'true',
    '1e999',
    '-0',
    '0.5',
    '1e300',
    '""',
    '"\\u0000"',
    '"SQ"',
    '"PN"',
    '"AT"',
    '"US"',
    '"UV"',
  ],
  ...[
    '{"toString":null,"valueOf":1}',
    '{"__proto__":[]}',
    '{"length":1e9}',
    '[[[[]]]]',
    '"\\\\"',
    '"00080005"',
    '2147483647',
  ],
  `"${' '.repeat(9000)}x"`,
  `"${'\\\\'.repeat(9000)}"`,
];

function jsonSeeds(): Seed[] {
  const answer = {
    '00081199': { vr: 'SQ', Value: [{ '00081155': { vr: 'UI', Value: ['1.2.3'] } }] },
    '00081198': {
      vr: 'SQ',
      Value: [{ '00081155': { vr: 'UI', Value: ['1.2'] }, '00081197': { vr: 'US', Value: [272] } }],
    },
  };
  const xml =
    '<DicomAttribute tag="00081198"><DicomAttribute tag="00081197" vr="US"><Value number="1">272</Value>';
  return [
    JSON.stringify(VARIANTS.map((options) => toDicomJson(makeSlideHeader(options), () => 'http://x/'))),
    JSON.stringify([answer]),
    xml,
  ].map((text) => ({
    bytes: Buffer.from(text),
    places: [...text.matchAll(/[[\]{}":,<>]/g)].map(({ index }) => index),
    tokens: JSON_TOKENS,
    odd: ODD_VALUES,
  }));
}

function readJson(bytes: Uint8Array): void {
  const body = Buffer.from(bytes);
  readStoreAnswer(409, body.toString(), '1.2.3');
  for (const json of parseDataSets(body)) {
    for (const tag of Object.keys(json)) for (const read of [textOf, numberOf, itemsOf]) read(json, tag);
    use(DataSet.fromDicomJson(json as DicomJsonDataSet));
  }
}

/** A folder that goes with the process. */
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
    const headers = new HeaderReader(LARGEST_INFLATED);
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
          { makeFolder, maxInstanceBytes: LARGEST_INFLATED },
          { signal, maxHeaderBytes: LARGEST_INFLATED },
        );
        await readFrames(file);
      },
    };
  },
  json: async () => ({ seeds: jsonSeeds(), count: 20_000, read: async (bytes) => readJson(bytes) }),
};
