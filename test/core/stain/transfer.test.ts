import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { averageStain } from '../../../core/src/stain/average-stain.ts';
import { bluenessOf } from '../../../core/src/stain/blueness.ts';
import type { ClassStatistics, DensityStatistics } from '../../../core/src/stain/class-statistics.ts';
import { gainOf, opticalMap } from '../../../core/src/stain/linear.ts';
import { applyTables, glassWeight, linearTables } from '../../../core/src/stain/linear-tables.ts';
import { paperCoefficients } from '../../../core/src/stain/paper.ts';
import { fadeOf, keptGlass, type Stain } from '../../../core/src/stain/stain.ts';

const names = ['dark nuclei', 'pale nuclei', 'stroma', 'glass'];
type Triple = [number, number, number];

const value = fc.double({ min: -1, max: 2, noNaN: true });
const spread = fc.double({ min: 0.01, max: 0.6, noNaN: true });
const stainClass: fc.Arbitrary<ClassStatistics> = fc.record({
  share: fc.double({ min: 0, max: 1, noNaN: true }),
  mean: fc.tuple(value, value, value),
  sd: fc.tuple(spread, spread, spread),
});

/** Stains of one slide: haematoxylin and eosin of these colours, glass of this density. */
function slideOf(haematoxylin: Triple, eosin: Triple, glassDensity = 0, strength = 1): Stain {
  // Within a class the mixture of the two stains varies.
  const mixture = outer(haematoxylin.map((h, c) => 0.1 * strength * (h - eosin[c]!)) as Triple);
  const nuclei = (amount: number, share: number): DensityStatistics => {
    const mean = [0, 1, 2].map((c) => strength * (amount * haematoxylin[c]! + 0.3 * eosin[c]!)) as Triple;
    return { share, mean, covariance: mixture };
  };
  const stroma: DensityStatistics = {
    share: 0.5,
    mean: eosin.map((e) => strength * e) as Triple,
    covariance: mixture,
  };
  const glass: DensityStatistics = {
    share: 0.1,
    mean: [glassDensity, glassDensity, glassDensity],
    covariance: outer([0.01, 0.01, 0.01]),
  };
  const densities = [nuclei(1.2, 0.2), nuclei(0.8, 0.2), stroma, glass];
  const classes = densities.map(({ share, mean }): ClassStatistics => {
    const density = (mean[0] + mean[1] + mean[2]) / 3;
    return { share, mean: [density, 0.1, 0.3], sd: [0.1 * strength, 0.1, 0.1] };
  });
  return { classes, densities, glassDensity };
}

function outer(v: Triple): [Triple, Triple, Triple] {
  return v.map((a) => v.map((b) => a * b)) as [Triple, Triple, Triple];
}

const H: Triple = [0.65, 0.7, 0.29];
const E: Triple = [0.07, 0.99, 0.11];
const density = fc.double({ min: 0.05, max: 1.2, noNaN: true });
const colour = fc.tuple(density, density, density);
const anySlide = fc
  .tuple(colour, colour, fc.double({ min: 0, max: 0.24, noNaN: true }))
  .map(([h, e, glass]) => slideOf(h, e, glass));

const moved = (stain: Stain, template: Stain, od: Triple): Triple => {
  const { matrix, intercept } = opticalMap(stain, template);
  return [0, 1, 2].map(
    (c) => intercept[c]! + od.reduce((sum, value, i) => sum + value * matrix[i]![c]!, 0),
  ) as Triple;
};

