/**
 * A region of a slide as a job would normalise it, at once: frames of one level, the fitted stain, the network. What a
 * job makes of a coarser level is the average of its normalised base; here that level itself is normalised.
 */
import { StainError } from '../errors.ts';
import type { StainNetwork } from '../inference/network.ts';
import { blankRaster, copyOverlap, type Raster } from '../slide/raster.ts';
import { regionOf } from '../slide/region-source.ts';
import type { Level, Slide } from '../slide/types.ts';
import { alignedSize, intersection, type Rectangle } from '../slide/windows.ts';
import type { Stain } from '../stain/stain.ts';
import { makeTransfer } from '../stain/transfer.ts';
import type { TransferName } from '../stain/transfer-name.ts';
import { normalizePixels } from './normalize-pixels.ts';
import type { SeriesStain } from './series-stain.ts';

/** Pixels a side of the largest picture. */
export const LARGEST_PREVIEW = 2048;

export interface PreviewWanted {
  readonly transfer: TransferName;
  /** In pixels of the base level. */
  readonly region: Rectangle;
  /**
   * The picture is made of the coarsest level that gives it at least this many pixels along its longer side, unless it
   * would be larger than LARGEST_PREVIEW there.
   */
  readonly size: number;
}

/** @throws REQUEST_INVALID for a region that is not on the slide, or too large on every level */
export async function previewRegion(
  { fit, series: { slide, pixels } }: SeriesStain,
  { transfer, region, size }: PreviewWanted,
  template: Stain,
  network: StainNetwork,
  signal: AbortSignal,
): Promise<Raster> {
  const level = levelFor(slide, region, size);
  const wanted = onLevel(region, level);
  const { halo, alignment, classNames } = network.model;
  // Context around it, from an origin at which tiles give the pixels of the whole.
  const left = Math.max(0, Math.floor((wanted.x - halo) / alignment) * alignment);
  const top = Math.max(0, Math.floor((wanted.y - halo) / alignment) * alignment);
  const around = intersection(
    {
      x: left,
      y: top,
      width: alignedSize(wanted.x + wanted.width + halo - left, alignment),
      height: alignedSize(wanted.y + wanted.height + halo - top, alignment),
    },
    { x: 0, y: 0, width: level.totalColumns, height: level.totalRows },
  );
  const source = regionOf(pixels(level, fit.glass.colour), around);
  const picture = blankRaster(wanted.width, wanted.height);
  await normalizePixels(source, network, makeTransfer(transfer, fit, template, classNames), {
    signal,
    sink: async (core, { x, y }) => {
      copyOverlap(core, { x: x + around.x, y: y + around.y }, picture, wanted);
    },
  });
  return picture;
}

function levelFor({ levels }: Slide, region: Rectangle, size: number): Level {
  const base = levels[0]!;
  if (region.x + region.width > base.totalColumns || region.y + region.height > base.totalRows)
    throw new StainError('REQUEST_INVALID', 'The region reaches beyond the slide.', {
      data: { totalColumns: base.totalColumns, totalRows: base.totalRows },
    });
  const longest = (level: Level): number => {
    const { width, height } = onLevel(region, level);
    return Math.max(width, height);
  };
  const level = levels.findLast((candidate) => longest(candidate) >= size) ?? base;
  if (longest(level) <= LARGEST_PREVIEW) return level;
  const smaller = levels.find((candidate) => longest(candidate) <= LARGEST_PREVIEW);
  if (smaller) return smaller;
  throw new StainError(
    'REQUEST_INVALID',
    `The region has more than ${LARGEST_PREVIEW} pixels a side on every level of the slide.`,
  );
}

/** A rectangle of the base level on another level, at least one pixel large. */
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
