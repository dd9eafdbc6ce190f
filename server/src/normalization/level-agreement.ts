/**
 * Whether the levels of a slide show the same: a coarse level may be black, blank or retouched, or made by another filter. The
 * linear transfer moves every level by itself, so what a level shows wrong would stay wrong.
 */
import { ciede2000, labOf } from '../slide/ciede2000.ts';
import { evenlySpaced } from '../slide/evenly-spaced.ts';
import type { GlassMap } from '../slide/glass-map.ts';
import { densityAt } from '../slide/optical-density.ts';
import { extentOf, extentOnBase } from '../slide/placement.ts';
import { type Raster, WHITE } from '../slide/raster.ts';
import type { FramePosition, Level } from '../slide/types.ts';
import { type Rectangle, windowsOf } from '../slide/windows.ts';
import { applyTables } from '../stain/linear-tables.ts';
import type { LinearTransfer } from '../stain/transfer.ts';
import type { OpenSeries } from './open-series.ts';

/** Median CIEDE2000 on tissue from which on two levels do not agree: the eye tells them apart side by side. */
const GREATEST_DIFFERENCE = 2;
/** Fewer blocks are noise: then only what is plainly something else, such as black, counts. */
const FEW_BLOCKS = 16;
const PLAIN_DIFFERENCE = 10;
/**
 * Part of the blocks that may differ by more than this: what is wrong in part, such as a black corner, differs by 40 and more. Colours that
 * are kept because they are foreign (ink) are averaged with others on a coarse level, and moved there: up to 17 on a converted slide.
 */
const TOLERATED = 0.05;
const WRONG_DIFFERENCE = 25;
/** Blocks of this many pixels of the coarse level are compared: registration, sharpening and JPEG do not matter then. */
const BLOCK = 8;
/** Frames of the finer level that are looked at, evenly spread over those that are not glass, and over those that are; pixels at most. */
const FRAMES = 24;
const GLASS_FRAMES = 8;
const PIXELS = 16e6;
/** Pixels a side that are looked at together at most. */
const PIECE = 1024;
/** A coarse pixel that covers more of the finer level is not looked at. */
const WIDEST = 4e6;

/**
 * The levels that disagree with the nearest finer level that does not: they have to be made of the base level.
 *
 * @param images the base level first, then the others, finest first
 */
export async function disagreeingLevels(
  open: OpenSeries,
  images: readonly Level[],
  transfer: LinearTransfer,
  glass: GlassMap | undefined,
  signal: AbortSignal,
): Promise<ReadonlySet<Level>> {
  const disagreeing = new Set<Level>();
  for (const [i, coarse] of images.entries()) {
    const finer = images
      .slice(0, i)
      .filter((level) => !disagreeing.has(level) && reaches(level, coarse))
      .reduce<Level | undefined>((best, level) => (best && reaches(level, best) ? best : level), undefined);
    if (!finer) continue;
    const differences = await compare(open, finer, coarse, transfer, glass, signal);
    if (isOther(differences)) disagreeing.add(coarse);
  }
  return disagreeing;
}

/** Whether so many blocks differ, or so much, that the level shows something else, whole or in part. */
function isOther(differences: readonly number[]): boolean {
  if (differences.length < FEW_BLOCKS) return median(differences) > PLAIN_DIFFERENCE;
  const wrong = differences.filter((difference) => difference > WRONG_DIFFERENCE).length;
  return median(differences) > GREATEST_DIFFERENCE || wrong > TOLERATED * differences.length;
}

/** Whether a level is no coarser than another. */
function reaches(level: Level, other: Level): boolean {
  return level.placement.reduction.across <= other.placement.reduction.across;
}

