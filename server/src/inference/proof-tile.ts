/**
 * The fixed tile and transfer of a proof: round nuclei on wavy stroma, with all densities found on slides, the same on
 * every machine.
 */
import { EOSIN, HAEMATOXYLIN } from '../../../core/src/stain/stain-amounts.ts';

const GLASS_LEVEL = 243;
/** Pixels from one nucleus to the next. */
const SPACING = 32;

/** size x size uint8 RGB. */
export function proofTile(size: number): Uint8Array {
  const tile = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const across = (x % SPACING) - SPACING / 2;
      const down = (y % SPACING) - SPACING / 2;
      // Nuclei grow from left to right; eosin fades to glass from top to bottom.
      const isNucleus = Math.hypot(across, down) < 4 + (6 * x) / size;
      const wave = 0.6 + 0.4 * Math.sin(x / 23) * Math.cos(y / 31);
      const haematoxylin = isNucleus ? 0.4 + 1.2 * wave : 0;
      const eosin = 0.7 * wave * (1 - y / size);
      for (let c = 0; c < 3; c++) {
        const density = haematoxylin * HAEMATOXYLIN[c]! + eosin * EOSIN[c]!;
        tile[(y * size + x) * 3 + c] = Math.round(GLASS_LEVEL * Math.exp(-density));
      }
    }
  return tile;
}

/** A transfer that maps each of the K classes differently, so that a pixel in the wrong class stands out. */
export function proofTransfer(classes: number): {
  scale: Float32Array;
  offset: Float32Array;
  fade: readonly [number, number];
  blueness: number;
} {
  const length = classes * 3;
  return {
    scale: Float32Array.from({ length }, (_, i) => 0.7 + (0.6 * i) / length),
    offset: Float32Array.from({ length }, (_, i) => 0.1 - (0.2 * i) / length),
    fade: [0.02, 0.08],
    blueness: 0,
  };
}
