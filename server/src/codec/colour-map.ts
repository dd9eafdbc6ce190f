/**
 * All that happens to the colours of a slide in one table: its ICC profile first, then the linear transfer. A pixel's result
 * depends on its colour alone, and a slide has a few hundred thousand of the 2^24: each is computed when it is met first, by
 * whichever thread meets it, and looked up from then on. The same bits as both steps one after the other.
 */
import { applyTables, type LinearTables } from '../stain/linear-tables.ts';
import { applyColourTable, type ColourTable } from './colour-table.ts';
import { inSharedMemory } from './shared-memory.ts';

export interface ColourMap {
  /** Into sRGB, see icc.ts. */
  readonly profile: ColourTable | undefined;
  readonly transfer: LinearTables;
  /**
   * New colour by old colour, in Z-order; 0 for one that has not occurred. In shared memory: threads that meet a colour
   * at the same time write the same number. 64 MB at most, of which the system gives what is written to.
   */
  readonly colours: Int32Array;
}

/** Tells a colour that was computed, black too, from one that was not. */
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
      level: inSharedMemory(transfer.level),
    },
    colours: new Int32Array(new SharedArrayBuffer(4 * 2 ** 24)),
  };
}

/**
 * The bits of R, G and B take turns in a colour's place (Z-order): colours that differ by noise lie side by side, in the same line of
 * the processor's cache.
 */
const [RED, GREEN, BLUE] = [2, 1, 0].map((shift) =>
  Int32Array.from({ length: 256 }, (_, value) => {
    let place = 0;
    for (let bit = 0; bit < 8; bit++) place |= ((value >> bit) & 1) << (3 * bit + shift);
    return place;
  }),
) as [Int32Array, Int32Array, Int32Array];

/** Moves pixels, in place: uint8 RGB. */
export function applyColourMap(map: ColourMap, rgb: Uint8Array): void {
  const { colours } = map;
  for (let at = 0; at < rgb.length; at += 3) {
    const place = RED[rgb[at]!]! | GREEN[rgb[at + 1]!]! | BLUE[rgb[at + 2]!]!;
    const known = colours[place]!;
    const moved = known === 0 ? compute(map, place, rgb.slice(at, at + 3)) : known;
    rgb[at] = moved >> 16;
    rgb[at + 1] = moved >> 8;
    rgb[at + 2] = moved;
  }
}

function compute({ profile, transfer, colours }: ColourMap, place: number, pixel: Uint8Array): number {
  if (profile) applyColourTable(profile, pixel);
  applyTables(transfer, pixel);
  const moved = KNOWN | (pixel[0]! << 16) | (pixel[1]! << 8) | pixel[2]!;
  colours[place] = moved;
  return moved;
}
