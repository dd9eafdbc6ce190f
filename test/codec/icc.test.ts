import { describe, expect, it } from 'vitest';
import { applyColourTable, makeColourTable, srgbProfile } from '../../server/src/codec/icc.ts';
import { StainError } from '../../server/src/errors.ts';
import { largestDifference } from './frames.ts';

type Matrix = readonly (readonly [number, number, number])[];

/** Columns are the primaries in XYZ of D50: sRGB, and Adobe RGB (1998). */
const SRGB: Matrix = [
  [0.4360747, 0.3850649, 0.1430804],
  [0.2225045, 0.7168786, 0.0606169],
  [0.0139322, 0.0971045, 0.7141733],
];
const ADOBE: Matrix = [
  [0.6097559, 0.2052401, 0.149224],
  [0.3111242, 0.625656, 0.0632197],
  [0.0194811, 0.0608902, 0.7448387],
];
const SRGB_INVERSE: Matrix = [
  [3.1338561, -1.6168667, -0.4906146],
  [-0.9787684, 1.9161415, 0.033454],
  [0.0719453, -0.2289914, 1.4052427],
];

/** A matrix profile of version 2 with one gamma for all channels (ICC.1:2001-04). */
function matrixProfile(primaries: Matrix, gamma: number): Buffer {
  const s15 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(Math.round(value * 65536));
    return bytes;
  };
  const xyz = (values: readonly number[]): Buffer =>
    Buffer.concat([Buffer.from('XYZ \0\0\0\0', 'latin1'), ...values.map(s15)]);
  const curve = Buffer.concat([
    Buffer.from('curv\0\0\0\0\0\0\0\x01', 'latin1'),
    Buffer.from([Math.floor(gamma), (gamma % 1) * 256]),
    Buffer.alloc(2),
  ]);
  const text = Buffer.from('desc\0\0\0\0\0\0\0\x05test\0', 'latin1');
  const column = (c: number): Buffer => xyz(primaries.map((row) => row[c]!));
  const tags: [string, Buffer][] = [
    ['desc', Buffer.concat([text, Buffer.alloc(79)])],
    ['cprt', Buffer.from('text\0\0\0\0none\0\0\0\0', 'latin1')],
    ['wtpt', xyz([0.9642, 1, 0.8249])],
    ...['rXYZ', 'gXYZ', 'bXYZ'].map((name, c): [string, Buffer] => [name, column(c)]),
    ...['rTRC', 'gTRC', 'bTRC'].map((name): [string, Buffer] => [name, curve]),
  ];
  const table = Buffer.alloc(4 + tags.length * 12);
  table.writeUInt32BE(tags.length);
  let at = 128 + table.length;
  tags.forEach(([name, data], i) => {
    table.write(name, 4 + i * 12, 'latin1');
    table.writeUInt32BE(at, 8 + i * 12);
    table.writeUInt32BE(data.length, 12 + i * 12);
    at += data.length;
  });
  const header = Buffer.alloc(128);
  header.writeUInt32BE(at, 0);
  header.writeUInt32BE(0x02400000, 8);
  header.write('scnrRGB XYZ ', 12, 'latin1');
  header.write('acsp', 36, 'latin1');
  xyz([0.9642, 1, 0.8249]).copy(header, 68, 8);
  return Buffer.concat([header, table, ...tags.map(([, data]) => data)]);
}

const times = (m: Matrix, [x, y, z]: readonly number[]): number[] =>
  m.map(([a, b, c]) => a * x! + b * y! + c * z!);

/** The same by floating point: linear light, XYZ, linear sRGB, clipped, the sRGB curve. */
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

/** Colours of every kind, the corners of the cube among them; no channel so dark that its curve is all steps. */
function colours(lowest: number): Uint8Array {
  const levels = [lowest, 33, 61, 97, 128, 164, 201, 233, 250, 255];
  return Uint8Array.from(levels.flatMap((r) => levels.flatMap((g) => levels.flatMap((b) => [r, g, b]))));
}

describe('colour table', () => {
  it.each([
    ['gamma 1.8', SRGB, 1.8],
    ['gamma 2.2', SRGB, 2.2],
    ['wide primaries', ADOBE, 2.19921875],
    ['swapped primaries', SRGB.map(([r, g, b]) => [g, r, b] as const), 1.8],
  ] as const)(
    'is the conversion by LittleCMS, that is by the formulas, within 2 grey levels: %s',
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

  it('lies in shared memory', async () => {
    const table = await makeColourTable(matrixProfile(SRGB, 1.8));
    expect(table!.buffer).toBeInstanceOf(SharedArrayBuffer);
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
});
