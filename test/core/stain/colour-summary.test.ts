/** The detector computes the same as the scripts that trained it. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { blankRaster, type Raster, type Rgb, WHITE } from '../../../core/src/image/raster.ts';
import { addColours, emptySummary, partsOf } from '../../../core/src/stain/colour-summary.ts';
import { BrightPixels } from '../../../core/src/stain/optical-density.ts';
import { scoreOf } from '../../../core/src/stain/other-stain.ts';

interface Vector {
  readonly tile: string;
  readonly height: number;
  readonly width: number;
  readonly white: Rgb | null;
  readonly summary: readonly number[];
  readonly score: number;
}

const fixture = (name: string): Buffer => readFileSync(new URL(`../../fixtures/${name}`, import.meta.url));
const vectors = JSON.parse(fixture('stains/vectors.json').toString()) as Vector[];
const all = ({ width, height }: Raster): Uint8Array => new Uint8Array(width * height).fill(1);
const whole = ({ width, height }: Raster) => ({ x: 0, y: 0, width, height });

describe.each(vectors)('the vector of $tile', ({ tile, height, width, white, summary, score }) => {
  const rgb = new Uint8Array(fixture(`parity/${tile}.tile.bin`)).subarray(0, height * width * 3);
  const raster: Raster = { width, height, rgb };
  const found = emptySummary();
  addColours(found, raster, all(raster), whole(raster), white ?? WHITE);

  it('has this light', () => {
    const light = new BrightPixels().add(raster).white();
    if (white === null) expect(light).toBeUndefined();
    else for (const c of [0, 1, 2] as const) expect(light![c]).toBeCloseTo(white[c], 9);
  });

  it('has this summary', () => {
    expect(found).toHaveLength(summary.length);
    for (const [i, weight] of found.entries()) expect(weight).toBeCloseTo(summary[i]!, 6);
  });

  it('has this score', () => {
    expect(scoreOf(found, white !== null)).toBeCloseTo(score, 6);
  });
});

describe('a summary', () => {
  const pink = blankRaster(128, 128, [230, 150, 190]);

  it('is the sum of those of its parts, if these are blocks', () => {
    const [once, twice] = [emptySummary(), emptySummary()];
    addColours(once, pink, all(pink), whole(pink), WHITE);
    for (const x of [0, 64]) addColours(twice, pink, all(pink), { x, y: 0, width: 64, height: 128 }, WHITE);
    expect(Math.max(...once)).toBeGreaterThan(100);
    for (const [i, weight] of once.entries()) expect(twice[i]).toBeCloseTo(weight, 9);
  });

  it('counts a cell once, as nucleus or as the rest, and the densest tenth once more', () => {
    const summary = emptySummary();
    addColours(summary, pink, all(pink), whole(pink), WHITE);
    const [nuclei, rest, darkest] = Object.values(partsOf(summary)).map((part: Float64Array) =>
      part.reduce((a, b) => a + b, 0),
    );
    expect(nuclei! / (nuclei! + rest!)).toBeCloseTo(0.25, 9);
    expect(darkest! / (nuclei! + rest!)).toBeCloseTo(0.1, 2);
  });

  it('excludes what does not count', () => {
    const summary = emptySummary();
    addColours(summary, pink, new Uint8Array(128 * 128), whole(pink), WHITE);
    expect(Math.max(...summary)).toBe(0);
    expect(scoreOf(summary, true)).toBe(0);
  });

  it('is the same under a tinted light, which is subtracted', () => {
    const [plain, tinted] = [emptySummary(), emptySummary()];
    const lamp: Rgb = [240, 230, 225];
    const rgb = pink.rgb.map((level, i) => Math.round((level * lamp[(i % 3) as 0 | 1 | 2]) / 255));
    addColours(plain, pink, all(pink), whole(pink), WHITE);
    addColours(tinted, { ...pink, rgb }, all(pink), whole(pink), lamp);
    for (const [i, weight] of plain.entries())
      expect(Math.abs(tinted[i]! - weight)).toBeLessThan(0.05 * 4096);
  });
});

describe('the light', () => {
  it("is that of the glass, not of a scanner's fill colour", () => {
    const raster = blankRaster(100, 100, WHITE);
    raster.rgb.subarray(0, 3 * 3000).fill(235);
    raster.rgb.subarray(0, 3 * 1500).fill(120);
    expect(new BrightPixels().add(raster).white()).toEqual([235, 235, 235]);
  });

  it.each<[string, Rgb]>([
    ['dense tissue', [150, 80, 130]],
    ['a yellow lamp', [250, 240, 190]],
  ])('cannot be determined from %s', (_name, colour) => {
    expect(new BrightPixels().add(blankRaster(50, 50, colour)).white()).toBeUndefined();
  });
});
