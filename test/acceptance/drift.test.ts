/** Drift on slides whose stain is known, with and without a cast on them. */
import { describe, expect, it } from 'vitest';
import { driftOf } from '../../server/src/acceptance/drift.ts';
import { generator } from '../../server/src/acceptance/random.ts';
import { scannerRecord } from '../../server/src/acceptance/scanner-record.ts';
import type { Cast } from '../support/cast.ts';
import { runs } from '../support/property-runs.ts';
import { ALPHA, acceptance, slide, stains } from './support.ts';

const SLIDES = 20;
const TRIES = runs(60);

/** How many of the tries find drift. */
function called(cast: Cast, spread = 1, count = SLIDES): number {
  const random = generator(7);
  let found = 0;
  for (let seed = 0; seed < TRIES; seed++) {
    const before = stains(count, random);
    if (driftOf(before, stains(count, random, cast, spread), seed)!.isDrift) found++;
  }
  return found / TRIES;
}

describe('drift', () => {
  it('is hardly ever found where there is none', () => expect(called({})).toBeLessThan(0.05));

  it.each<[string, Cast]>([
    ['weaker haematoxylin', { haematoxylin: 0.8 }],
    ['weaker eosin', { eosin: 0.75 }],
    ['stronger eosin', { eosin: 1.3 }],
    ['yellowish light', { white: [0.97, 0.94, 0.86] }],
  ])('is found for %s', (_, cast) => expect(called(cast)).toBeGreaterThan(0.9));

  it('is found where the mean stays, but slides differ more', () =>
    expect(called({}, 3)).toBeGreaterThan(0.9));

  it('is not called for a change that is sure but cannot be seen', () => {
    const before = stains(200, generator(1));
    const now = stains(200, generator(2), { eosin: 0.96 });
    const { shiftChance, isDrift, nuclei, stroma } = driftOf(before, now, 1)!;
    expect(shiftChance).toBeLessThan(0.005);
    expect(Math.max(nuclei, stroma)).toBeLessThan(2);
    expect(isDrift).toBe(false);
  });

  it('is not told from fewer than six slides, however far they are apart', () => {
    const random = generator(1);
    const [before, now] = [stains(20, random), stains(5, random, { haematoxylin: 0.4 })];
    expect(driftOf(before, now, 1)).toMatchObject({ slidesBefore: 20, slidesNow: 5, isDrift: null });
    expect(driftOf(before, [], 1)).toBeUndefined();
    const nucleiAlone = now.map((one) => ({ ...one, stroma: null }));
    expect(driftOf(before, nucleiAlone, 1)).toBeUndefined();
  });

  it('of the same slides is none, and is the same every time', () => {
    const before = stains(SLIDES, generator(3));
    expect(driftOf(before, before, 1)).toMatchObject({
      nuclei: 0,
      stroma: 0,
      spreadRatio: 1,
      shiftChance: 1,
      isDrift: false,
    });
    const now = stains(SLIDES, generator(4), { eosin: 0.9 });
    expect(driftOf(before, now, 5)).toEqual(driftOf(before, now, 5));
  });
});

describe('a scanner is compared', () => {
  const slidesOf = (seed: number, cast?: Cast) =>
    stains(SLIDES, generator(seed), cast).map((stain, i) =>
      slide(i + 1, { stain: { before: stain, after: stain } }),
    );
  const compare = (scanner: typeof ALPHA) => {
    const earlier = acceptance([{ ...ALPHA, serialNumber: '9' }, ALPHA], slidesOf(1));
    const slides = slidesOf(2, { haematoxylin: 0.7 });
    return scannerRecord({ number: 1, scanner, found: 20, slides }, earlier.content, 1).drift;
  };

  it('with itself', () => {
    expect(compare(ALPHA)).toMatchObject({ softwareBefore: null, found: { isDrift: true } });
  });

  it('with itself under its earlier software', () => {
    expect(compare({ ...ALPHA, softwareVersions: ['2.0'] })).toMatchObject({
      softwareBefore: ['1.0'],
      found: { isDrift: true },
    });
  });

  it('with no other', () => expect(compare({ ...ALPHA, serialNumber: '2' })).toBeNull());
});
