/**
 * Checks whether the levels of a slide show the same. A coarse level may be black, blank or retouched, or made with a
 * different filter. The linear transfer maps every level by itself, so an error in a level would remain.
 */
import { evenlySpaced } from '../../../core/src/image/evenly-spaced.ts';
import { type Raster, WHITE } from '../../../core/src/image/raster.ts';
import { type Rectangle, windowsOf } from '../../../core/src/image/windows.ts';
import type { LazyList } from '../../../core/src/lazy-list.ts';
import { ciede2000, labOf } from '../../../core/src/stain/ciede2000.ts';
import { applyTables, type LinearTables } from '../../../core/src/stain/linear-tables.ts';
import { densityAt } from '../../../core/src/stain/optical-density.ts';
import type { LinearTransfer } from '../../../core/src/stain/transfer.ts';
import { mapAtOnce } from '../sharing/map-at-once.ts';
import { type GlassMap, glassFrames } from '../slide/glass-map.ts';
import { extentOf } from '../slide/placement.ts';
import type { FramePosition, Level } from '../slide/types.ts';
import type { SlidePixels } from './slide-pixels.ts';

/** Two levels disagree if the median CIEDE2000 on tissue is at least this: the eye can tell them apart side by side. */
const GREATEST_DIFFERENCE = 2;
/** With fewer blocks than this the median is noise: only a clear difference, such as black, counts. */
const FEW_BLOCKS = 16;
const PLAIN_DIFFERENCE = 10;
/**
 * Fraction of blocks that may differ by more than the limit below. A partial error, such as a black corner, differs by
 * 40 or more. Foreign colours (ink) are kept, but on a coarse level they are averaged with others and mapped: they
 * differ by up to 17 on a converted slide.
 */
const TOLERATED = 0.05;
const WRONG_DIFFERENCE = 25;
/**
 * Side of the compared blocks, in pixels of the coarse level: large enough that registration, sharpening and JPEG do
 * not matter.
 */
const BLOCK = 8;
/** Maximum number of blocks to compare in each part, evenly spread over it: more of them would hardly tell more. */
const BLOCKS = 64;
/**
 * Number of frames of the finer level to check, evenly spread over those with tissue and over those with glass; and
 * their maximum number of pixels.
 */
const FRAMES = 24;
const GLASS_FRAMES = 8;
const PIXELS = 16e6;
/** Number of parts decoded while others are compared. */
const AT_ONCE = 4;
/** Maximum side, in pixels, of an area checked at once. */
const PIECE = 1024;
/** A coarse pixel that covers more pixels of the finer level than this is not checked. */
const WIDEST = 4e6;

/**
 * Returns the levels that disagree with the nearest finer level that agrees: they must be made from the base level.
 *
 * @param images the base level first, then the others, finest first
 */
