import { expect, it } from 'vitest';
import { WHITE } from '../../core/src/image/raster.ts';
import type { CodecPool } from '../../server/src/codec/codec-pool.ts';
import type { Colour } from '../../server/src/pipeline/colour.ts';
import { slidePixels } from '../../server/src/pipeline/slide-pixels.ts';
import type { Slide } from '../../server/src/slide/types.ts';
import { tiledLevel } from '../support/tiled-level.ts';

const { signal } = new AbortController();
const SIDE = 16;

it('frames of small levels are read once while they are held, and again afterwards', async () => {
  // One is large as a level, and one because of its frames.
  const [large, padded, small] = [
    tiledLevel(4000, 4000, SIDE),
    tiledLevel(100, 100, 4000),
    tiledLevel(64, 64, SIDE),
  ];
  const read: number[] = [];
  const open = slidePixels({
    slide: { levels: [large, padded, small] } as unknown as Slide,
    colour: { table: undefined } as unknown as Colour,
    codecs: {
      // The bytes go to the thread that decodes them.
      async decode(bytes: Uint8Array<ArrayBuffer>) {
        expect([...bytes]).toEqual([7]);
        bytes.buffer.transfer();
        return new Uint8Array(4000 * 16 * 3);
      },
    } as unknown as CodecPool,
    readFrame: async ({ totalColumns }) => {
      read.push(totalColumns);
      return { bytes: Uint8Array.of(7) } as never;
    },
    isLossy: () => true,
  });
  const look = async (): Promise<number> => {
    read.length = 0;
    await open.pixels(small, WHITE).read({ x: 0, y: 0, width: 32, height: 32 }, signal);
    await open.pixels(padded, WHITE).read({ x: 0, y: 0, width: 8, height: 8 }, signal);
    await open.pixels(large, WHITE).read({ x: 0, y: 0, width: 32, height: 32 }, signal);
    return read.length;
  };
  expect(await look()).toBe(9);
  {
    using _ = open.holdSmallLevels();
    expect(await look()).toBe(9);
    expect(await look()).toBe(5);
    expect(new Set(read)).toEqual(new Set([4000, 100]));
  }
  expect(await look()).toBe(9);
});

it('frames that are larger than their pixels are not held', async () => {
  const small = tiledLevel(64, 64, SIDE);
  let read = 0;
  const open = slidePixels({
    slide: { levels: [tiledLevel(4000, 4000, SIDE), small] } as unknown as Slide,
    colour: { table: undefined } as unknown as Colour,
    codecs: { decode: async () => new Uint8Array(SIDE * SIDE * 3) } as unknown as CodecPool,
    readFrame: async () => ({ bytes: new Uint8Array(SIDE * SIDE * 3 + (read++ % 2)) }) as never,
    isLossy: () => true,
  });
  using _ = open.holdSmallLevels();
  const all = { x: 0, y: 0, width: 64, height: 64 };
  await open.pixels(small, WHITE).read(all, signal);
  await open.pixels(small, WHITE).read(all, signal);
  // Every second one was read again.
  expect(read).toBe(16 + 8);
});
