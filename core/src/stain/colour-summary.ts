/**
 * A histogram of a slide's chroma, for nuclei, for the rest and for the darkest tissue, from which other stains are
 * recognised (other-stain.ts). Windows add up, so a slide is summarised as it is read. scripts/stains/summary.py, which
 * was used to train the detector, computes the same; one vector tests both (test/fixtures/stains).
 */

import type { Raster, Rgb } from '../image/raster.ts';
import type { Rectangle } from '../image/windows.ts';
import { BLACK_DENSITY, TISSUE_ABOVE_GLASS } from './optical-density.ts';

/**
 * Cells of CELL x CELL pixels are averaged, against noise and JPEG artefacts; blocks of BLOCK x BLOCK cells are
 * evaluated separately.
 */
const CELL = 2;
const BLOCK = 32;
/** Side of a block, in pixels. */
export const COLOUR_BLOCK = CELL * BLOCK;
/** Fraction of a block's tissue cells that absorb red most: its nuclei, in nearly every stain. */
const NUCLEI = 0.25;
/** Fraction of the densest tissue cells, which reveal rare features such as silver fibres or single brown nuclei. */
const DARKEST = 0.1;
/** A block with fewer tissue cells than this is ignored. */
const MIN_CELLS = 64;
/** From this density on, cells count equally; a paler cell counts in proportion to its density. */
const FULL_WEIGHT = 0.5;
/** Below 1/255 there is no 8-bit signal. */
const MINIMUM_DENSITY = 1 / 255;
/** Nodes of the grid over chroma, starting at `origin` and `step` apart. */
export const CHROMA_GRID = { origin: { cx: -1, cy: -1.25 }, step: 0.25, nodes: { cx: 11, cy: 12 } } as const;
const NODES = CHROMA_GRID.nodes.cx * CHROMA_GRID.nodes.cy;

/** Weights on the nodes of the grid, cx by cx, for the nuclei, for the rest, and for the darkest of both: 3 x 11 x 12 numbers. */
export type ColourSummary = Float64Array;

export function emptySummary(): ColourSummary {
  return new Float64Array(3 * NODES);
}

export interface SummaryParts {
  readonly nuclei: Float64Array;
  readonly rest: Float64Array;
  readonly darkest: Float64Array;
}

export function partsOf(summary: ColourSummary): SummaryParts {
  const part = (index: number): Float64Array => summary.subarray(index * NODES, (index + 1) * NODES);
  return { nuclei: part(0), rest: part(1), darkest: part(2) };
}

/**
 * Adds part of a raster.
 * @param weight one value per pixel of the raster; a cell containing a 0 does not count
 * @param part within the raster; its blocks begin at its upper left corner
 * @param white colour of the light
 */
export function addColours(
  summary: ColourSummary,
  raster: Raster,
  weight: Uint8Array,
  part: Rectangle,
  white: Rgb,
): void {
  const clear = white.map((level) => -Math.log(level / 255)) as [number, number, number];
  for (let y = 0; y < part.height; y += COLOUR_BLOCK)
    for (let x = 0; x < part.width; x += COLOUR_BLOCK)
      addBlock(
        summary,
        raster,
        weight,
        {
          x: part.x + x,
          y: part.y + y,
          width: Math.min(COLOUR_BLOCK, part.width - x),
          height: Math.min(COLOUR_BLOCK, part.height - y),
        },
        clear,
      );
}

/** Optical density of the mean of a cell, by the sum of its grey levels. */
const DENSITY = Float64Array.from(
  { length: 255 * CELL ** 2 + 1 },
  (_, levels) => -Math.log(Math.max(levels / CELL ** 2, 0.5) / 255),
);

/** Densities of the cells of one block, used again for the next. */
const scratch = {
  red: new Float64Array(BLOCK ** 2),
  green: new Float64Array(BLOCK ** 2),
  blue: new Float64Array(BLOCK ** 2),
  mean: new Float64Array(BLOCK ** 2),
};

