/**
 * Everything that is private to dicom-microscopy-viewer and OpenLayers. The viewer keeps its map behind a symbol; from
 * the map we only use OpenLayers' public interface. An incompatible version is refused with a message, once.
 */
import { untilCalled } from '../../../core/src/abortable.ts';
import type { VolumeImageViewer } from '../ohif/types.ts';
import { PluginError } from '../plugin-error.ts';
import type { Affine } from '../preview/surface.ts';

/** Column and negative row, in units of the base level's pixels (see `pixelTransform`). */
export type Coordinate = readonly [number, number];

export interface View {
  getCenter(): Coordinate | undefined;
  getResolution(): number | undefined;
  getRotation(): number;
  setCenter(center: Coordinate): void;
  setResolution(resolution: number): void;
  setRotation(rotation: number): void;
}

interface Layer {
  /** Stored samples of the tile drawn at this pixel; null if no tile is drawn. */
  getData(pixel: Coordinate): ArrayLike<number> | DataView | null;
  getSource(): { clear?(): void; dispose(): void } | null;
  dispose(): void;
}

interface Control {
  getOverviewMap?(): Pick<SlideMap, 'getAllLayers' | 'dispose'>;
}

export interface SlideMap {
  getView(): View;
  setView(view: View): void;
  getPixelFromCoordinate(coordinate: Coordinate): Coordinate | null;
  getCoordinateFromPixel(pixel: Coordinate): Coordinate | null;
  updateSize(): void;
  /** Undefined until the map is shown. */
  getTarget(): unknown;
  getAllLayers(): readonly Layer[];
  removeLayer(layer: Layer): unknown;
  getControls(): { getArray(): readonly Control[] };
  dispose(): void;
  once(event: 'change:target' | 'rendercomplete', listener: () => void): unknown;
  on(event: 'postrender' | 'moveend', listener: () => void): unknown;
  un(event: 'postrender' | 'moveend' | 'change:target' | 'rendercomplete', listener: () => void): void;
}

const NEEDED = [
  'getView',
  'setView',
  'getPixelFromCoordinate',
  'getCoordinateFromPixel',
  'updateSize',
  'getTarget',
  'getAllLayers',
  'removeLayer',
  'getControls',
  'dispose',
  'once',
  'on',
  'un',
] as const;

/** The OpenLayers map of a viewer. @throws VIEWER_UNSUPPORTED if this version of the viewer keeps it elsewhere */
export function mapOf(viewer: VolumeImageViewer): SlideMap {
  const symbol = Object.getOwnPropertySymbols(viewer).find(({ description }) => description === 'map');
  const map = symbol && (viewer as unknown as Record<symbol, SlideMap>)[symbol];
  const missing = map ? NEEDED.filter((name) => typeof map[name] !== 'function') : ['map'];
  if (!map || missing.length > 0)
    throw new PluginError('VIEWER_UNSUPPORTED', { missing: missing.join(', ') });
  return map;
}

/**
 * Resolves when a viewer shows its slide. It must not be moved before: it waits for the slide's colour profiles, and
 * then fits whatever view it has (dicom-microscopy-viewer 0.48).
 * @throws the signal's reason
 */
export async function whenShown(map: SlideMap, signal: AbortSignal): Promise<void> {
  if (map.getTarget()) return;
  await untilCalled((shown) => {
    map.once('change:target', shown);
    return () => map.un('change:target', shown);
  }, signal);
}

/** Resolves when a map has drawn all that is in sight. @throws the signal's reason */
export function whenComplete(map: SlideMap, signal: AbortSignal): Promise<void> {
  return untilCalled((drawn) => {
    map.once('rendercomplete', drawn);
    return () => map.un('rendercomplete', drawn);
  }, signal);
}

/**
 * Ends a map and releases its resources. The viewer's own cleanup would also dispose of the view, which another map may
 * share, and end the decoders of every other viewer on the page with tiles in them.
 */
export function disposeOf(map: SlideMap): void {
  for (const control of map.getControls().getArray()) {
    const overview = control.getOverviewMap?.();
    // Its tiles are those of the map.
    for (const layer of overview?.getAllLayers() ?? []) layer.dispose();
    overview?.dispose();
  }
  for (const layer of map.getAllLayers()) {
    const source = layer.getSource();
    source?.clear?.();
    source?.dispose();
    layer.dispose();
    map.removeLayer(layer);
  }
  map.dispose();
}

/**
 * From base level pixels to CSS pixels of the map's element. The viewer puts the corner (x, y) of a pixel at the
 * coordinate (x, -1 - y), in units of base level pixels.
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

/**
 * The colour of the slide at a coordinate, as its tile has it at the level that is drawn, after the colour profile and
 * without interpolation; undefined where no tile is drawn.
 */
export function colourAt(map: SlideMap, coordinate: Coordinate): readonly number[] | undefined {
  const pixel = map.getPixelFromCoordinate(coordinate);
  if (!pixel) return undefined;
  for (const layer of map.getAllLayers()) {
    const data = layer.getData(pixel);
    if (data instanceof Uint8Array || data instanceof Uint8ClampedArray)
      return data.length >= 3 ? [...data.subarray(0, 3)] : undefined;
  }
  return undefined;
}