describe('the published transfer', () => {
  it('onto itself changes nothing', () => {
    fc.assert(
      fc.property(fc.array(stainClass, { minLength: 4, maxLength: 4 }), (classes) => {
        const stain = { ...slideOf(H, E), classes: classes.map((item) => ({ ...item, share: 0.25 })) };
        const { scale, offset, notes } = paperCoefficients(stain, stain, names);
        expect([...scale].every((s) => s === 1)).toBe(true);
        expect([...offset].every((o) => Math.abs(o) < 1e-6)).toBe(true);
        expect(notes).toEqual([]);
      }),
    );
  });

  it("gives every class that occurs exactly the mean and deviation of the template's class", () => {
    const classes = fc.array(stainClass, { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(classes, classes, (own, target) => {
        const even = (items: ClassStatistics[]): Stain => ({
          ...slideOf(H, E),
          classes: items.map((item) => ({ ...item, share: 0.25 })),
        });
        const { scale, offset } = paperCoefficients(even(own), even(target), names);
        for (let k = 0; k < 4; k++)
          for (const c of [0, 1, 2] as const) {
            const [ratio, shift] = [scale[k * 3 + c]!, offset[k * 3 + c]!];
            const tolerance = 1e-5 * Math.max(1, ratio, Math.abs(shift));
            expect(Math.abs(own[k]!.mean[c] * ratio + shift - target[k]!.mean[c])).toBeLessThan(tolerance);
            expect(Math.abs(own[k]!.sd[c] * ratio - target[k]!.sd[c])).toBeLessThan(tolerance);
          }
      }),
    );
  });

  it('moves a nearly absent class like the nearest that occurs, and says so', () => {
    const stain = slideOf(H, E);
    const without = {
      ...stain,
      classes: stain.classes.map((item, k) => (k === 0 ? { ...item, share: 0.001 } : item)),
    };
    const { scale, offset, notes } = paperCoefficients(without, slideOf([0.5, 0.6, 0.3], E, 0, 1.4), names);
    expect([...scale.slice(0, 3)]).toEqual([...scale.slice(3, 6)]);
    expect([...offset.slice(0, 3)]).toEqual([...offset.slice(3, 6)]);
    expect(notes).toEqual([expect.stringContaining('"dark nuclei"')]);
  });

  it('moves nothing if no class occurs on both sides', () => {
    const stain = slideOf(H, E);
    const only = (k: number): Stain => ({
      ...stain,
      classes: stain.classes.map((item, at) => ({ ...item, share: at === k ? 1 : 0 })),
    });
    const { scale, offset, notes } = paperCoefficients(only(0), only(3), names);
    expect([...scale]).toEqual(new Array(12).fill(1));
    expect([...offset]).toEqual(new Array(12).fill(0));
    expect(notes).toHaveLength(4);
  });
});

const distance = (a: Triple, b: Triple): number => Math.hypot(...a.map((value, c) => value - b[c]!));

describe('the linear transfer', () => {
  it('onto itself changes nothing', () => {
    fc.assert(
      fc.property(anySlide, colour, (slide, od) => {
        for (const [c, result] of moved(slide, slide, od).entries()) expect(result).toBeCloseTo(od[c]!, 6);
      }),
    );
  });

  it('maps the pure stains of the slide to those of the template', () => {
    const other: [Triple, Triple] = [
      [0.75, 0.6, 0.35],
      [0.15, 0.8, 0.3],
    ];
    const [source, template] = [slideOf(H, E), slideOf(...other)];
    for (const [own, wanted] of [
      [H, other[0]],
      [E, other[1]],
    ] as const)
      expect(distance(moved(source, template, [...own]), wanted)).toBeLessThan(0.6 * distance(own, wanted));
  });

  it('gives the same picture for a slide of any strength', () => {
    const strengths = fc.double({ min: 0.4, max: 2.5, noNaN: true });
    fc.assert(
      fc.property(strengths, colour, (strength, od) => {
        const template = slideOf([0.75, 0.6, 0.35], [0.15, 0.8, 0.3]);
        const usual = moved(slideOf(H, E), template, od);
        const strong = moved(slideOf(H, E, 0, strength), template, od.map((d) => d * strength) as Triple);
        for (const c of [0, 1, 2]) expect(Math.abs(strong[c]! - usual[c]!)).toBeLessThan(0.03);
      }),
    );
  });

  it('is finite, and names the class that it could not use', () => {
    const gone = (slide: Stain, ks: readonly number[]): Stain => ({
      ...slide,
      densities: slide.densities.map((item, k) => (ks.includes(k) ? { ...item, share: 0 } : item)),
    });
    fc.assert(
      fc.property(anySlide, anySlide, fc.subarray([0, 1, 2, 3]), (slide, template, ks) => {
        const { matrix, intercept, notes } = opticalMap(gone(slide, ks), template);
        expect([...matrix.flat(), ...intercept].every(Number.isFinite)).toBe(true);
        const hasNuclei = !(ks.includes(0) && ks.includes(1));
        expect(notes.length === 0).toBe(hasNuclei && !ks.includes(2));
      }),
    );
    expect(opticalMap(gone(slideOf(H, E), [0, 1, 2]), slideOf(H, E)).matrix).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
  });

  it('scales a pale slide to the usual strength before the network sees it, within limits', () => {
    expect(gainOf(0.2)).toBeCloseTo(2 * gainOf(0.4), 9);
    expect(gainOf(0.001)).toBe(3);
    expect(gainOf(9)).toBe(0.4);
    expect(gainOf(0)).toBe(1);
  });
});

describe('tables', () => {
  const pixels = (seed: number): Uint8Array =>
    Uint8Array.from({ length: 3000 }, (_, i) => ((i * 2654435761 + seed * 40503) >>> 7) & 255);
  const through = (rgb: Uint8Array, source: Stain, template: Stain): Uint8Array => {
    const result = rgb.slice();
    applyTables(linearTables(opticalMap(source, template), source.glassDensity, bluenessOf(source)), result);
    return result;
  };

  it('of a slide onto itself leave every colour unchanged within one grey level', () => {
    const slide = slideOf(H, E, 0.03);
    const result = through(pixels(1), slide, slide);
    const worst = result.reduce((max, level, i) => Math.max(max, Math.abs(level - pixels(1)[i]!)), 0);
    expect(worst).toBeLessThanOrEqual(1);
  });

  it('leave kept glass, ink and black bit for bit', () => {
    const [source, template] = [slideOf(H, E, 0.04), slideOf([0.75, 0.6, 0.35], [0.15, 0.8, 0.3])];
    const same = [
      [245, 245, 245],
      [247, 245, 244],
      [255, 255, 255],
      [20, 120, 60],
      [25, 26, 24],
      [110, 60, 25],
      [2, 2, 2],
    ].flat();
    expect([...through(Uint8Array.from(same), source, template)]).toEqual(same);
    const tissue = Uint8Array.from([170, 90, 160]);
    expect(through(tissue, source, template)).not.toEqual(tissue);
  });

  it('leave no specks in dark nuclei, some of whose pixels have hardly any green', () => {
    const pale = slideOf(H.map((h) => 0.5 * h) as Triple, E.map((e) => 0.5 * e) as Triple);
    // Neighbours of a nucleus of the sample slide: noise of the compression, not black.
    const [green, none] = [Uint8Array.from([36, 6, 56]), Uint8Array.from([33, 0, 46])];
    const [usual, speck] = [green, none].map((rgb) => through(rgb, slideOf(H, E), pale)) as [
      Uint8Array,
      Uint8Array,
    ];
    expect(usual[2]! - green[2]!).toBeGreaterThan(30);
    expect(speck[2]! - none[2]!).toBeGreaterThan(30);
  });

  it('leave no specks in blue nuclei of a blue camera, and its ink as it is', () => {
    const [usual, blue] = [slideOf(H, E, 0.04), slideOf([1.1, 0.6, 0.25], E, 0.04)];
    const template = slideOf([0.75, 0.6, 0.35], [0.15, 0.8, 0.3]);
    // A dense pixel of a nucleus of the blue slide, which would be ink on the usual one.
    const nucleus = Uint8Array.from([40, 70, 163]);
    expect(through(nucleus, usual, template)).toEqual(nucleus);
    expect(Math.abs(through(nucleus, blue, template)[0]! - nucleus[0]!)).toBeGreaterThan(10);
    const ink = Uint8Array.from([20, 100, 200, 20, 120, 60, 25, 26, 24]);
    expect(through(ink, blue, template)).toEqual(ink);
  });

  it('never reverse the order of brightness along a stain by more than two grey levels', () => {
    fc.assert(
      fc.property(fc.constantFrom(H, E), fc.double({ min: 0.4, max: 2, noNaN: true }), (stain, strength) => {
        const source = slideOf(H, E, 0.045);
        const template = slideOf(
          H.map((h) => strength * h) as Triple,
          E.map((e) => strength * e) as Triple,
          0.03,
        );
        const rgb = Uint8Array.from(
          Array.from({ length: 40 }, (_, i) =>
            stain.map((d) => Math.round(255 * Math.exp(-(0.045 + 0.03 * i * d)))),
          ).flat(),
        );
        const result = through(rgb, source, template);
        const brightness = (at: number): number => result[at]! + result[at + 1]! + result[at + 2]!;
        for (let at = 3; at < result.length; at += 3)
          expect(brightness(at)).toBeLessThanOrEqual(brightness(at - 3) + 6);
      }),
    );
  });

  it('of tinted glass move the glass too', () => {
    const [source, template] = [slideOf(H, E, 0.2), slideOf(H, E, 0.03)];
    const [level] = through(Uint8Array.from([209, 209, 209]), source, template);
    expect(level).toBeGreaterThan(215);
  });

  it('end where the change is complete', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 0.25, noNaN: true }), (glass) => {
        expect(glassWeight(0.5, glass)).toBeCloseTo(1, 9);
        expect(glassWeight(keptGlass(glass), glass)).toBe(0);
        expect(linearTables(opticalMap(slideOf(H, E), slideOf(H, E)), glass, 0).weight.at(-1)).toBe(4096);
      }),
    );
  });
});

