/** Which frames a preview needs, and that the network gets the same input as on the server. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { windowAround } from '../../core/src/image/windows.ts';
import { slideLevels } from '../../extension/src/preview/slide-levels.ts';
import { isInSight, visibleTiles } from '../../extension/src/preview/visible-tiles.ts';

const instance = (columns: number, rows: number, more: object = {}) => ({
  SOPInstanceUID: `1.${columns}`,
  ImageType: ['DERIVED', 'PRIMARY', 'VOLUME', 'NONE'],
  Columns: 256,
  Rows: 256,
  TotalPixelMatrixColumns: columns,
  TotalPixelMatrixRows: rows,
  NumberOfFrames: Math.ceil(columns / 256) * Math.ceil(rows / 256),
  ...more,
});

describe('levels', () => {
  test('are sorted finest first, without labels and overviews', () => {
    const levels = slideLevels([
      instance(512, 512),
      instance(2048, 2048),
      instance(700, 700, { ImageType: 'ORIGINAL\\PRIMARY\\LABEL\\NONE' }),
    ]);
    expect(levels.map(({ totalColumns, downsample }) => [totalColumns, downsample])).toEqual([
      [2048, 1],
      [512, 4],
    ]);
  });

  test('TILED_FULL counts frames in rows, across the parts of a concatenation', () => {
    const [level] = slideLevels([
      instance(700, 300, { SOPInstanceUID: '1.1', NumberOfFrames: 4 }),
      instance(700, 300, { SOPInstanceUID: '1.2', NumberOfFrames: 2, ConcatenationFrameOffsetNumber: 4 }),
    ]);
    expect(level!.frameAt(2, 0)).toEqual({ sopInstanceUid: '1.1', frameNumber: 3 });
    expect(level!.frameAt(2, 1)).toEqual({ sopInstanceUid: '1.2', frameNumber: 2 });
    expect(level!.frameAt(3, 0)).toBeUndefined();
  });

  test('TILED_SPARSE has frames only at the stated positions', () => {
    const at = (column: number, row: number) => ({
      PlanePositionSlideSequence: {
        ColumnPositionInTotalImagePixelMatrix: column,
        RowPositionInTotalImagePixelMatrix: row,
      },
    });
    const [level] = slideLevels([
      instance(700, 300, { NumberOfFrames: 2, PerFrameFunctionalGroupsSequence: [at(513, 257), at(1, 1)] }),
    ]);
    expect(level!.frameAt(2, 1)?.frameNumber).toBe(1);
    expect(level!.frameAt(0, 0)?.frameNumber).toBe(2);
    expect(level!.frameAt(1, 0)).toBeUndefined();
  });
});

describe('visible tiles', () => {
  const levels = slideLevels([instance(4096, 4096), instance(1024, 1024), instance(256, 256)]);

  test('the level is the finest that the screen can show, after a coarse pass', () => {
    const tiles = visibleTiles(levels, [0.25, 0, 0, 0.25, 0, 0], { width: 1024, height: 1024 }, 1, Infinity);
    expect(tiles[0]).toEqual({ level: 2, column: 0, row: 0 });
    expect(tiles.filter(({ level }) => level === 1)).toHaveLength(16);
    expect(tiles.some(({ level }) => level === 0)).toBe(false);
  });

  test('only what is in view, from the centre outwards, under rotation too', () => {
    const turned = visibleTiles(levels, [-1, 0, 0, -1, 1000, 1000], { width: 100, height: 100 }, 1, Infinity);
    const fine = turned.filter(({ level }) => level === 0);
    expect(fine[0]).toEqual({ level: 0, column: 3, row: 3 });
    expect(fine).toHaveLength(1);
  });

  test('a coarser level, if the finer one has more in sight than can be kept', () => {
    const at = (maxPixels: number) =>
      visibleTiles(levels, [0.25, 0, 0, 0.25, 0, 0], { width: 1024, height: 1024 }, 1, maxPixels).map(
        ({ level }) => level,
      );
    expect(at(17 * 256 ** 2)).toContain(1);
    expect(at(17 * 256 ** 2 - 1)).toEqual([2]);
    expect(at(0)).toEqual([2]);
  });

  test('nothing outside the slide', () => {
    expect(visibleTiles(levels, [1, 0, 0, 1, 9000, 9000], { width: 100, height: 100 }, 1, Infinity)).toEqual(
      [],
    );
  });
});

test.each([
  ['inside', { x: 10, y: 10, width: 5, height: 5 }, true],
  ['around it', { x: -500, y: -500, width: 2000, height: 2000 }, true],
  ['half out', { x: -5, y: 90, width: 10, height: 50 }, true],
  ['left of it', { x: -20, y: 10, width: 20, height: 5 }, false],
  ['below it', { x: 10, y: 100, width: 5, height: 5 }, false],
])('a rectangle %s of the viewport, straight and turned', (_name, rectangle, expected) => {
  const viewport = { width: 100, height: 100 };
  expect(isInSight(rectangle, [1, 0, 0, 1, 0, 0], viewport)).toBe(expected);
  expect(isInSight(rectangle, [-1, 0, 0, -1, 100, 100], viewport)).toBe(expected);
});

test('a tile passes through the network with its whole halo, at an aligned origin, inside the slide', () => {
  const side = fc.integer({ min: 1, max: 5000 });
  fc.assert(
    fc.property(side, side, fc.nat(), fc.nat(), (width, height, a, b) => {
      const tile = { x: a % width, y: b % height, width: 0, height: 0 };
      Object.assign(tile, { width: Math.min(256, width - tile.x), height: Math.min(256, height - tile.y) });
      const window = windowAround(tile, { width, height }, { halo: 16, alignment: 4 });
      for (const value of Object.values(window)) expect(value % 4).toBe(0);
      expect(window.x).toBeLessThanOrEqual(Math.max(0, tile.x - 16));
      expect(window.y).toBeLessThanOrEqual(Math.max(0, tile.y - 16));
      expect(window.x + window.width).toBeGreaterThanOrEqual(Math.min(width, tile.x + tile.width + 16));
      expect(window.y + window.height).toBeGreaterThanOrEqual(Math.min(height, tile.y + tile.height + 16));
      expect(window.x + window.width).toBeLessThan(width + 4);
    }),
  );
});
