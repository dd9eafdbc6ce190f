/**
 * With `linear` every level is its own source: how its frames are mapped, and what happens to a level that shows
 * something else.
 */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Progress } from '../../core/src/contract/index.ts';
import { blankRaster, copyOverlap, type Raster } from '../../core/src/image/raster.ts';
import { openPart10, type Part10File } from '../../server/src/dicom/part10-file.ts';
import { EXPLICIT_LITTLE_ENDIAN, testUid } from '../support/make-slide.ts';
import { createWorkplace, normalizeOnlySlide, type Workplace } from '../support/normalize.ts';
import { storableSlide } from '../support/storable.ts';
import { halved, tilesOf } from '../support/tiles.ts';
import { tissue } from '../support/tissue.ts';

const TILE = 128;
const SIDE = 4 * TILE;
const { signal } = new AbortController();
const WHOLE = tissue(SIDE, SIDE, { part: 0.7 });

let place: Workplace;
const opened = new AsyncDisposableStack();
beforeAll(async () => {
  place = await createWorkplace();
});
afterAll(async () => {
  await opened.disposeAsync();
  await place?.[Symbol.asyncDispose]();
});

/** With part of it black. */
function painted(raster: Raster, left: number, right: number): Raster {
  const rgb = raster.rgb.slice();
  for (let y = 0; y < raster.height; y++)
    rgb.fill(0, (y * raster.width + left) * 3, (y * raster.width + right) * 3);
  return { ...raster, rgb };
}

interface Made {
  readonly notes: readonly string[];
  readonly base: Part10File;
  readonly level: Part10File;
}

interface Options {
  /** Default 512 x 512 pixels, partly tissue. */
  readonly whole?: Raster;
  /** Side of a frame in pixels. */
  readonly tile?: number;
  readonly onProgress?: (progress: Progress) => void;
}

/** A slide of two levels, normalised without loss. */
async function normalized(
  name: string,
  small: Raster,
  { whole = WHOLE, tile = TILE, onProgress }: Options = {},
): Promise<Made> {
  const image = (raster: Raster, options: object) =>
    storableSlide(name, {
      rows: tile,
      columns: tile,
      totalRows: raster.height,
      totalColumns: raster.width,
      frames: tilesOf(raster, tile),
      transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN,
      photometricInterpretation: 'RGB',
      ...options,
    });
  const base = image(whole, { overrides: { SOPInstanceUID: testUid(`${name} base`) } });
  const level = image(small, {
    imageType: ['DERIVED', 'PRIMARY', 'VOLUME', 'RESAMPLED'],
    pixelSpacing: (0.0005 * whole.width) / small.width,
    overrides: { SOPInstanceUID: testUid(`${name} level`) },
  });
  const [source, result] = [join(place.folder, name), join(place.folder, `${name}-result`)];
  await mkdir(source);
  await writeFile(join(source, 'base.dcm'), base.bytes);
  await writeFile(join(source, 'level.dcm'), level.bytes);
  await using from = await place.open(source);
  await using to = await place.open(result);
  const { notes } = await normalizeOnlySlide(place, from, to, {
    model: 'fast',
    encoding: 'htj2k',
    ...(onProgress && { onProgress }),
  });
  const names = (await readdir(result, { recursive: true })).filter((one) => one.endsWith('.dcm'));
  const files = await Promise.all(names.map(async (one) => opened.use(await openPart10(join(result, one)))));
  const [large, reduced] = files.sort((a, b) => b.numberOfFrames - a.numberOfFrames);
  return { notes: notes.map(({ message }) => message), base: large!, level: reduced! };
}

async function pixelsOf(file: Part10File): Promise<Uint8Array[]> {
  const format = {
    transferSyntaxUid: file.transferSyntaxUid,
    rows: TILE,
    columns: TILE,
    photometricInterpretation: file.dataset.string('PhotometricInterpretation')!,
    planarConfiguration: 0,
  };
  const found: Uint8Array[] = [];
  for (let frame = 0; frame < file.numberOfFrames; frame++)
    found.push(
      await place.composition.codecs.decode(await file.frame(frame), format, { table: undefined, signal }),
    );
  return found;
}

function codesOf({ dataset }: Part10File): (string | undefined)[] {
  return dataset.items('DerivationCodeSequence').map((item) => item.string('CodeValue'));
}

