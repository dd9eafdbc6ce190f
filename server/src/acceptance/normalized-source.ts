/** A plane with the colours that a normalisation gives it, computed as it is read. */
import { blankRaster, copyOverlap, type Raster } from '../../../core/src/image/raster.ts';
import { type Rectangle, windowAround } from '../../../core/src/image/windows.ts';
import type { Transfer } from '../../../core/src/stain/transfer.ts';
import type { StainNetwork } from '../inference/network.ts';
import { normalizePixels } from '../pipeline/normalize-pixels.ts';
import type { PixelSource } from '../slide/pixel-source.ts';
import { regionOf } from '../slide/region-source.ts';

export function normalizedSource(
  source: PixelSource,
  network: StainNetwork,
  transfer: Transfer,
): PixelSource {
  const plane = { x: 0, y: 0, width: source.width, height: source.height };
  return {
    width: source.width,
    height: source.height,
    tile: source.tile,
    coverage: (rectangle) => source.coverage(rectangle),
    async read(rectangle: Rectangle, signal: AbortSignal): Promise<Raster> {
      const around = transfer.name === 'paper' ? windowAround(rectangle, plane, network.model) : rectangle;
      const picture = blankRaster(rectangle.width, rectangle.height);
      await normalizePixels(regionOf(source, around), network, transfer, {
        signal,
        sink: async (core, { x, y }) => {
          copyOverlap(core, { x: x + around.x, y: y + around.y }, picture, rectangle);
        },
      });
      return picture;
    },
  };
}
