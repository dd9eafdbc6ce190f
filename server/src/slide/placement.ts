/**
 * How a level lies over the base level: by Pixel Spacing if the headers give it, otherwise by the sizes of the two.
 * Sizes alone mislead: some scanners pad every level to whole tiles, and the padding grows with the reduction.
 */
import { StainError } from '../../../core/src/errors.ts';
import { type TileGrid, tileExtent } from '../../../core/src/image/tile-grid.ts';
import type { Rectangle } from '../../../core/src/image/windows.ts';
import type { FramePosition, Level, Placement } from './types.ts';

/** Spacings are written with few digits: a ratio this close to a whole number is that number. */
const WHOLE = 0.005;
/** If spacing and size differ by no more than this, the spacing was rounded. */
const ROUNDED_SPACING = 0.02;
/** How far the sides of a thumbnail may differ, as a fraction: they are rounded, and some scanners pad them. */
const SAME_VIEW = 0.1;
/** Keeps a division that should be exact from being rounded up. */
const ROUNDING = 1e-6;

type GridOfLevel = Pick<Level, 'rows' | 'columns' | 'placement'>;

type Unplaced = Pick<Level, 'rows' | 'columns' | 'totalRows' | 'totalColumns' | 'spacing' | 'origin'>;

/** Placement of the base level itself, and of any level of the same size. */
export function ownPlacement({ totalRows, totalColumns }: Unplaced): Placement {
  return { reduction: { across: 1, down: 1 }, content: { columns: totalColumns, rows: totalRows } };
}

/** @throws SLIDE_STRUCTURE_INVALID if the two do not show the same part of a slide */
export function placementOn(base: Unplaced, level: Unplaced): Placement {
  requireOneOrigin(base, level);
  const spacing = (axis: 0 | 1): number | undefined =>
    base.spacing && level.spacing && level.spacing[axis] / base.spacing[axis];
  const across = placeAxis(base.totalColumns, level.totalColumns, level.columns, spacing(1));
  const down = placeAxis(base.totalRows, level.totalRows, level.rows, spacing(0));
  if (!across || !down)
    throw new StainError(
      'SLIDE_STRUCTURE_INVALID',
      `Two levels do not show the same part of the slide: ${described(base)}, ${described(level)}.`,
    );
  return {
    reduction: { across: across.reduction, down: down.reduction },
    content: { columns: across.content, rows: down.content },
  };
}

/**
 * A thumbnail may show the whole glass although the levels show only the part with tissue.
 * @throws SLIDE_STRUCTURE_INVALID if it does not show what the base level shows
 */
export function requireSameView(base: Unplaced, thumbnail: Unplaced): void {
  const { totalRows } = thumbnail;
  const isOff = (reduction: number): boolean =>
    Math.abs(base.totalRows / reduction - totalRows) > Math.max(1, SAME_VIEW * totalRows);
  const stated = base.spacing && thumbnail.spacing && thumbnail.spacing[0] / base.spacing[0];
  const isDistorted = isOff(base.totalColumns / thumbnail.totalColumns);
  // Where it is that of the base level it was copied from there.
  const isOther = stated !== undefined && stated > 1 + SAME_VIEW && isOff(stated);
  if (isDistorted || isOther)
    throw new StainError(
      'SLIDE_STRUCTURE_INVALID',
      `The thumbnail does not show what the base level shows: ${described(base)}, ${described(thumbnail)}.`,
    );
}

/** The part of a frame that shows the slide, in pixels of its level. */
export function extentOf(level: GridOfLevel, position: Pick<FramePosition, 'x' | 'y'>): Rectangle {
  return tileExtent(contentGrid(level), position);
}

/** The part of a frame that lies in the Total Pixel Matrix: with what pads the level to whole tiles. */
export function extentInMatrix(
  { rows, columns, totalRows, totalColumns }: Level,
  { x, y }: Pick<FramePosition, 'x' | 'y'>,
): Rectangle {
  return { x, y, width: Math.min(columns, totalColumns - x), height: Math.min(rows, totalRows - y) };
}

/** The part of a frame that shows the slide, in pixels of the base level. */
export function extentOnBase(level: Level, position: FramePosition): Rectangle {
  const { across, down } = level.placement.reduction;
  const { x, y, width, height } = extentOf(level, position);
  return { x: x * across, y: y * down, width: width * across, height: height * down };
}

/** The grid of a level without its padding. */
export function contentGrid({ rows, columns, placement: { content, reduction } }: GridOfLevel): TileGrid {
  return { rows, columns, totalRows: content.rows, totalColumns: content.columns, reduction };
}

/**
 * @param fine pixels of the base level along the axis @param coarse pixels of the level @param tile pixels of its tiles
 * @param stated ratio of the spacings
 */
function placeAxis(
  fine: number,
  coarse: number,
  tile: number,
  stated: number | undefined,
): { reduction: number; content: number } | undefined {
  const whole = Math.max(1, Math.round(fine / coarse));
  const isRounded = Math.floor(fine / whole) === coarse || Math.ceil(fine / whole) === coarse;
  const bySize = { reduction: isRounded ? whole : fine / coarse, content: coarse };
  if (stated === undefined) return bySize;
  const isAsStated = Math.abs(bySize.reduction / stated - 1) <= ROUNDED_SPACING;
  if (isRounded && isAsStated) return bySize;
  const nearest = Math.round(stated);
  const reduction = Math.abs(stated / nearest - 1) <= WHOLE ? nearest : stated;
  const content = Math.ceil(fine / reduction - ROUNDING);
  if (Math.abs(coarse - fine / reduction) <= 1) return { reduction, content: Math.min(coarse, content) };
  if (coarse > content && coarse - content < tile) return { reduction, content };
  return isAsStated ? bySize : undefined;
}

/**
 * The corner of a level may be given as the centre of its first pixel or as that pixel's corner: the two are at most
 * one pixel apart.
 */
function requireOneOrigin(base: Unplaced, level: Unplaced): void {
  if (!base.origin || !level.origin || !level.spacing) return;
  const [x, y] = [level.origin.x - base.origin.x, level.origin.y - base.origin.y];
  const pixel = Math.max(...level.spacing);
  if (Math.max(Math.abs(x), Math.abs(y)) <= pixel * (1 + WHOLE)) return;
  throw new StainError(
    'SLIDE_STRUCTURE_INVALID',
    `The origins of two levels are ${Math.hypot(x, y).toFixed(3)} mm apart: ${described(base)}, ${described(level)}.`,
  );
}

function described({ totalRows, totalColumns, spacing }: Unplaced): string {
  const size = `${totalColumns} x ${totalRows} pixels`;
  return spacing ? `${size} of ${spacing[1]} x ${spacing[0]} mm` : size;
}
