/** One table for profile and transfer: the same bits as both in sequence. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyColourTable, type ColourTable } from '../../core/src/codec/colour-table.ts';
import { applyTables, linearTables } from '../../core/src/stain/linear-tables.ts';
import { applyColourMap, colourMap } from '../../server/src/codec/colour-map.ts';

const TABLES = linearTables(
  {
    matrix: [
      [1.3, 0.1, -0.1],
      [0, 0.7, 0.1],
      [0.2, 0, 1.1],
    ],
    intercept: [0.02, 0, -0.01],
    notes: [],
  },
  0.04,
  0.1,
);
const PROFILE: ColourTable = Uint8Array.from({ length: 52 ** 3 * 3 }, (_, i) => (i * 31) % 256);

describe.each([
  ['with a profile', PROFILE],
  ['without one', undefined],
])('a colour map %s', (_, profile) => {
  const map = colourMap(profile, TABLES);

  it('gives every colour the result of profile and transfer, the first time and later', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 3, maxLength: 300 }), (bytes) => {
        const pixels = bytes.slice(0, bytes.length - (bytes.length % 3));
        const expected = pixels.slice();
        if (profile) applyColourTable(profile, expected);
        applyTables(TABLES, expected);
        const [first, again] = [pixels.slice(), pixels.slice()];
        applyColourMap(map, first);
        applyColourMap(map, again);
        expect([first, again]).toEqual([expected, expected]);
      }),
    );
  });

  it('maps pixels anywhere in a buffer, and nothing beside them', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 90, maxLength: 90 }),
        fc.nat(8),
        fc.nat(24),
        (bytes, before, pixels) => {
          const expected = bytes.slice();
          for (let at = before; at < before + 3 * pixels; at += 3)
            applyColourMap(map, expected.subarray(at, at + 3));
          const found = bytes.slice();
          applyColourMap(map, found.subarray(before, before + 3 * pixels));
          expect(found).toEqual(expected);
        },
      ),
    );
  });

  it('distinguishes black from a colour that has not occurred', () => {
    const black = new Uint8Array(3);
    applyColourMap(map, black);
    expect(map.colours[0]).not.toBe(0);
  });
});