describe('glass', () => {
  it('of a scanner is kept, tinted glass is not, and nothing jumps in between', () => {
    expect(fadeOf(0.05)).toEqual({ low: 0.05 + 0.02, high: 0.05 + 0.08 });
    expect(fadeOf(0.2)).toEqual({ low: 0.02, high: 0.08 });
    fc.assert(
      fc.property(fc.double({ min: 0, max: 0.24, noNaN: true }), (glass) => {
        expect(Math.abs(keptGlass(glass) - keptGlass(glass + 1e-4))).toBeLessThan(1e-3);
      }),
    );
  });
});

describe('several slides', () => {
  it('that are equal have their own stain, and equal weights', () => {
    const one = slideOf(H, E, 0.03);
    const same = averageStain([one, one, one]);
    for (const [k, { mean, covariance }] of same.densities.entries())
      for (const i of [0, 1, 2] as const) {
        expect(mean[i]).toBeCloseTo(one.densities[k]!.mean[i], 9);
        for (const j of [0, 1, 2] as const)
          expect(covariance[i][j]).toBeCloseTo(one.densities[k]!.covariance[i][j], 9);
      }
    const pair = averageStain([slideOf(H, E, 0.02), slideOf(H, E, 0.06, 2)]);
    expect(pair.densities[2]!.mean[1]).toBeCloseTo(1.5 * E[1], 9);
    expect(pair.classes[2]!.mean[0]).toBeCloseTo((1.5 * (E[0] + E[1] + E[2])) / 3, 9);
    expect(pair.glassDensity).toBeCloseTo(0.04, 9);
    // The variance between slides is part of the variance.
    expect(pair.classes[2]!.sd[0]).toBeGreaterThan(0.15);
  });
});

