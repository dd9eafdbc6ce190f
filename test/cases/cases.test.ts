/**
 * Small inputs with one defect each (../shared/data/cases), through the whole product: the right pixels, or a refusal
 * that names the reason. Each stands for public reports of its kind.
 */
import '../../server/src/codec/node-codecs.ts';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeFrame } from '../../core/src/codec/decode-frame.ts';
import { normalizeCommand } from '../../server/src/cli/normalize-command.ts';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { meanDifference } from '../codec/frames.ts';
import { createWorkplace, normalizeOnlySlide, TEMPLATE, type Workplace } from '../support/normalize.ts';
import { repository } from '../support/peers.ts';

const CASES = join(process.env.STAIN_TEST_DATA ?? join(repository, '../shared/data'), 'cases');
const missing = !existsSync(CASES);
const note = missing ? ' (skipped: no cases)' : '';

/** Grey levels between two encodings of one picture by JPEG at quality 90, and between JPEG 2000 and JPEG. */
const [RECODED, OTHER_CODEC] = [3, 5];

/** A derived instance whose frames fill a grid. */
interface Image {
  readonly width: number;
  readonly text: string;
  /** Frame after frame. */
  readonly pixels: Uint8Array;
  /** Side of a frame in pixels. */
  readonly tile: number;
  /** Millimetres per pixel. */
  readonly spacing: number;
}

interface Derived {
  /** The widest first. */
  readonly images: readonly Image[];
  /** Image Type and size of each derived instance, the widest first. */
  readonly levels: readonly string[];
  /** Pixels of the base level, frame after frame. */
  readonly pixels: Uint8Array;
  readonly notes: readonly string[];
}

let place: Workplace;
const made = new Map<string, Promise<Derived>>();
beforeAll(async () => {
  place = await createWorkplace();
});
afterAll(() => place?.[Symbol.asyncDispose]());

/** Normalises each case once. */
function derived(name: string): Promise<Derived> {
  const known = made.get(name) ?? normalize(name);
  made.set(name, known);
  return known;
}

async function normalize(name: string): Promise<Derived> {
  const folder = join(place.folder, `${name}-derived`);
  await using source = await place.open(await place.fill(name, join(CASES, name)));
  await using destination = await place.open(folder);
  const { notes } = await normalizeOnlySlide(place, source, destination, { model: 'fast' });
  const images: Image[] = [];
  for (const file of (await readdir(folder, { recursive: true })).filter((one) => one.endsWith('.dcm'))) {
    await using part10 = await openPart10(join(folder, file));
    const { dataset, transferSyntaxUid, numberOfFrames } = part10;
    const number = (keyword: string): number => dataset.number(keyword)!;
    const format = {
      transferSyntaxUid,
      rows: number('Rows'),
      columns: number('Columns'),
      photometricInterpretation: dataset.string('PhotometricInterpretation')!,
      planarConfiguration: 0,
    };
    const frames: Uint8Array[] = [];
    for (let i = 0; i < numberOfFrames; i++) frames.push(await decodeFrame(await part10.frame(i), format));
    const [width, height] = [number('TotalPixelMatrixColumns'), number('TotalPixelMatrixRows')];
    const type = dataset.strings('ImageType').slice(2).join(' ');
    const [groups] = dataset.items('SharedFunctionalGroupsSequence');
    images.push({
      width,
      text: `${type} ${width} x ${height}`,
      pixels: new Uint8Array(Buffer.concat(frames)),
      tile: format.columns,
      spacing: groups!.items('PixelMeasuresSequence')[0]!.numbers('PixelSpacing')[0]!,
    });
  }
  images.sort((a, b) => b.width - a.width);
  return {
    images,
    levels: images.map(({ text }) => text),
    pixels: images[0]!.pixels,
    notes: notes.map(({ message }) => message),
  };
}

/** Mean of a square of pixels, per channel. */
function meanOf({ width, tile, pixels }: Image, x: number, y: number, size: number): number[] {
  const sums = [0, 0, 0];
  for (let row = y; row < y + size; row++)
    for (let column = x; column < x + size; column++) {
      const frame = Math.floor(row / tile) * Math.ceil(width / tile) + Math.floor(column / tile);
      const at = ((frame * tile + (row % tile)) * tile + (column % tile)) * 3;
      for (const channel of [0, 1, 2]) sums[channel]! += pixels[at + channel]!;
    }
  return sums.map((sum) => sum / size ** 2);
}

const CONTROL = ['VOLUME NONE 1000 x 800', 'VOLUME RESAMPLED 500 x 400'];

