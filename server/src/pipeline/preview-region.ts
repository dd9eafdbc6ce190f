/**
 * Normalises a region of a slide at once, as a job would: frames of one level, the fitted stain, the network. A job
 * makes a coarser level by averaging the normalised base level; the preview normalises that level itself.
 */
import { StainError } from '../../../core/src/errors.ts';
import { BlockMean } from '../../../core/src/image/block-mean.ts';
import { blankRaster, copyOverlap, type Raster } from '../../../core/src/image/raster.ts';
import { intersection, type Rectangle, windowAround } from '../../../core/src/image/windows.ts';
import type { Stain } from '../../../core/src/stain/stain.ts';
import { makeTransfer } from '../../../core/src/stain/transfer.ts';
import type { TransferName } from '../../../core/src/stain/transfer-name.ts';
import type { StainNetwork } from '../inference/network.ts';
import { regionOf } from '../slide/region-source.ts';
import type { Level, Slide } from '../slide/types.ts';
import { normalizePixels } from './normalize-pixels.ts';
import type { SeriesStain } from './series-stain.ts';

/** Maximum side of the picture, in pixels. */
export const MAX_PREVIEW = 2048;
/** Maximum number of pixels that a picture is averaged from, if no level is small enough. */
const MAX_AVERAGED = 64e6;

export interface PreviewWanted {
  readonly transfer: TransferName;
  /** In pixels of the base level. */
  readonly region: Rectangle;
  /**
   * The picture is made from the coarsest level that gives it at least this many pixels along its longer side, unless
   * that would exceed MAX_PREVIEW. If the region exceeds it on every level, `linear` averages the coarsest.
   */
  readonly size: number;
}

/** @throws REQUEST_INVALID for a region that is not on the slide, or is too large on every level */
export async function previewRegion(
  { fit, series: { slide, pixels } }: SeriesStain,
  { transfer, region, size }: PreviewWanted,
  template: Stain,
  network: StainNetwork,
  signal: AbortSignal,
): Promise<Raster> {
  const level = levelFor(slide, region, size, transfer);
  const wanted = onLevel(region, level);
  const { model } = network;
  const plane = { x: 0, y: 0, width: level.totalColumns, height: level.totalRows };
  const around = intersection(windowAround(wanted, plane, model), plane);
  const source = regionOf(pixels(level, fit.glass.colour), around);
  const canvas = canvasFor(wanted);
  await normalizePixels(source, network, makeTransfer(transfer, fit, template, model.classNames), {
    signal,
    sink: async (core, { x, y }) => canvas.draw(core, { x: x + around.x, y: y + around.y }),
  });
  return canvas.picture();
}

interface Canvas {
  /** @param at in pixels of the level */
  draw(part: Raster, at: { x: number; y: number }): void;
  picture(): Raster;
}

/** A picture of a rectangle of a level: its pixels, or their means where there are too many. */
function canvasFor(shown: Rectangle): Canvas {
  const side = Math.ceil(Math.max(shown.width, shown.height) / MAX_PREVIEW);
  if (side > 1) {
    const mean = new BlockMean(shown.width, shown.height, side);
    return {
      draw: (part, { x, y }) => mean.add(part, x - shown.x, y - shown.y),
      picture: () => mean.picture(),
    };
  }
  const picture = blankRaster(shown.width, shown.height);
  return {
    draw: (part, at) => {
      copyOverlap(part, at, picture, shown);
    },
    picture: () => picture,
  };
}

function levelFor({ levels }: Slide, region: Rectangle, size: number, transfer: TransferName): Level {
  const base = levels[0]!;
  if (region.x + region.width > base.totalColumns || region.y + region.height > base.totalRows)
    throw new StainError('REQUEST_INVALID', 'The region reaches beyond the slide.', {
      data: { totalColumns: base.totalColumns, totalRows: base.totalRows },
    });
  const longestSide = (level: Level): number => {
    const { width, height } = onLevel(region, level);
    return Math.max(width, height);
  };
  const level = levels.findLast((candidate) => longestSide(candidate) >= size) ?? base;
  if (longestSide(level) <= MAX_PREVIEW) return level;
  const smaller = levels.find((candidate) => longestSide(candidate) <= MAX_PREVIEW);
  if (smaller) return smaller;
  const coarsest = levels.at(-1)!;
  const { width, height } = onLevel(region, coarsest);
  // The average of what a pixel at a time is mapped to; the network sees a coarse level differently.
  if (transfer === 'linear' && width * height <= MAX_AVERAGED) return coarsest;
  throw new StainError(
    'REQUEST_INVALID',
    `On every level of the slide, the region is more than ${MAX_PREVIEW} pixels wide or high${transfer === 'linear' ? `, and has more than ${MAX_AVERAGED / 1e6} megapixels` : ''}.`,
  );
}

/** Maps a rectangle of the base level to another level; the result is at least one pixel in size. */
function onLevel({ x, y, width, height }: Rectangle, { placement }: Level): Rectangle {
  const { reduction, content } = placement;
  const [left, top] = [Math.floor(x / reduction.across), Math.floor(y / reduction.down)];
  return {
    x: Math.min(left, content.columns - 1),
    y: Math.min(top, content.rows - 1),
    width: Math.max(1, Math.min(content.columns, Math.round((x + width) / reduction.across)) - left),
    height: Math.max(1, Math.min(content.rows, Math.round((y + height) / reduction.down)) - top),
  };
}
