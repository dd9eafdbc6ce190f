/** What an address says of a comparison: the same when it is read again, and nothing of what cannot be read. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TRANSFERS } from '../../core/src/stain/transfer-name.ts';
import { isOn, type Link, readLink, writeLink } from '../../extension/src/address/link.ts';
import type { SlideSeries } from '../../extension/src/state.ts';

const uid = fc.array(fc.nat(99_999), { minLength: 2, maxLength: 8 }).map((parts) => parts.join('.'));
const number = (min: number, max: number): fc.Arbitrary<number> =>
  fc.integer({ min: min * 1000, max: max * 1000 }).map((thousandths) => thousandths / 1000);
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary);
const anyLink: fc.Arbitrary<Link> = fc.record({
  mode: maybe(fc.constantFrom('side-by-side', 'swipe', 'blink', 'difference', 'two-by-two', 'preview')),
  previewed: maybe(fc.constantFrom('side-by-side', 'swipe', 'blink', 'difference')),
  template: maybe(fc.stringMatching(/^[\w.-]{1,64}$/)),
  transfer: maybe(fc.constantFrom(...TRANSFERS)),
  result: maybe(uid),
  against: maybe(uid),
  others: maybe(fc.array(uid, { minLength: 1, maxLength: 2 })),
  series: maybe(uid),
  place: maybe(
    fc.record({
      x: number(-1000, 100_000),
      y: number(-1000, 100_000),
      zoom: number(1, 500),
      turn: fc.constantFrom(0, 90, 180, 45.5),
    }),
  ),
});

test('is read as it was written, and leaves the rest of the address alone', () => {
  fc.assert(
    fc.property(anyLink, (link) => {
      const search = writeLink('?StudyInstanceUIDs=1.2&configUrl=a%20b&stainMode=old', link);
      expect(readLink(search)).toEqual({ link, faults: [] });
      const { StudyInstanceUIDs, configUrl } = Object.fromEntries(new URLSearchParams(search));
      expect({ StudyInstanceUIDs, configUrl }).toEqual({ StudyInstanceUIDs: '1.2', configUrl: 'a b' });
    }),
  );
});

test('is written so that people can read it', () => {
  const place = { x: 1024.5, y: 2000, zoom: 3.25, turn: 0 };
  const link: Link = {
    mode: 'swipe',
    previewed: null,
    template: 'he',
    transfer: 'paper',
    result: '1.2',
    against: '1.3',
    others: ['1.4', '1.5'],
    series: null,
    place,
  };
  expect(writeLink('', link)).toBe(
    '?compare=1.2&compareWith=1.3&compareAlso=1.4_1.5&stainMode=swipe&stainTemplate=he&stainTransfer=paper&stainAt=1024.5_2000_3.25',
  );
});

test.each([
  ['stainMode=sideways', 'mode'],
  ['stainPreview=two-by-two', 'previewed'],
  ['stainTemplate=', 'template'],
  [`stainTemplate=${'x'.repeat(101)}`, 'template'],
  ['stainTransfer=best', 'transfer'],
  ['compare=../../secret', 'result'],
  [`compare=1.${'2'.repeat(64)}`, 'result'],
  ['compareAlso=', 'others'],
  ['compareAlso=1.2_', 'others'],
  ['compareAlso=1.2_1.3_1.4', 'others'],
  ['stainSlide=one', 'series'],
  ['stainAt=', 'place'],
  ['stainAt=1_2', 'place'],
  ['stainAt=1__2', 'place'],
  ['stainAt=1_2_0', 'place'],
  ['stainAt=1_2_NaN', 'place'],
  ['stainAt=1_2_Infinity', 'place'],
  ['stainAt=1_2_3_4_5', 'place'],
] as const)('%s cannot be read', (search, part) => {
  const { link, faults } = readLink(search);
  expect(faults).toEqual([part]);
  expect(link[part]).toBeNull();
});

test('anything else is read without a fault', () => {
  fc.assert(fc.property(fc.string(), (search) => void readLink(search)));
  expect(readLink('?StudyInstanceUIDs=1.2').faults).toEqual([]);
});

test('a place is one of the slide where there is something of it to be seen', () => {
  const slide = { totalColumns: 4000, totalRows: 1000 } as SlideSeries;
  const at = (x: number, y: number, zoom: number): boolean => isOn({ x, y, zoom, turn: 0 }, slide);
  expect([at(2000, 500, 1), at(0, 0, 16), at(4000, 1000, 0.1), at(-500, -100, 4)]).not.toContain(false);
  expect([at(9000, 500, 1), at(0, -5000, 1), at(0, 0, 0.001), at(0, 0, 5000)]).not.toContain(true);
});
