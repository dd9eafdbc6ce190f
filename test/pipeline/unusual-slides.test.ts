/**
 * Slides that are not ordinary H&E: every case has a stated rule (docs/unusual-slides.md), shown here on modified real
 * tissue.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blankRaster, copyOverlap, type Raster } from '../../core/src/image/raster.ts';
import { makeTransfer } from '../../core/src/stain/transfer.ts';
import type { TransferName } from '../../core/src/stain/transfer-name.ts';
import type { StainNetwork } from '../../server/src/inference/network.ts';
import { type Fit, fitStain } from '../../server/src/pipeline/fit.ts';
import { normalizePixels } from '../../server/src/pipeline/normalize-pixels.ts';
import { requireHe } from '../../server/src/pipeline/require-he.ts';
import { memorySource } from '../../server/src/slide/pixel-source.ts';
import { openShippedNetwork } from '../support/network.ts';

let network: StainNetwork;
const { signal } = new AbortController();
beforeAll(async () => {
  network = await openShippedNetwork();
});
afterAll(() => network.close());

type Colour = readonly [number, number, number];

/** BreCaHAD (figshare 7379186, CC BY 4.0), a piece of image 10021: the tile of the parity vectors. */
function breast(): Raster {
  const file = new URL('../fixtures/parity/breast-halo.tile.bin', import.meta.url);
  return { width: 128, height: 96, rgb: new Uint8Array(readFileSync(file)) };
}

/** TCIA Osteosarcoma-Tumor-Assessment (CC BY 3.0), scanned on white glass: the first tile of the vector's batch. */
function bone(): Raster {
  const file = new URL('../fixtures/parity/bone-batch.tile.bin', import.meta.url);
  return { width: 64, height: 64, rgb: new Uint8Array(readFileSync(file)).subarray(0, 64 * 64 * 3) };
}

/** The picture with every pixel's optical density (R, G, B) changed. */
function stained(picture: Raster, change: (density: Colour) => Colour): Raster {
  const rgb = new Uint8Array(picture.rgb.length);
  for (let at = 0; at < rgb.length; at += 3) {
    const [r, g, b] = [...picture.rgb.subarray(at, at + 3)].map(
      (level) => -Math.log(Math.max(level, 0.5) / 255),
    );
    rgb.set(
      change([r!, g!, b!]).map((density) => Math.round(255 * Math.exp(-Math.max(0, density)))),
      at,
    );
  }
  return { ...picture, rgb };
}

/** A bar of ink across the picture: `rows` rows from `y` on, with the tissue showing through. */
function inked(picture: Raster, colour: Colour, y: number, rows: number): Raster {
  const rgb = picture.rgb.slice();
  for (let at = y * picture.width * 3; at < (y + rows) * picture.width * 3; at++)
    rgb[at] = Math.round((rgb[at]! * colour[at % 3]!) / 255);
  return { ...picture, rgb };
}

const fit = (picture: Raster): Promise<Fit> =>
  fitStain(memorySource(picture), [memorySource(picture)], network, { signal });

async function normalized(picture: Raster, template: Fit, name: TransferName = 'linear'): Promise<Raster> {
  const transfer = makeTransfer(name, await fit(picture), template, network.model.classNames);
  const result = blankRaster(picture.width, picture.height);
  await normalizePixels(memorySource(picture), network, transfer, {
    signal,
    sink: async (core, at) => {
      copyOverlap(core, at, result, { x: 0, y: 0 });
    },
  });
  return result;
}

/** A template of a clearly different stain. */
const template = async (): Promise<Fit> => fit(stained(breast(), ([r, g, b]) => [1.3 * r, 1.1 * g, 1.2 * b]));

/** Mean optical density of some of the rows. */
function density({ width, rgb }: Raster, y: number, rows: number): number {
  const part = rgb.subarray(y * width * 3, (y + rows) * width * 3);
  return part.reduce((sum, level) => sum - Math.log(Math.max(level, 0.5) / 255), 0) / part.length;
}

describe('a slide like those of the training', () => {
  it('is not reported', async () => {
    const { outOfDistribution } = await fit(breast());
    expect(outOfDistribution).toMatchObject({ verdict: 'he', reasons: [] });
  });

  it.each([0.6, 1.5])('of %f times the strength is corrected by more than half', async (strength) => {
    const original = bone();
    const changed = stained(original, ([r, g, b]) => [strength * r, strength * g, strength * b]);
    const distance = (a: Raster): number =>
      a.rgb.reduce((sum, level, i) => sum + Math.abs(level - original.rgb[i]!), 0) / a.rgb.length;
    expect(distance(await normalized(changed, await fit(original)))).toBeLessThan(0.5 * distance(changed));
  });

  it('is not reported even if it is overstained', async () => {
    const dark = await fit(stained(breast(), ([r, g, b]) => [1.7 * r, 1.7 * g, 1.7 * b]));
    expect(dark.outOfDistribution.reasons).toEqual([]);
  });
});