describe.skipIf(missing)(`A slide with a defect${note}`, () => {
  it.each<[string, string, number, readonly string[]]>([
    ['JPEG without end marker, data complete', 'e01-no-eoi', 0, CONTROL],
    ['a 0 byte before the end marker of JPEG-LS', 'e06-jpegls-zero-before-eoi', RECODED, CONTROL],
    ['no sequence delimiter at the end', 'f01-no-sequence-delimiter', 0, CONTROL],
    ['RGB JPEG without JFIF or Adobe marker', 'p01-rgb-jpeg-ids-012', RECODED, CONTROL.slice(0, 1)],
    [
      'JPEG 2000 without component transform, tagged YBR_ICT',
      'p14-j2k-nomct-ycc-tagged-YBR_ICT',
      OTHER_CODEC,
      CONTROL.slice(0, 1),
    ],
    ['decompressed RGB still tagged YBR_FULL_422', 's20-native-422-rgb', RECODED, CONTROL],
    ['a deflated data set', 'e10-deflated', RECODED, CONTROL],
    ['a level whose Image Type is in lower case', 's05b-type-secondary-mixed', 0, CONTROL],
  ])('has the pixels of the intact one: %s', async (_what, name, maxDifference, levels) => {
    const [found, control] = [await derived(name), await derived('c00-control')];
    expect(found.levels.slice(0, levels.length)).toEqual(levels);
    const difference = meanDifference(found.pixels, control.pixels);
    if (maxDifference === 0) expect(difference).toBe(0);
    else expect(difference).toBeLessThan(maxDifference);
  });

  it.each<[string, string, string, RegExp]>([
    [
      'two slides in one series, none of them requested',
      't03-two-slides-one-series',
      'SEVERAL_SLIDES',
      /container C1 .*; container C2 /,
    ],
    [
      'an optical path in each instance',
      't04-optical-path-per-instance',
      'OPTICAL_PATHS_UNSUPPORTED',
      /an image for each/,
    ],
    [
      'Image Type with two values',
      's03-imagetype-two-values',
      'NO_VOLUME_LEVEL',
      /Image Type is DERIVED\\PRIMARY/,
    ],
    [
      'extra bytes before a restart marker',
      'w20-extraneous-before-rst',
      'FRAME_INVALID',
      /frame 1 of instance [\d.]+/,
    ],
  ])('is refused with the reason: %s', async (_what, name, code, message) => {
    await expect(normalize(name)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('two slides in one series become two, each with its own container, frame of reference and pixels', async () => {
    const folder = join(CASES, 't03-two-slides-one-series');
    /** What the derived images of these files say about their slide, and SHA-256 of their frames. */
    const derive = async (name: string, ...files: string[]) => {
      const source = await place.fill(name, ...files.map((file) => join(folder, file)));
      const destination = join(place.folder, `${name}-derived`);
      const args = { source, destination, template: TEMPLATE, model: 'fast', transfer: 'linear' } as const;
      await normalizeCommand(args, place.composition, new AbortController().signal);
      const found: { series: string; says: readonly unknown[]; frames: string }[] = [];
      for (const file of (await readdir(destination, { recursive: true })).toSorted()) {
        if (!file.endsWith('.dcm')) continue;
        await using part10 = await openPart10(join(destination, file));
        const text = (keyword: string): string => part10.dataset.string(keyword)!;
        const hash = createHash('sha256');
        for (let i = 0; i < part10.numberOfFrames; i++) hash.update(await part10.frame(i));
        const says = [text('ContainerIdentifier'), text('FrameOfReferenceUID')];
        found.push({ series: text('SeriesInstanceUID'), says, frames: hash.digest('hex') });
      }
      return found;
    };
    const both = await derive('t03-both', '0.dcm', '1.dcm');
    const alone = [...(await derive('t03-0', '0.dcm')), ...(await derive('t03-1', '1.dcm'))];
    expect(alone.map(({ says }) => says[0])).toEqual(['C1', 'C2']);
    const content = (derived: typeof both) =>
      derived
        .map(({ says, frames }) => ({ says, frames }))
        .toSorted((a, b) => (a.frames < b.frames ? -1 : 1));
    expect(content(both)).toEqual(content(alone));
    expect(new Set(both.map(({ series }) => series)).size).toBe(2);
  });

  it('levels padded to whole tiles keep their size, and their slide ends where it ends', async () => {
    const { levels } = await derived('s16-philips-padded');
    expect(levels).toEqual([
      'VOLUME NONE 2560 x 2560',
      'VOLUME RESAMPLED 1536 x 1536',
      'VOLUME RESAMPLED 1024 x 1024',
    ]);
  });

  it('levels padded to whole tiles show each place at the same millimetres', async () => {
    const { images } = await derived('s16-philips-padded');
    const [base, ...coarser] = images as [Image, ...Image[]];
    for (const level of coarser) {
      const reduction = Math.round(level.spacing / base.spacing);
      let [difference, places] = [0, 0];
      // Places in the tissue; by the ratio of the sizes they would lie elsewhere.
      for (let y = 0; y < base.width - 64; y += 64)
        for (let x = 0; x < base.width - 64; x += 64) {
          const there = meanOf(base, x, y, 4 * reduction);
          const here = meanOf(level, x / reduction, y / reduction, 4);
          difference += there.reduce((sum, value, i) => sum + Math.abs(value - here[i]!), 0) / 3;
          places++;
        }
      expect(difference / places).toBeLessThan(RECODED);
    }
  });

  it('a damaged thumbnail is left out, with a note that names its frame', async () => {
    const { levels, notes } = await derived('x2-wsidicomizer-thumbnail');
    expect(levels).toEqual(['VOLUME NONE 2220 x 2967']);
    expect(notes).toContainEqual(
      expect.stringMatching(/^The thumbnail was left out: .* frame 1 of instance/),
    );
  });

  it('bytes after the end marker of glass, a black smallest level, HTJ2K that is JPEG 2000', async () => {
    expect((await derived('g01-glass-trailing-crlf')).levels).toHaveLength(3);
    expect((await derived('u01-smallest-black')).levels).toHaveLength(4);
    expect((await derived('x1-htj2k-is-j2k')).levels).toEqual(['VOLUME NONE 555 x 742']);
  });
});