/** CIEDE2000 between blocks of tissue of two levels, both moved. */
async function compare(
  open: OpenSeries,
  finer: Level,
  coarse: Level,
  transfer: LinearTransfer,
  glass: GlassMap | undefined,
  signal: AbortSignal,
): Promise<number[]> {
  const ratio = {
    x: coarse.placement.reduction.across / finer.placement.reduction.across,
    y: coarse.placement.reduction.down / finer.placement.reduction.down,
  };
  const { content } = coarse.placement;
  const [above, below] = [open.pixels(finer, WHITE), open.pixels(coarse, WHITE)];
  const differences: number[] = [];
  for (const part of sample(finer, glass)) {
    const across = span(part.x, part.width, ratio.x, content.columns);
    const down = span(part.y, part.height, ratio.y, content.rows);
    const at = { x: across.start, y: down.start, width: across.length, height: down.length };
    const under = {
      x: Math.floor(at.x * ratio.x),
      y: Math.floor(at.y * ratio.y),
      width: Math.ceil(at.width * ratio.x),
      height: Math.ceil(at.height * ratio.y),
    };
    if (under.width * under.height > WIDEST) continue;
    const [before, reduced] = [await above.read(under, signal), await below.read(at, signal)];
    for (const { rgb } of [before, reduced]) applyTables(transfer.tables, rgb);
    for (let y = 0; y < at.height; y += BLOCK)
      for (let x = 0; x < at.width; x += BLOCK) {
        const block = { x, y, width: Math.min(BLOCK, at.width - x), height: Math.min(BLOCK, at.height - y) };
        const covered = {
          x: Math.round((at.x + x) * ratio.x) - under.x,
          y: Math.round((at.y + y) * ratio.y) - under.y,
          width: Math.max(1, Math.round(block.width * ratio.x)),
          height: Math.max(1, Math.round(block.height * ratio.y)),
        };
        const [fine, small] = [meanOf(before, covered), meanOf(reduced, block)];
        // Glass on both sides says nothing; glass on one is a difference.
        if (Math.max(densityAt(fine, 0), densityAt(small, 0)) > transfer.fade.high)
          differences.push(ciede2000(labOf(...colour(fine)), labOf(...colour(small))));
      }
  }
  return differences;
}

/** The coarse pixels that lie wholly over a stretch of finer ones, or else the one that covers it. */
function span(from: number, length: number, ratio: number, limit: number): { start: number; length: number } {
  const start = Math.ceil(from / ratio);
  const end = Math.min(limit, Math.floor((from + length) / ratio));
  if (end > start) return { start, length: end - start };
  return { start: Math.min(limit - 1, Math.floor(from / ratio)), length: 1 };
}

/** Parts of a level, evenly spread over what is not glass, and fewer over what is. */
function sample(level: Level, glass: GlassMap | undefined): Rectangle[] {
  const { content } = level.placement;
  const shown = level.frames.filter(({ x, y }) => x < content.columns && y < content.rows);
  const isGlass = (position: FramePosition): boolean =>
    glass?.isGlass(extentOnBase(level, position)) ?? false;
  const affordable = Math.max(1, Math.floor(PIXELS / (level.rows * level.columns)));
  const spread = (frames: readonly FramePosition[], most: number): Rectangle[] => {
    const chosen = evenlySpaced(frames, Math.min(most, affordable));
    return evenlySpaced(
      chosen.flatMap((position) => piecesOf(extentOf(level, position))),
      most,
    );
  };
  return [
    ...spread(
      shown.filter((position) => !isGlass(position)),
      FRAMES,
    ),
    ...spread(shown.filter(isGlass), GLASS_FRAMES),
  ];
}

/** A frame may be a whole level: it is looked at in pieces. */
function piecesOf({ x, y, width, height }: Rectangle): Rectangle[] {
  const pieces = [...windowsOf(width, height, { halo: 0, alignment: 1, coreSize: PIECE })];
  return pieces.map(({ core }) => ({ ...core, x: core.x + x, y: core.y + y }));
}

/** Mean levels over a rectangle, rounded: one pixel. */
function meanOf(
  { rgb, width: across, height: down }: Raster,
  { x, y, width, height }: Rectangle,
): Uint8Array {
  const sums = [0, 0, 0];
  let count = 0;
  for (let row = Math.max(0, y); row < Math.min(down, y + height); row++)
    for (let column = Math.max(0, x); column < Math.min(across, x + width); column++, count++)
      for (let c = 0; c < 3; c++) sums[c]! += rgb[(row * across + column) * 3 + c]!;
  return Uint8Array.from(sums, (sum) => Math.round(sum / Math.max(1, count)));
}

function colour(pixel: Uint8Array): [number, number, number] {
  return [pixel[0]!, pixel[1]!, pixel[2]!];
}

/** 0 of nothing: a slide without tissue on the frames that were looked at shows no disagreement. */
function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
