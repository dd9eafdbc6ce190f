import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { applyColourTable } from '../../core/src/codec/colour-table.ts';
import { StainError } from '../../core/src/errors.ts';
import { makeColourTable, srgbProfile } from '../../server/src/codec/icc.ts';
import { largestDifference } from './frames.ts';
import { ADOBE_RGB, type Matrix, matrixProfile, SRGB } from './profiles.ts';

const SRGB_INVERSE: Matrix = [
  [3.1338561, -1.6168667, -0.4906146],
  [-0.9787684, 1.9161415, 0.033454],
  [0.0719453, -0.2289914, 1.4052427],
];

const times = (m: Matrix, [x, y, z]: readonly number[]): number[] =>
  m.map(([a, b, c]) => a * x! + b * y! + c * z!);

/** The same in floating point: linear light, XYZ, linear sRGB, clipped, the sRGB curve. */
function expected(primaries: Matrix, gamma: number, rgb: Uint8Array): Uint8Array {
  const result = new Uint8Array(rgb.length);
  for (let i = 0; i < rgb.length; i += 3) {
    const linear = [...rgb.subarray(i, i + 3)].map((v) => (v / 255) ** gamma);
    times(SRGB_INVERSE, times(primaries, linear)).forEach((v, c) => {
      const clipped = Math.min(1, Math.max(0, v));
      result[i + c] = Math.round(
        255 * (clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055),
      );
    });
  }
  return result;
}

/** All kinds of colours, including the corners of the cube; no channel so dark that its curve has only steps. */
function colours(lowest: number): Uint8Array {
  const levels = [lowest, 33, 61, 97, 128, 164, 201, 233, 250, 255];
  return Uint8Array.from(levels.flatMap((r) => levels.flatMap((g) => levels.flatMap((b) => [r, g, b]))));
}

describe('colour table', () => {
  it.each([
    ['gamma 1.8', SRGB, 1.8],
    ['gamma 2.2', SRGB, 2.2],
    ['wide primaries', ADOBE_RGB, 2.19921875],
    ['swapped primaries', SRGB.map(([r, g, b]) => [g, r, b] as const), 1.8],
  ] as const)(
    'equals the conversion of LittleCMS, that is the formulas, within 2 grey levels: %s',
    async (_name, primaries, gamma) => {
      const table = await makeColourTable(matrixProfile(primaries, gamma));
      const rgb = colours(12);
      const wanted = expected(primaries, gamma, rgb);
      applyColourTable(table!, rgb);
      expect(largestDifference(rgb, wanted)).toBeLessThanOrEqual(2);
    },
  );

  it('is not made for a profile that is sRGB already', async () => {
    expect(await makeColourTable(await srgbProfile())).toBeUndefined();
  });

  it('is in shared memory', async () => {
    const table = await makeColourTable(matrixProfile(SRGB, 1.8));
    expect(table!.buffer).toBeInstanceOf(SharedArrayBuffer);
  });

  it.each([0, 0.01, 40])('refuses a profile that leaves no contrast: gamma %d', async (gamma) => {
    await expect(makeColourTable(matrixProfile(SRGB, gamma))).rejects.toMatchObject({
      code: 'ICC_PROFILE_INVALID',
    });
  });

  it.each([0.5, 1, 2.6, 4])('takes a profile with gamma %d', async (gamma) => {
    expect(await makeColourTable(matrixProfile(SRGB, gamma))).toBeDefined();
  });

  it.each([
    ['too short', (p: Buffer) => p.subarray(0, 100)],
    ['no signature', (p: Buffer) => Buffer.concat([p.subarray(0, 36), Buffer.alloc(p.length - 36)])],
    ['grey', (p: Buffer) => Buffer.concat([p.subarray(0, 16), Buffer.from('GRAY'), p.subarray(20)])],
    [
      'tags overwritten',
      (p: Buffer) => Buffer.concat([p.subarray(0, 132), Buffer.alloc(p.length - 132, 0xee)]),
    ],
    ['cut off', (p: Buffer) => p.subarray(0, 300)],
    ['no tags', (p: Buffer) => Buffer.concat([p.subarray(0, 128), Buffer.alloc(p.length - 128)])],
  ])('refuses a damaged profile: %s', async (_name, break_) => {
    const made = makeColourTable(break_(matrixProfile(SRGB, 1.8)));
    await expect(made).rejects.toBeInstanceOf(StainError);
    await expect(made).rejects.toMatchObject({ code: 'ICC_PROFILE_INVALID' });
  });

  it('is refused if a profile crashes LittleCMS, with no other effect', async () => {
    const crashing = fileURLToPath(new URL('./crashing-converter.ts', import.meta.url));
    await expect(makeColourTable(matrixProfile(SRGB, 1.8), crashing)).rejects.toMatchObject({
      code: 'ICC_PROFILE_INVALID',
      message: 'The ICC profile of the slide crashes LittleCMS.',
    });
  });

  it('is an internal error if the converter is missing', async () => {
    await expect(makeColourTable(matrixProfile(SRGB, 1.8), '/nowhere.js')).rejects.toMatchObject({
      code: 'INTERNAL',
    });
  });
});
