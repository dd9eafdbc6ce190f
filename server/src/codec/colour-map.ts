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
   * New colour by old colour, in Z-order; 0 for one that has not occurred. In shared memory: threads that meet a colour
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

/**
 * The bits of R, G and B alternate in the index of a colour (Z-order), so that colours that differ only by noise are
 * adjacent, in the same cache line.
 */
const [RED, GREEN, BLUE] = [2, 1, 0].map((shift) =>
  Int32Array.from({ length: 256 }, (_, value) => {
    let index = 0;
    for (let bit = 0; bit < 8; bit++) index |= ((value >> bit) & 1) << (3 * bit + shift);
    return index;
  }),
) as [Int32Array, Int32Array, Int32Array];

/** Maps pixels in place: uint8 RGB. */
export function applyColourMap(map: ColourMap, rgb: Uint8Array): void {
  const { colours } = map;
  for (let at = 0; at < rgb.length; at += 3) {
    const index = RED[rgb[at]!]! | GREEN[rgb[at + 1]!]! | BLUE[rgb[at + 2]!]!;
    const known = colours[index]!;
    const moved = known === 0 ? compute(map, index, rgb.slice(at, at + 3)) : known;
    rgb[at] = moved >> 16;
    rgb[at + 1] = moved >> 8;
    rgb[at + 2] = moved;
  }
}

function compute({ profile, transfer, colours }: ColourMap, index: number, pixel: Uint8Array): number {
  if (profile) applyColourTable(profile, pixel);
  applyTables(transfer, pixel);
  const moved = KNOWN | (pixel[0]! << 16) | (pixel[1]! << 8) | pixel[2]!;
  colours[index] = moved;
  return moved;
}