describe('the same in Python (scripts/dcgmm)', () => {
  const file = new URL('../../fixtures/transfer.json', import.meta.url);
  const cases = JSON.parse(readFileSync(file, 'utf8')) as {
    name: string;
    source: Stain;
    template: Stain;
    paper: { scale: number[]; offset: number[]; fade: number[]; blueness: number };
    linear: { matrix: Triple[]; intercept: Triple; pixels: number[]; moved: number[] };
  }[];
  it.each(cases.map((item) => [item.name, item] as const))(
    '%s',
    (_name, { source, template, paper, linear }) => {
      const got = paperCoefficients(source, template, names);
      for (const key of ['scale', 'offset', 'fade'] as const)
        for (const [i, number] of [...got[key]].entries()) expect(number).toBeCloseTo(paper[key][i]!, 4);
      expect(got.blueness).toBeCloseTo(paper.blueness, 9);
      const map = opticalMap(source, template);
      for (const [i, number] of map.matrix.flat().entries())
        expect(number).toBeCloseTo(linear.matrix.flat()[i]!, 9);
      for (const [i, number] of map.intercept.entries()) expect(number).toBeCloseTo(linear.intercept[i]!, 9);
      const rgb = Uint8Array.from(linear.pixels);
      applyTables(linearTables(map, source.glassDensity, bluenessOf(source)), rgb);
      expect([...rgb]).toEqual(linear.moved);
    },
  );
});
