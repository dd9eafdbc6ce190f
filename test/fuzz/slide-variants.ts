/** Slides of every kind of tiling and of offset table, a few tiles each. */
import type { SlideInstanceOptions } from '../support/make-slide.ts';

function frames(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => Uint8Array.of(0xff, 0xd8, i, 1, 2, 3, 0xff, 0xd9));
}

const COMMON = { rows: 8, columns: 8, totalRows: 16, totalColumns: 24, frames: frames(6) };
export const VARIANTS: readonly SlideInstanceOptions[] = [
  COMMON,
  { ...COMMON, tiling: 'TILED_SPARSE', offsetTable: 'extended', fragmentsPerFrame: 2 },
  { ...COMMON, tiling: 'none', offsetTable: 'empty', fragmentsPerFrame: 3, padFragments: false },
  {
    ...COMMON,
    transferSyntaxUid: '1.2.840.10008.1.2.1',
    photometricInterpretation: 'RGB',
    frames: Array.from({ length: 6 }, (_, i) => new Uint8Array(192).fill(i)),
  },
];
