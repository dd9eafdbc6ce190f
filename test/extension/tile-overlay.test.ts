/** What the tiles over a slide hold: bitmaps are memory of the GPU, and each has to be given back once. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { slideLevels } from '../../extension/src/preview/slide-levels.ts';
import type { Affine, Surface } from '../../extension/src/preview/surface.ts';
import { TileOverlay, type TileProgress } from '../../extension/src/preview/tile-overlay.ts';

/** Any method and property of a canvas or its context; nothing is drawn. */
const drawing: unknown = new Proxy(() => drawing, { get: () => drawing, set: () => true });

beforeEach(() => {
  vi.useFakeTimers();
  const canvas = { style: {}, getContext: () => drawing, remove: () => {} };
  vi.stubGlobal('document', { createElement: () => ({ ...canvas }) });
  vi.stubGlobal('OffscreenCanvas', function OffscreenCanvas() {
    return canvas;
  });
  vi.stubGlobal('devicePixelRatio', 1);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A slide of one row of tiles, each 4096 x 4096: 64 MB as a bitmap, of which three are kept. */
const TILE = 4096;
const levels = slideLevels([
  {
    SOPInstanceUID: '1.2',
    ImageType: ['ORIGINAL', 'PRIMARY', 'VOLUME', 'NONE'],
    Columns: TILE,
    Rows: TILE,
    TotalPixelMatrixColumns: 10 * TILE,
    TotalPixelMatrixRows: TILE,
    NumberOfFrames: 10,
  },
]);

/** An overlay on a view that is as large as a tile. */
function overlay({ side = TILE } = {}) {
  let transform: Affine = [1, 0, 0, 1, 0, 0];
  let render = () => {};
  const surface = {
    element: { append: () => {}, clientWidth: TILE, clientHeight: TILE },
    transform: () => transform,
    onRender: (listener: () => void) => {
      render = listener;
      return () => {};
    },
  } as unknown as Surface;
  const made: number[] = [];
  const open = new Map<ImageBitmap, number>();
  const progress: TileProgress[] = [];
  const tiles = new TileOverlay({
    surface,
    levels,
    async produce({ column }) {
      made.push(column);
      const bitmap: ImageBitmap = {
        width: side,
        height: side,
        // A second closing throws: the entry has gone.
        close: () => expect(open.delete(bitmap)).toBe(true),
      };
      open.set(bitmap, column);
      return bitmap;
    },
    onProgress: (now) => progress.push(now),
    onError: (error) => {
      throw error;
    },
  });
  return {
    made,
    tiles,
    /** Columns of the bitmaps that are held. */
    held: () => [...open.values()].toSorted(),
    /** Moves the view to the inside of a tile; resolves when it has come to rest and the tile is drawn. */
    async moveTo(column: number): Promise<void> {
      transform = [2, 0, 0, 2, -2 * (column + 0.25) * TILE, -0.1 * TILE];
      render();
      await vi.advanceTimersByTimeAsync(1000);
      expect(progress.at(-1)).toMatchObject({ isWhole: true });
    },
  };
}

test('are kept up to a bound; the one not shown for longest is closed', async () => {
  const { tiles, moveTo, held, made } = overlay();
  for (const column of [0, 1, 2, 0, 3]) await moveTo(column);
  expect(held()).toEqual([0, 2, 3]);
  expect(made).toEqual([0, 1, 2, 3]);
  tiles.dispose();
  expect(held()).toEqual([]);
});

test('one that is larger than the bound is shown all the same, and closed at the end', async () => {
  const { tiles, moveTo, held } = overlay({ side: 7100 });
  await moveTo(0);
  expect(held()).toEqual([0]);
  await moveTo(1);
  expect(held()).toEqual([1]);
  tiles.dispose();
  expect(held()).toEqual([]);
});
