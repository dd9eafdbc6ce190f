/**
 * The complete mapping of a slide's colours in one table: first its ICC profile, then the linear transfer. The result
 * for a pixel depends only on its colour, and a slide has a few hundred thousand of the 2^24: each is computed when it
 * first occurs, by whichever thread meets it, and then looked up. The result is bit-identical to both steps in
 * sequence.
 */

import { applyColourTable, type ColourTable } from '../../../core/src/codec/colour-table.ts';
import { applyTables, type LinearTables } from '../../../core/src/stain/linear-tables.ts';
import { inSharedMemory } from './shared-memory.ts';

export interface ColourMap {
  /** Converts to sRGB, see icc.ts. */
  readonly profile: ColourTable | undefined;
  readonly transfer: LinearTables;
  /**
   * New colour by old colour (`place`); 0 for one that has not occurred. In shared memory: threads that meet a colour
   * at the same time write the same number. At most 64 MB, of which the system allocates what is written.
   */
  readonly colours: Int32Array;
}

/** Distinguishes a computed colour, even black, from one that was not computed. */
const KNOWN = 1 << 24;

export function colourMap(profile: ColourTable | undefined, transfer: LinearTables): ColourMap {
  return {
    profile,
    transfer: {
      density: inSharedMemory(transfer.density),
      product: inSharedMemory(transfer.product),
      offset: inSharedMemory(transfer.offset),
      weight: inSharedMemory(transfer.weight),
      native: inSharedMemory(transfer.native),
      ramps: inSharedMemory(transfer.ramps),
      blueness: inSharedMemory(transfer.blueness),
      level: inSharedMemory(transfer.level),
    },
    colours: new Int32Array(new SharedArrayBuffer(4 * 2 ** 24)),
  };
}

/** Maps pixels in place: uint8 RGB. */
export function applyColourMap(map: ColourMap, rgb: Uint8Array): void {
  const { colours } = map;
  const start = rgb.byteOffset % 4 === 0 ? mapFours(map, rgb) : 0;
  for (let at = start; at < rgb.length; at += 3) {
    const [r, g, b] = [rgb[at]!, rgb[at + 1]!, rgb[at + 2]!];
    const index = place(r, g, b);
    const colour = colours[index]! || compute(map, index, r | (g << 8) | (b << 16));
    rgb[at] = colour;
    rgb[at + 1] = colour >> 8;
    rgb[at + 2] = colour >> 16;
  }
}

/**
 * Four pixels are three words, which take less time than twelve bytes. (Little-endian, as are all processors for which
 * ONNX Runtime's binding is built.)
 * @returns number of bytes that it mapped: all but those of the last three pixels at most
 */
function mapFours(map: ColourMap, rgb: Uint8Array): number {
  const { colours } = map;
  const words = new Int32Array(rgb.buffer, rgb.byteOffset, 3 * Math.floor(rgb.length / 12));
  for (let i = 0; i < words.length; i += 3) {
    const a = words[i]!;
    const b = words[i + 1]!;
    const c = words[i + 2]!;
    const first = place(a & 255, (a >> 8) & 255, (a >> 16) & 255);
    const second = place(a >>> 24, b & 255, (b >> 8) & 255);
    const third = place((b >> 16) & 255, b >>> 24, c & 255);
    const fourth = place((c >> 8) & 255, (c >> 16) & 255, c >>> 24);
    let k = colours[first]!;
    let l = colours[second]!;
    let m = colours[third]!;
    let n = colours[fourth]!;
    if ((k & l & m & n) === 0) {
      k ||= compute(map, first, a);
      l ||= compute(map, second, (a >>> 24) | (b << 8));
      m ||= compute(map, third, (b >>> 16) | (c << 16));
      n ||= compute(map, fourth, c >>> 8);
    }
    words[i] = (k & 0xffffff) | (l << 24);
    words[i + 1] = ((l >> 8) & 0xffff) | (m << 16);
    words[i + 2] = ((m >> 16) & 0xff) | (n << 8);
  }
  return 4 * words.length;
}

/**
 * Index of a colour: R - G and B - G, then G. Neighbouring pixels differ in brightness more than in hue, above all after
 * JPEG, so their colours lie in the same cache lines.
 */
function place(r: number, g: number, b: number): number {
  return (((r - g) & 255) << 16) | (((b - g) & 255) << 8) | g;
}

/** The one that is computed: a new array for each would take as long as its mapping. */
const pixel = new Uint8Array(3);

/** @param colour R, G and B in bits 0, 8 and 16, as in memory; so is the result */
function compute({ profile, transfer, colours }: ColourMap, index: number, colour: number): number {
  pixel[0] = colour;
  pixel[1] = colour >> 8;
  pixel[2] = colour >> 16;
  if (profile) applyColourTable(profile, pixel);
  applyTables(transfer, pixel);
  const result = KNOWN | pixel[0]! | (pixel[1]! << 8) | (pixel[2]! << 16);
  colours[index] = result;
  return result;
}
