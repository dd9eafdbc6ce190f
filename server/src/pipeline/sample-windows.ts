/** Chooses the windows of a slide from which its stain is fitted. */
import { evenlySpaced } from '../../../core/src/image/evenly-spaced.ts';
import { alignedSize, type NetworkGeometry, type Window } from '../../../core/src/image/windows.ts';
import { COLOUR_BLOCK } from '../../../core/src/stain/colour-summary.ts';
import { requireTissue } from '../../../core/src/stain/optical-density.ts';
import type { PixelSource } from '../slide/pixel-source.ts';
import type { SurveyedWindow } from './survey.ts';

/** Core of a surveyed window, in pixels a side. */
export const SAMPLE_CORE = 256;
/** With no more windows of tissue than this, they are sampled whole: 4 megapixels. */
const MAX_WINDOWS = 64;
const MIN_WINDOWS = 16;
/**
 * Otherwise blocks are sampled from all over the tissue: a pixel resembles its neighbours, so blocks tell far more than
 * whole windows of the same area (docs/benchmarks/2026-11-27-sampling.md).
 */
const MAX_BLOCKS = 512;
const MIN_BLOCKS = 64;
/** Number to read ahead of the network. Blocks come from distant tiles, which take time to arrive. */
const WINDOWS_AHEAD = 1;
const BLOCKS_AHEAD = 32;
/** A block of a larger tile than this, in pixels, is not worth its decoding. */
const MAX_BLOCK_TILE = 512 ** 2;
/** A window with less tissue than this is sampled only if there are too few better ones. */
const GOOD_TISSUE = 0.2;
/** With fewer good windows than this, the windows with the most tissue are used, good or not. */
const FEW_SAMPLES = 8;

export interface Sample {
  /** Every prefix is spread over the slide. */
  readonly windows: readonly Window[];
  /** Number of windows that are read before it is asked whether they suffice. */
  readonly min: number;
  /** Number of windows of this kind in the surveyed tissue. */
  readonly population: number;
  /** Number of windows to read ahead of those in the network. */
  readonly ahead: number;
}

/** @throws TOO_LITTLE_TISSUE if there is no tissue at all */
export function sampleOf(
  surveyed: readonly SurveyedWindow[],
  base: PixelSource,
  geometry: NetworkGeometry,
): Sample {
  const good = surveyed.filter(isGood);
  const { width, height, tile } = base;
  const isNarrow = Math.min(width, height) < 2 * SAMPLE_CORE;
  if (good.length <= MAX_WINDOWS || isNarrow || tile.width * tile.height > MAX_BLOCK_TILE) {
    const windows = richestWindows(surveyed, MAX_WINDOWS).map(({ window }) => window);
    return { windows, min: MIN_WINDOWS, population: good.length, ahead: WINDOWS_AHEAD };
  }
  const windows = evenlySpaced(good, MAX_BLOCKS);
  // First a block of each window, in turn of every quarter, then a second one and so on.
  const blocks = [0, 1, 2, 3].flatMap((pass) =>
    spreadOut(windows.map(({ window }, i) => blocksOf(window, base, geometry)[(i + (i >> 2) + pass) % 4]!)),
  );
  const area = good.reduce((sum, { window: { core } }) => sum + core.width * core.height, 0);
  return {
    windows: blocks.slice(0, MAX_BLOCKS),
    min: MIN_BLOCKS,
    population: area / COLOUR_BLOCK ** 2,
    ahead: BLOCKS_AHEAD,
  };
}

/**
 * The windows with much tissue, at most `max`, ordered so that every prefix is spread over the slide. If there are too
 * few good ones, the richest are used.
 * @throws TOO_LITTLE_TISSUE if there is no tissue at all
 */
export function richestWindows(windows: readonly SurveyedWindow[], max: number): SurveyedWindow[] {
  const good = windows.filter(isGood);
  if (good.length >= FEW_SAMPLES) return spreadOut(evenlySpaced(good, max));
  const richest = windows.filter(({ tissue }) => tissue > 0).sort((a, b) => b.tissue - a.tissue);
  if (richest.length === 0) requireTissue(0);
  return richest.slice(0, FEW_SAMPLES);
}

const isGood = ({ tissue }: SurveyedWindow): boolean => tissue >= GOOD_TISSUE;

/**
 * A block in each quarter of a window, with a halo around it. None crosses the edge of a tile if it can be avoided:
 * every tile is fetched and decoded.
 */
export function blocksOf(
  { core }: Window,
  { width, height, tile }: PixelSource,
  { halo, alignment }: NetworkGeometry,
): Window[] {
  const side = COLOUR_BLOCK + 2 * halo;
  const origin = (from: number, tileSide: number, limit: number): number => {
    const wanted = alignedSize(from, alignment);
    const edge = Math.ceil(wanted / tileSide) * tileSide;
    const before = Math.floor((edge - side) / alignment) * alignment;
    const isCut = edge > wanted && edge < wanted + side && tileSide >= side + alignment;
    const whole = edge - wanted > side / 2 ? before : alignedSize(edge, alignment);
    return Math.min(isCut ? whole : wanted, alignedSize(limit, alignment) - side);
  };
  return [0, 1].flatMap((down) =>
    [0, 1].map((across) => {
      const x = origin(core.x + (across * core.width) / 2, tile.width, width);
      const y = origin(core.y + (down * core.height) / 2, tile.height, height);
      const inside = { x: x + halo, y: y + halo };
      return {
        x,
        y,
        width: side,
        height: side,
        core: {
          ...inside,
          width: Math.min(COLOUR_BLOCK, width - inside.x),
          height: Math.min(COLOUR_BLOCK, height - inside.y),
        },
      };
    }),
  );
}

/** Orders the items by their bit-reversed index (van der Corput): halves, then quarters, then eighths. */
function spreadOut<T>(items: readonly T[]): T[] {
  const bits = Math.ceil(Math.log2(Math.max(2, items.length)));
  const reversed = (i: number): number =>
    Number.parseInt(i.toString(2).padStart(bits, '0').split('').reverse().join(''), 2);
  return Array.from({ length: 2 ** bits }, (_, i) => items[reversed(i)]).filter((item) => item !== undefined);
}
