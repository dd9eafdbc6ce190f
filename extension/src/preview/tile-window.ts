/** The window in which a tile goes through the network: the tile and as much of its surroundings as the network sees. */
import type { Rectangle } from '../../../server/src/slide/windows.ts';

export interface NetworkGeometry {
  readonly halo: number;
  readonly alignment: number;
}

/**
 * Origin and size are multiples of the alignment and the halo is whole (none at the slide's upper and left edge), with
 * which the result is that of the server, whatever its windows are.
 */
export function tileWindow(
  tile: Rectangle,
  plane: { readonly width: number; readonly height: number },
  { halo, alignment }: NetworkGeometry,
): Rectangle {
  const along = (from: number, size: number, total: number): readonly [number, number] => {
    const start = Math.max(0, Math.floor((from - halo) / alignment) * alignment);
    const end =
      Math.min(Math.ceil(total / alignment), Math.ceil((from + size + halo) / alignment)) * alignment;
    return [start, end - start];
  };
  const [x, width] = along(tile.x, tile.width, plane.width);
  const [y, height] = along(tile.y, tile.height, plane.height);
  return { x, y, width, height };
}