export async function disagreeingLevels(
  open: SlidePixels,
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

/** Whether so many blocks differ, or by so much, that the level shows something else, wholly or in part. */
function isOther(differences: readonly number[]): boolean {
  if (differences.length < FEW_BLOCKS) return median(differences) > PLAIN_DIFFERENCE;
  const wrong = differences.filter((difference) => difference > WRONG_DIFFERENCE).length;
  return median(differences) > GREATEST_DIFFERENCE || wrong > TOLERATED * differences.length;
}

/** Whether a level is no coarser than another. */
function reaches(level: Level, other: Level): boolean {
  return level.placement.reduction.across <= other.placement.reduction.across;
}

/** CIEDE2000 between tissue blocks of two levels, after the transfer. */
async function compare(
  open: SlidePixels,
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
  const lookAt = async (part: Rectangle): Promise<number[]> => {
    const across = span(part.x, part.width, ratio.x, content.columns);
    const down = span(part.y, part.height, ratio.y, content.rows);
    const at = { x: across.start, y: down.start, width: across.length, height: down.length };
    const under = {
      x: Math.floor(at.x * ratio.x),
      y: Math.floor(at.y * ratio.y),
      width: Math.ceil(at.width * ratio.x),
      height: Math.ceil(at.height * ratio.y),
    };
    if (under.width * under.height > WIDEST) return [];
    const [before, reduced] = await Promise.all([above.read(under, signal), below.read(at, signal)]);
    const differences: number[] = [];
    const step = BLOCK * Math.max(1, Math.ceil(Math.sqrt((at.width * at.height) / (BLOCK ** 2 * BLOCKS))));
    for (let y = 0; y < at.height; y += step)
      for (let x = 0; x < at.width; x += step) {
        const block = { x, y, width: Math.min(BLOCK, at.width - x), height: Math.min(BLOCK, at.height - y) };
        const covered = {
          x: Math.round((at.x + x) * ratio.x) - under.x,
          y: Math.round((at.y + y) * ratio.y) - under.y,
          width: Math.max(1, Math.round(block.width * ratio.x)),
          height: Math.max(1, Math.round(block.height * ratio.y)),
        };
        const [fine, small] = [
          mappedMean(before, covered, transfer.tables),
          mappedMean(reduced, block, transfer.tables),
        ];
        // Glass on both sides says nothing; glass on only one side is a difference.
        if (Math.max(densityAt(fine, 0), densityAt(small, 0)) > transfer.fade.high)
          differences.push(ciede2000(labOf(...colour(fine)), labOf(...colour(small))));
      }
    return differences;
  };
  return (await mapAtOnce(sample(finer, glass), AT_ONCE, lookAt)).flat();
}

/** The coarse pixels that lie wholly over a range of finer ones, or else the one that covers it. */
function span(from: number, length: number, ratio: number, limit: number): { start: number; length: number } {
  const start = Math.ceil(from / ratio);
  const end = Math.min(limit, Math.floor((from + length) / ratio));
  if (end > start) return { start, length: end - start };
  return { start: Math.min(limit - 1, Math.floor(from / ratio)), length: 1 };
}

/** Parts of a level, evenly spread over what is not glass, and a few over what is. */
function sample(level: Level, glass: GlassMap | undefined): Rectangle[] {
  const { content } = level.placement;
  const isGlassFrame = glassFrames(glass, level);
  const shown = (isGlass: boolean): LazyList<FramePosition> =>
    level.frames.filter(
      ({ x, y }, frame) => x < content.columns && y < content.rows && isGlassFrame(frame) === isGlass,
    );
  const affordable = Math.max(1, Math.floor(PIXELS / (level.rows * level.columns)));
  const spread = (frames: LazyList<FramePosition>, max: number): Rectangle[] => {
    const chosen = evenlySpaced(frames, Math.min(max, affordable));
    return evenlySpaced(
      chosen.flatMap((position) => piecesOf(extentOf(level, position))),
      max,
    );
  };
  return [...spread(shown(false), FRAMES), ...spread(shown(true), GLASS_FRAMES)];
}

/** A frame may be a whole level, so it is checked in pieces. */
function piecesOf({ x, y, width, height }: Rectangle): Rectangle[] {
  const pieces = [...windowsOf(width, height, { halo: 0, alignment: 1, coreSize: PIECE })];
  return pieces.map(({ core }) => ({ ...core, x: core.x + x, y: core.y + y }));
}

/** Mean grey levels of a rectangle after the transfer, rounded, as one pixel. */
function mappedMean(
  { rgb, width: across, height: down }: Raster,
  { x, y, width, height }: Rectangle,
  tables: LinearTables,
): Uint8Array {
  const [left, right] = [Math.max(0, x), Math.min(across, x + width)];
  const [top, bottom] = [Math.max(0, y), Math.min(down, y + height)];
  const count = Math.max(0, right - left) * Math.max(0, bottom - top);
  const mapped = new Uint8Array(count * 3);
  for (let row = top, at = 0; at < mapped.length; row++)
    for (let from = (row * across + left) * 3; from < (row * across + right) * 3; )
      mapped[at++] = rgb[from++]!;
  applyTables(tables, mapped);
  const sums = [0, 0, 0];
  for (let i = 0; i < mapped.length; i += 3) {
    sums[0]! += mapped[i]!;
    sums[1]! += mapped[i + 1]!;
    sums[2]! += mapped[i + 2]!;
  }
  return Uint8Array.from(sums, (sum) => Math.round(sum / Math.max(1, count)));
}

function colour(pixel: Uint8Array): [number, number, number] {
  return [pixel[0]!, pixel[1]!, pixel[2]!];
}

/** 0 for an empty list: a slide without tissue on the checked frames shows no disagreement. */
function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
