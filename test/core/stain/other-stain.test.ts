/** How other stains are detected and described, on H&E tissue (BreCaHAD, CC BY 4.0) with computed stains. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Raster, WHITE } from '../../../core/src/image/raster.ts';
import { addColours, emptySummary } from '../../../core/src/stain/colour-summary.ts';
import { BrightPixels } from '../../../core/src/stain/optical-density.ts';
import { judgeStain, type OutOfDistribution } from '../../../core/src/stain/other-stain.ts';

type Density = readonly [number, number, number];

const HE = new Uint8Array(
  readFileSync(new URL('../../fixtures/parity/breast-halo.tile.bin', import.meta.url)),
).subarray(0, 96 * 128 * 3);
const picture = (rgb: Uint8Array): Raster => ({ width: 128, height: 96, rgb });

function judge(raster: Raster, foreign = 0): OutOfDistribution {
  const white = new BrightPixels().add(raster).white();
  const summary = emptySummary();
  const { width, height } = raster;
  const weight = new Uint8Array(width * height).fill(1);
  addColours(summary, raster, weight, { x: 0, y: 0, width, height }, white ?? WHITE);
  return judgeStain(summary, white !== undefined, foreign);
}

/** The tile with every pixel's optical density (R, G, B) changed. */
function changed(change: (density: Density) => readonly number[]): Raster {
  const rgb = HE.slice();
  for (let at = 0; at < rgb.length; at += 3) {
    const density = [...HE.subarray(at, at + 3)].map((level) => -Math.log(level / 255));
    rgb.set(
      change(density as unknown as Density).map((d) => Math.round(255 * Math.exp(-Math.max(0, d)))),
      at,
    );
  }
  return picture(rgb);
}

/** Other stains in place of haematoxylin and eosin, by the optical densities of Ruifrok and Johnston (2001). */
function restained(nuclei: Density, rest: Density): Raster {
  return changed(([r, g]) => {
    // Eosin absorbs hardly any red.
    const haematoxylin = r / 0.65;
    // The tile contains little of it.
    const eosin = (2.5 * Math.max(0, g - 0.7 * haematoxylin)) / 0.95;
    return [0, 1, 2].map((c) => 0.6 * haematoxylin * nuclei[c]! + eosin * rest[c]!);
  });
}

const HAEMATOXYLIN: Density = [0.65, 0.7, 0.29];

describe('another stain', () => {
  it.each<[string, Density, Density, RegExp]>([
    ['DAB beside haematoxylin', HAEMATOXYLIN, [0.27, 0.57, 0.78], /brown or yellow/],
    ['DAB beside methyl green', [0.92, 0.3, 0.25], [0.27, 0.57, 0.78], /brown or yellow/],
    ['light green', [0.6, 0.6, 0.5], [0.93, 0.25, 0.28], /green/],
    ['aniline blue', [0.6, 0.6, 0.5], [0.85, 0.51, 0.11], /blue/],
    ['silver', [0.58, 0.58, 0.57], [0.58, 0.58, 0.57], /grey or black/],
    ['methylene blue alone', [0.83, 0.51, 0.2], [0.83, 0.51, 0.2], /no eosin/],
  ])('%s: refused, in words', (_name, nuclei, rest, words) => {
    const { verdict, reasons } = judge(restained(nuclei, rest));
    expect(verdict).toBe('other');
    expect(reasons.join(' ')).toMatch(words);
  });

  it('is at least noted if its colours are close to those of H&E (PAS)', () => {
    expect(judge(restained(HAEMATOXYLIN, [0.175, 0.97, 0.155])).score).toBeGreaterThan(
      judge(picture(HE)).score,
    );
  });
});

describe('H&E', () => {
  it.each<[string, Raster]>([
    ['unchanged', picture(HE)],
    ['pale', changed((density) => density.map((d) => 0.5 * d))],
    ['overstained', changed((density) => density.map((d) => 1.6 * d))],
    ['bluish', changed(([r, g, b]) => [1.07 * r, g, 0.95 * b])],
    ['with much eosin', restained([0.5, 0.7, 0.3], [0.12, 1.5, 0.5])],
    ['of tinted light', changed(([r, g, b]) => [r + 0.05, g + 0.02, b + 0.07])],
  ])('%s: not refused', (_name, raster) => expect(judge(raster).verdict).not.toBe('other'));

  it('without haematoxylin is noted, however dense it is', () => {
    const eosin = changed(([, g]) => [0.12, 1, 0.5].map((absorbed) => 1.4 * g * absorbed));
    expect(judge(eosin)).toMatchObject({
      verdict: 'unsure',
      reasons: [expect.stringMatching(/^Nothing has the colour of haematoxylin/)],
    });
  });

  it('with ink is noted', () => {
    expect(judge(picture(HE), 0.12)).toMatchObject({
      verdict: 'unsure',
      reasons: [
        expect.stringMatching(/^12 % of the tissue has a colour that haematoxylin and eosin do not produce/),
      ],
    });
  });
});

it('an empty summary is not another stain', () => {
  expect(judge({ width: 64, height: 64, rgb: new Uint8Array(64 * 64 * 3).fill(250) })).toEqual({
    verdict: 'he',
    score: 0,
    reasons: [],
  });
});
