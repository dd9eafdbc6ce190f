/** The view of a slide, carried over from one viewer to the next. */
import { type SlideMap, type View, whenShown } from './open-layers.ts';

export interface Place {
  readonly center: NonNullable<ReturnType<View['getCenter']>>;
  readonly resolution: number;
  readonly rotation: number;
}

/** Undefined while a map shows nothing yet. */
export function placeOf(map: SlideMap): Place | undefined {
  const view = map.getView();
  const [center, resolution] = [view.getCenter(), view.getResolution()];
  return center && resolution !== undefined
    ? { center, resolution, rotation: view.getRotation() }
    : undefined;
}

/** Moves to the same view of another slide with the same geometry, as soon as it is shown. */
export async function goTo(map: SlideMap, place: Place, signal: AbortSignal): Promise<void> {
  await whenShown(map, signal);
  const view = map.getView();
  view.setRotation(place.rotation);
  view.setResolution(place.resolution);
  view.setCenter(place.center);
}
