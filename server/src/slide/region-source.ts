/** A rectangle of a plane as a plane of its own. */

import type { Rectangle } from '../../../core/src/image/windows.ts';
import type { PixelSource } from './pixel-source.ts';

/** @param region inside the source, in its pixels */
export function regionOf(source: PixelSource, region: Rectangle): PixelSource {
  const outside = ({ x, y, width, height }: Rectangle): Rectangle => ({
    x: x + region.x,
    y: y + region.y,
    width,
    height,
  });
  return {
    width: region.width,
    height: region.height,
    // They begin elsewhere, which costs time only.
    tile: source.tile,
    coverage: (rectangle) =>
      source
        .coverage(outside(rectangle))
        .map(({ x, y, width, height }) => ({ x: x - region.x, y: y - region.y, width, height })),
    read: (rectangle, signal) => source.read(outside(rectangle), signal),
  };
}
