/** Pictures cut into tiles and downsampled, like the levels of a slide. */
import { blankRaster, copyOverlap, type Raster } from '../../core/src/image/raster.ts';

/** Row by row; sides that are not multiples of a tile's are padded with black. */
export function tilesOf(raster: Raster, side: number): Uint8Array[] {
  const tiles: Uint8Array[] = [];
  for (let y = 0; y < raster.height; y += side)
    for (let x = 0; x < raster.width; x += side) {
      const tile = blankRaster(side, side);
      copyOverlap(raster, { x: 0, y: 0 }, tile, { x, y });
      tiles.push(tile.rgb);
    }
  return tiles;
}

/** Half the size, as the mean of four pixels. */
export function halved({ width, height, rgb }: Raster): Raster {
  const half = blankRaster(width / 2, height / 2);
  for (let y = 0; y < half.height; y++)
    for (let x = 0; x < half.width; x++)
      for (let c = 0; c < 3; c++) {
        const at = (2 * y * width + 2 * x) * 3 + c;
        const sum = rgb[at]! + rgb[at + 3]! + rgb[at + width * 3]! + rgb[at + width * 3 + 3]!;
        half.rgb[(y * half.width + x) * 3 + c] = Math.round(sum / 4);
      }
  return half;
}