function sourceOf({ dataset }: Part10File): string | undefined {
  return dataset.items('SourceImageSequence')[0]!.string('ReferencedSOPInstanceUID');
}

/** Source colour -> result colour, wherever it occurs in some frames. */
function colours(before: readonly Uint8Array[], after: readonly Uint8Array[]): Map<number, number> {
  const found = new Map<number, number>();
  const colour = (rgb: Uint8Array, at: number): number =>
    (rgb[at]! << 16) | (rgb[at + 1]! << 8) | rgb[at + 2]!;
  for (const [i, rgb] of before.entries())
    for (let at = 0; at < rgb.length; at += 3) found.set(colour(rgb, at), colour(after[i]!, at));
  return found;
}

describe('a level that shows what the base level shows', () => {
  it('is mapped by itself: a colour becomes the same colour on every level', async () => {
    const small = halved(WHOLE);
    const { notes, base, level } = await normalized('agreeing', small);
    const ofBase = colours(tilesOf(WHOLE, TILE), await pixelsOf(base));
    let compared = 0;
    for (const [before, after] of colours(tilesOf(small, TILE), await pixelsOf(level))) {
      const expected = ofBase.get(before);
      if (expected === undefined) continue;
      compared++;
      expect(after).toBe(expected);
    }
    expect(compared).toBeGreaterThan(500);
    expect(notes.join(' ')).not.toMatch(/made of the base level/);
    expect(codesOf(level)).not.toContain('113085');
    expect(sourceOf(level)).toBe(testUid('agreeing level'));
  });
});

describe('a level that shows something else', () => {
  it.each<[string, Raster]>([
    ['black', blankRaster(SIDE / 2, SIDE / 2)],
    ['blank', blankRaster(SIDE / 2, SIDE / 2, [255, 255, 255])],
    ['black in part', painted(halved(WHOLE), 0, 70)],
    ['black in place of glass', painted(halved(WHOLE), 192, 256)],
    ['of other tissue', tissue(SIDE / 2, SIDE / 2, { part: 0.7, strength: 0.4 })],
  ])('%s: is made of the base level, and the result says so', async (name, small) => {
    const { notes, base, level } = await normalized(name, small);
    expect(notes.join(' ')).toMatch(/256 x 256 pixels does not match the base level/);
    expect(codesOf(level)).toContain('113085');
    expect(sourceOf(level)).toBe(testUid(`${name} base`));
    const whole = blankRaster(SIDE, SIDE);
    for (const [i, rgb] of (await pixelsOf(base)).entries())
      copyOverlap(
        { width: TILE, height: TILE, rgb },
        { x: (i % 4) * TILE, y: Math.floor(i / 4) * TILE },
        whole,
        { x: 0, y: 0 },
      );
    const expected = tilesOf(halved(whole), TILE);
    const found = await pixelsOf(level);
    const max = found.reduce(
      (worst, rgb, i) =>
        rgb.reduce((w, value, at) => Math.max(w, Math.abs(value - expected[i]![at]!)), worst),
      0,
    );
    expect(max).toBeLessThanOrEqual(1);
  });

  it('is detected if one of its pixels covers more than a frame of the finer one', async () => {
    const { notes } = await normalized('far coarser', blankRaster(16, 16), { tile: 16 });
    expect(notes.join(' ')).toMatch(/16 x 16 pixels does not match the base level/);
  });

  it('is detected if the finer level is one large frame', async () => {
    // More than is compared in one piece.
    const side = 2048;
    const whole = tissue(side, side, { part: 0.7 });
    const { notes } = await normalized('large frames', blankRaster(side / 2, side / 2), {
      whole,
      tile: side,
    });
    expect(notes.join(' ')).toMatch(/1024 x 1024 pixels does not match the base level/);
  });

  it('never makes the progress decrease', async () => {
    const parts: number[] = [];
    await normalized('progress', blankRaster(SIDE / 2, SIDE / 2), {
      onProgress({ stage, done, total }) {
        if (stage === 'normalize') parts.push(done / total);
      },
    });
    // Building takes a second pass over the base level.
    expect(parts[0]).toBeLessThanOrEqual(0.5);
    expect(parts.at(-1)).toBe(1);
    expect(parts).toEqual(parts.toSorted((a, b) => a - b));
  });
});