describe('immunohistochemistry (brown DAB instead of eosin)', () => {
  /** Eosin absorbs green; DAB absorbs blue most (Ruifrok and Johnston 2001). */
  const ihc = (): Raster =>
    stained(breast(), ([r, g, b]) => {
      const brown = Math.max(0, g - r);
      return [r + 0.35 * brown, r + 0.6 * brown, Math.max(b, r) + 1.6 * brown];
    });

  it('is refused, and the reason says what was seen', async () => {
    const found = await fit(ihc());
    const { outOfDistribution, notes } = found;
    expect(outOfDistribution.verdict).toBe('other');
    expect(outOfDistribution.reasons.join(' ')).toMatch(/brown or yellow/);
    expect(notes).toEqual(expect.arrayContaining([...outOfDistribution.reasons]));
    expect(() => requireHe(found, {})).toThrow(/does not look like H&E.*brown/);
    expect(() => requireHe(found, { anyStain: true })).not.toThrow();
  });
});

it('a slide that may be another stain is finished, with a note', async () => {
  // An eighth of the rows in a colour foreign to H&E.
  const found = await fit(inked(breast(), [20, 120, 60], 40, 12));
  expect(found.outOfDistribution.verdict).toBe('unsure');
  expect(found.notes.join(' ')).toMatch(/colour that haematoxylin and eosin do not produce/);
  expect(() => requireHe(found, {})).not.toThrow();
});

describe('ink', () => {
  it.each<[string, Colour]>([
    ['green', [20, 120, 60]],
    ['blue', [20, 100, 200]],
  ])(
    '%s: stays unchanged, does not affect statistics, and a large amount is reported',
    async (_name, colour) => {
      const picture = inked(breast(), colour, 40, 24);
      const [clean, withInk] = [await fit(breast()), await fit(picture)];
      for (const [k, { mean }] of withInk.classes.entries())
        for (const c of [0, 1, 2] as const)
          if (clean.classes[k]!.share > 0.05)
            expect(Math.abs(mean[c] - clean.classes[k]!.mean[c])).toBeLessThan(0.15);
      expect(withInk.outOfDistribution.reasons.join()).toMatch(
        /colour that haematoxylin and eosin do not produce/,
      );
      const result = await normalized(picture, await template());
      const from = 44 * 128 * 3;
      const to = 60 * 128 * 3;
      const changed = result.rgb
        .subarray(from, to)
        .filter((level, i) => Math.abs(level - picture.rgb[from + i]!) > 2);
      expect(changed.length / (to - from)).toBeLessThan(0.1);
    },
  );
});

describe('a very blue camera, in whose pictures nuclei absorb red more than green', () => {
  const blue = (picture: Raster): Raster => stained(picture, ([r, g, b]) => [2.4 * r, g, 0.9 * b]);
  /** Fraction of the channels of some of the rows, in pixels as dense as ink, that moved by at most 2 grey levels. */
  const unchanged = (before: Raster, after: Raster, y: number, rows: number): number => {
    let [all, same] = [0, 0];
    for (let at = y * before.width * 3; at < (y + rows) * before.width * 3; at++) {
      const pixel = at - (at % 3);
      if (density({ ...before, width: 1, rgb: before.rgb.subarray(pixel, pixel + 3) }, 0, 1) < 1.2) continue;
      all++;
      if (Math.abs(before.rgb[at]! - after.rgb[at]!) <= 2) same++;
    }
    expect(all).toBeGreaterThan(100);
    return same / all;
  };

  it.each(['linear', 'paper'] as const)('nuclei are changed, and ink is not: %s', async (transfer) => {
    const pale = await fit(stained(breast(), ([r, g, b]) => [1.3 * r, 1.1 * g, 1.2 * b]));
    const clean = blue(bone());
    expect(unchanged(clean, await normalized(clean, pale, transfer), 0, 64)).toBeLessThan(0.1);
    for (const colour of [
      [20, 100, 200],
      [20, 120, 60],
    ] as const) {
      const picture = inked(blue(bone()), colour, 40, 24);
      expect(unchanged(picture, await normalized(picture, pale, transfer), 44, 16)).toBeGreaterThan(0.9);
    }
  });
});

describe('areas without light: the black border of a scan, opaque ink', () => {
  it.each<[string, Colour]>([
    ['rim', [2, 2, 2]],
    ['ink', [10, 10, 12]],
  ])('%s: stays unchanged', async (_name, colour) => {
    const picture = inked(breast(), colour, 0, 16);
    const result = await normalized(picture, await template());
    expect(result.rgb.subarray(0, 16 * 128 * 3)).toEqual(picture.rgb.subarray(0, 16 * 128 * 3));
  });
});

describe('a fold', () => {
  it('stays darker than it would be flat, and is not reported as another stain', async () => {
    const flat = breast();
    const double = stained(flat, ([r, g, b]) => [2 * r, 2 * g, 2 * b]);
    const folded = { ...flat, rgb: flat.rgb.slice() };
    folded.rgb.set(double.rgb.subarray(12 * 128 * 3, 36 * 128 * 3), 12 * 128 * 3);
    expect((await fit(folded)).outOfDistribution.reasons).toEqual([]);
    const [a, b] = [await normalized(folded, await template()), await normalized(flat, await template())];
    expect(density(a, 16, 16)).toBeGreaterThan(1.2 * density(b, 16, 16));
  });
});
