/**
 * Everything that is private to dicom-microscopy-viewer and OpenLayers. The viewer keeps its map behind a symbol; what
 * we take from the map is OpenLayers' public interface. A version that does not fit is refused in words, once.
 */
import type { VolumeImageViewer } from '../ohif/types.ts';
import { PluginError } from '../plugin-error.ts';
import type { Affine } from '../preview/surface.ts';

type Coordinate = readonly [number, number];

export interface View {
  getCenter(): Coordinate | undefined;
  getResolution(): number | undefined;
  getRotation(): number;
}

export interface SlideMap {
  getView(): View;
  setView(view: View): void;
  getPixelFromCoordinate(coordinate: Coordinate): Coordinate | null;
  updateSize(): void;
  on(event: 'postrender', listener: () => void): unknown;
  un(event: 'postrender', listener: () => void): void;
}

const NEEDED = ['getView', 'setView', 'getPixelFromCoordinate', 'updateSize', 'on', 'un'] as const;

/** The OpenLayers map of a viewer. @throws VIEWER_UNSUPPORTED when this version of the viewer keeps it elsewhere */
export function mapOf(viewer: VolumeImageViewer): SlideMap {
  const symbol = Object.getOwnPropertySymbols(viewer).find(({ description }) => description === 'map');
  const map = symbol && (viewer as unknown as Record<symbol, SlideMap>)[symbol];
  const missing = map ? NEEDED.filter((name) => typeof map[name] !== 'function') : ['map'];
  if (!map || missing.length > 0)
    throw new PluginError('VIEWER_UNSUPPORTED', { missing: missing.join(', ') });
  return map;
}

/**
 * From base level pixels to CSS pixels of the map's element. The viewer puts the corner (x, y) of a pixel at
 * the coordinate (x, -1 - y), in units of the base level's pixels.
 */
export function pixelTransform(map: SlideMap): Affine | undefined {
  const origin = map.getPixelFromCoordinate([0, -1]);
  const right = map.getPixelFromCoordinate([1000, -1]);
  const down = map.getPixelFromCoordinate([0, -1001]);
  if (!origin || !right || !down) return undefined;
  return [
    (right[0] - origin[0]) / 1000,
    (right[1] - origin[1]) / 1000,
    (down[0] - origin[0]) / 1000,
    (down[1] - origin[1]) / 1000,
    origin[0],
    origin[1],
  ];
}
