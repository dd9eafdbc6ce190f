/**
 * All that happens to the colours of a slide in one table: its ICC profile first, then the linear transfer. A pixel's result
 * depends on its colour alone, and a slide has a few hundred thousand of the 2^24: each is computed when it is met first, by
 * whichever thread meets it, and looked up from then on. The same bits as both steps one after the other.
 */
import { applyTables, type LinearTables } from '../stain/linear-tables.ts';
import { applyColourTable, type ColourTable } from './colour-table.ts';

export interface ColourMap {
  /** Into sRGB, see icc.ts. */
  readonly profile: ColourTable | undefined;
  readonly transfer: LinearTables;
  /**
   * New colour by old colour, R << 16 | G << 8 | B; 0 for one that has not occurred. In shared memory: threads that meet a colour
   * at the same time write the same number. 64 MB at most, of which the system gives what is written to.
   */
  readonly colours: Uint32Array;
}

/** Tells a colour that was computed, black too, from one that was not. */
const KNOWN = 0xff000000;

export function colourMap(profile: ColourTable | undefined, transfer: LinearTables): ColourMap {
  return { profile, transfer, colours: new Uint32Array(new SharedArrayBuffer(4 * 2 ** 24)) };
}

/** Moves pixels, in place: uint8 RGB. */
export function applyColourMap(map: ColourMap, rgb: Uint8Array): void {
  const { colours } = map;
  for (let at = 0; at < rgb.length; at += 3) {
    const colour = (rgb[at]! << 16) | (rgb[at + 1]! << 8) | rgb[at + 2]!;
    const known = colours[colour]!;
    const moved = known === 0 ? compute(map, colour) : known;
    rgb[at] = moved >> 16;
    rgb[at + 1] = moved >> 8;
    rgb[at + 2] = moved;
  }
}

function compute({ profile, transfer, colours }: ColourMap, colour: number): number {
  const pixel = Uint8Array.of(colour >> 16, colour >> 8, colour);
  if (profile) applyColourTable(profile, pixel);
  applyTables(transfer, pixel);
  const moved = (KNOWN | (pixel[0]! << 16) | (pixel[1]! << 8) | pixel[2]!) >>> 0;
  colours[colour] = moved;
  return moved;
}
