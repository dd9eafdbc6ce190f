/** The lattice of a colour conversion, and how it is applied to pixels. Needs no Node: the preview uses it too. */

/** Nodes along each axis of the lattice, five grey levels apart. */
export const NODES = 52;

/** 52^3 x 3 values in the order R, G, B, with B varying fastest. */
export type ColourTable = Uint8Array;

/**
 * Maps pixels through the table, in place, by tetrahedral interpolation: from the lower node of its cell, step along
 * the axes in the order of their fractions, largest first, so that four nodes contribute and greys stay grey.
 */
export function applyColourTable(table: ColourTable, rgb: Uint8Array): void {
  for (let at = 0; at < rgb.length; at += 3) {
    const r = rgb[at]!;
    const g = rgb[at + 1]!;
    const b = rgb[at + 2]!;
    const fr = FRACTION[r]!;
    const fg = FRACTION[g]!;
    const fb = FRACTION[b]!;
    const high = Math.max(fr, fg, fb);
    const low = Math.min(fr, fg, fb);
    const middle = fr + fg + fb - high - low;
    // If fractions are equal, the order does not matter: the node between them has no weight.
    const first = fr === high ? R : fg === high ? G : B;
    const last = fb === low ? B : fg === low ? G : R;
    const n0 = LOWER[r]! * R + LOWER[g]! * G + LOWER[b]! * B;
    const n3 = n0 + R + G + B;
    const n1 = n0 + first;
    const n2 = n3 - last;
    const w0 = STEP - high;
    const w1 = high - middle;
    const w2 = middle - low;
    rgb[at] = BY_STEP[w0 * table[n0]! + w1 * table[n1]! + w2 * table[n2]! + low * table[n3]!]!;
    rgb[at + 1] =
      BY_STEP[w0 * table[n0 + 1]! + w1 * table[n1 + 1]! + w2 * table[n2 + 1]! + low * table[n3 + 1]!]!;
    rgb[at + 2] =
      BY_STEP[w0 * table[n0 + 2]! + w1 * table[n1 + 2]! + w2 * table[n2 + 2]! + low * table[n3 + 2]!]!;
  }
}

/** Grey levels from node to node. */
export const STEP = 255 / (NODES - 1);
/** Distance to the next node along each axis. */
const [B, G, R] = [3, NODES * 3, NODES * NODES * 3];
/** Lower node of an 8-bit value, and the grey levels above that node; 255 is the upper end of the last cell. */
const LOWER = Uint8Array.from({ length: 256 }, (_, v) => Math.min(NODES - 2, Math.floor(v / STEP)));
const FRACTION = Uint8Array.from({ length: 256 }, (_, v) => v - LOWER[v]! * STEP);
/** Division by STEP, rounded. */
const BY_STEP = Uint8Array.from({ length: 255 * STEP + 1 }, (_, sum) => Math.round(sum / STEP));