function addBlock(
  summary: ColourSummary,
  { rgb, width }: Raster,
  weight: Uint8Array,
  block: Rectangle,
  clear: readonly [number, number, number],
): void {
  const { red, green, blue, mean } = scratch;
  let cells = 0;
  for (let y = block.y; y + CELL <= block.y + block.height; y += CELL)
    for (let x = block.x; x + CELL <= block.x + block.width; x += CELL) {
      let [r, g, b, counted] = [0, 0, 0, 0];
      for (let dy = 0; dy < CELL; dy++)
        for (let dx = 0; dx < CELL; dx++) {
          const pixel = (y + dy) * width + x + dx;
          counted += weight[pixel]!;
          r += rgb[pixel * 3]!;
          g += rgb[pixel * 3 + 1]!;
          b += rgb[pixel * 3 + 2]!;
        }
      if (counted < CELL ** 2) continue;
      const [rawRed, rawGreen, rawBlue] = [DENSITY[r]!, DENSITY[g]!, DENSITY[b]!];
      red[cells] = Math.max(rawRed - clear[0], 0);
      green[cells] = Math.max(rawGreen - clear[1], 0);
      blue[cells] = Math.max(rawBlue - clear[2], 0);
      mean[cells] = (red[cells]! + green[cells]! + blue[cells]!) / 3;
      if (mean[cells]! > TISSUE_ABOVE_GLASS && (rawRed + rawGreen + rawBlue) / 3 < BLACK_DENSITY) cells++;
    }
  if (cells < MIN_CELLS) return;
  const isNucleus = largest(red.subarray(0, cells), Math.floor(cells * NUCLEI));
  const isDarkest = largest(mean.subarray(0, cells), Math.floor(cells * DARKEST));
  for (let cell = 0; cell < cells; cell++) {
    const [r, g, b] = [red[cell]!, green[cell]!, blue[cell]!];
    addCell(summary, isNucleus[cell] ? 0 : NODES, r, g, b);
    if (isDarkest[cell]) addCell(summary, 2 * NODES, r, g, b);
  }
}

/** 1 for the `count` largest values; ties go to the first. */
function largest(values: Float64Array, count: number): Uint8Array {
  const is = new Uint8Array(values.length);
  if (count === 0) return is;
  const threshold = values.toSorted()[values.length - count]!;
  let left = count;
  for (let i = 0; i < values.length; i++)
    if (values[i]! > threshold) {
      is[i] = 1;
      left--;
    }
  for (let i = 0; left > 0; i++)
    if (values[i] === threshold) {
      is[i] = 1;
      left--;
    }
  return is;
}

/** Distributes the weight of a cell over the four nodes around its chroma. */
function addCell(summary: ColourSummary, part: number, r: number, g: number, b: number): void {
  const { origin, step, nodes } = CHROMA_GRID;
  const d = (r + g + b) / 3;
  const bounded = Math.max(d, MINIMUM_DENSITY);
  const weight = Math.min(d, FULL_WEIGHT) / FULL_WEIGHT;
  const x = clamp((r / bounded - 1 - origin.cx) / step, nodes.cx - 1);
  const y = clamp(((g - b) / (Math.sqrt(3) * bounded) - origin.cy) / step, nodes.cy - 1);
  const [left, low] = [Math.min(Math.floor(x), nodes.cx - 2), Math.min(Math.floor(y), nodes.cy - 2)];
  const [right, high] = [x - left, y - low];
  const at = part + left * nodes.cy + low;
  summary[at]! += weight * (1 - right) * (1 - high);
  summary[at + 1]! += weight * (1 - right) * high;
  summary[at + nodes.cy]! += weight * right * (1 - high);
  summary[at + nodes.cy + 1]! += weight * right * high;
}

function clamp(value: number, max: number): number {
  return Math.min(Math.max(value, 0), max);
}
