/**
 * The linear transfer as integer tables: bit-identical pixels in the server, in the browser and in NumPy
 * (scripts/normalize_tile.py). Densities are in units of 1/4096; a weight of 1 is 4096.
 */
import type { OpticalMap } from './linear.ts';
import { keptGlass, keptPart, smoothstep } from './stain.ts';
import constants from './transfer-constants.json' with { type: 'json' };

/** Integer units per optical density, and per weight of 1. */
const UNIT = 4096;
/** Entries of the table of grey levels: optical densities up to 7. */
const LEVELS = 7 * UNIT;
/** Entries of the table of weights, and the units of the sum of three densities between them (a power of two). */
const [WEIGHTS, STEP_BITS] = [512, 4];
/** Steps of a ramp. */
const RAMP = 256;

export interface LinearTables {
  /** Optical density of each of the 256 levels. */
  readonly density: Int32Array;
  /** Contribution of each grey level of R, G and B to each new density: 3 x 256 x 3. */
  readonly product: Int32Array;
  readonly offset: Int32Array;
  /**
   * How much of the change a pixel gets, by its sum of densities >> 4: kept glass blends into the tissue without an
   * edge.
   */
  readonly weight: Int32Array;
  /** The same, by how foreign its colour is, 0 to 256. */
  readonly native: Int32Array;
  /** First value and slope of six ramps that measure how foreign a colour is, see `applyTables`. */
  readonly ramps: Int32Array;
  /**
   * One number: what is taken off the excess of red over green before it is judged, per unit of the sum of densities
   * (`bluenessOf`).
   */
  readonly blueness: Int32Array;
  /** Grey level of each optical density. */
  readonly level: Uint8Array;
}

/**
 * How much of the change a pixel of mean density D gets. Towards kept glass the change falls linearly to nothing, over
 * a range long enough that the order of brightness is never reversed by more than two grey levels; a short blend would
 * draw contours.
 */
export function glassWeight(density: number, glassDensity: number): number {
  const above = Math.max(0, density - keptGlass(glassDensity));
  // Very white glass is treated like usual glass: otherwise the intercept of the map would take full effect at once.
  const way = keptPart(glassDensity) * Math.max(glassDensity, constants.minimumGlass);
  const reach = constants.glassReach;
  const falling = Math.min(1, (above / Math.max(above + way, 1e-9)) * ((reach + way) / reach));
  return smoothstep((above - constants.fade.low) / constants.glassToe) * falling;
}

/**
 * @param glassDensity of the slide
 * @param blueness of the slide (`bluenessOf`)
 */
export function linearTables(
  { matrix, intercept }: OpticalMap,
  glassDensity: number,
  blueness: number,
): LinearTables {
  const density = Int32Array.from({ length: 256 }, (_, value) =>
    rounded(-Math.log(Math.max(value, 0.5) / 255) * UNIT),
  );
  const level = Uint8Array.from({ length: LEVELS }, (_, d) => rounded(255 * Math.exp(-d / UNIT)));
  // A weight of 0 leaves a pixel unchanged.
  for (const [value, d] of density.entries()) level[d] = value;
  const product = new Int32Array(3 * 256 * 3);
  for (let from = 0; from < 3; from++)
    for (let value = 0; value < 256; value++)
      for (let to = 0; to < 3; to++)
        product[(from * 256 + value) * 3 + to] = bounded(matrix[from]![to]! * density[value]!);
  const middle = (i: number): number => (i + 0.5) * (2 ** STEP_BITS / (3 * UNIT));
  // Colours that haematoxylin and eosin cannot produce; scripts/dcgmm/constants.py gives the source of the numbers.
  const { foreign } = constants;
  return {
    density,
    product,
    offset: Int32Array.from(intercept, (value) => bounded(value * UNIT)),
    weight: Int32Array.from({ length: WEIGHTS }, (_, i) =>
      rounded(UNIT * glassWeight(middle(i), glassDensity)),
    ),
    native: Int32Array.from({ length: RAMP + 1 }, (_, i) => rounded(UNIT * (1 - smoothstep(i / RAMP)))),
    ramps: Int32Array.from([
      ...rampOf(foreign.blueOverGreen, 1),
      ...rampOf(foreign.redOverGreen, 1),
      ...rampOf(foreign.inkBlueOverGreen, 1),
      ...rampOf(foreign.inkRedOverGreen, 1),
      ...rampOf(foreign.inkDensity, 3),
      ...rampOf(foreign.blackDensity, 3),
    ]),
    blueness: Int32Array.of(rounded((blueness * UNIT) / 3)),
    level,
  };
}

/** (value - first) slope >> 12 is 0 at the first end and 256 at the second; value in `times` units of density. */
function rampOf([low, high]: readonly number[], times: number): [number, number] {
  const [first, last] = [rounded(low! * UNIT * times), rounded(high! * UNIT * times)];
  return [first, rounded((RAMP * 4096) / (last - first))];
}

/** Bounded so that four can be added: such values come from no slide, only from a made-up template. */
function bounded(value: number): number {
  return rounded(Math.min(2 ** 28, Math.max(-(2 ** 28), value)));
}

function rounded(value: number): number {
  return Math.floor(value + 0.5);
}

/** Maps pixels in place: uint8 RGB, integers only. */
export function applyTables(tables: LinearTables, rgb: Uint8Array): void {
  const { density, product, offset, weight, native, ramps, level } = tables;
  const blueness = tables.blueness[0]!;
  const [oR, oG, oB] = [offset[0]!, offset[1]!, offset[2]!];
  const ramp = (i: number, value: number): number => ((value - ramps[2 * i]!) * ramps[2 * i + 1]!) >> 12;
  const lastWeight = weight.length - 1;
  const lastNative = native.length - 1;
  for (let at = 0; at < rgb.length; at += 3) {
    const pR = rgb[at]! * 3;
    const pG = rgb[at + 1]! * 3 + 768;
    const pB = rgb[at + 2]! * 3 + 1536;
    const r = density[rgb[at]!]!;
    const g = density[rgb[at + 1]!]!;
    const b = density[rgb[at + 2]!]!;
    const sum = r + g + b;
    // Nuclei of a blue camera absorb red more than green, the more the denser they are.
    const blue = r - g - ((sum * blueness) >> 12);
    const ink = Math.min(Math.max(ramp(2, b - g), ramp(3, blue)), ramp(4, sum));
    // Black in all three channels. The mean would do for a dark nucleus too, whose green is all but gone, and leave specks.
    const black = ramp(5, 3 * Math.min(r, g, b));
    const foreign = Math.max(ramp(0, b - g), ramp(1, blue), ink, black);
    const w =
      (weight[Math.min(lastWeight, sum >> STEP_BITS)]! * native[Math.min(lastNative, Math.max(0, foreign))]! +
        2048) >>
      12;
    if (w === 0) continue;
    const mR = within(product[pR]! + product[pG]! + product[pB]! + oR);
    const mG = within(product[pR + 1]! + product[pG + 1]! + product[pB + 1]! + oG);
    const mB = within(product[pR + 2]! + product[pG + 2]! + product[pB + 2]! + oB);
    rgb[at] = level[r + (((mR - r) * w + 2048) >> 12)]!;
    rgb[at + 1] = level[g + (((mG - g) * w + 2048) >> 12)]!;
    rgb[at + 2] = level[b + (((mB - b) * w + 2048) >> 12)]!;
  }
}

/** Clamps a density to the table of grey levels. */
function within(density: number): number {
  return density < 0 ? 0 : density < LEVELS ? density : LEVELS - 1;
}
