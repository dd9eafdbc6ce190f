/** A map as the surface on which overlays are drawn. */
import { untilCalled } from '../../../core/src/abortable.ts';
import type { Surface } from '../preview/surface.ts';
import { pixelTransform, type SlideMap } from './open-layers.ts';

/**
 * Above the slide and below the controls of the map (overview, scale).
 * @param container element that the map fills
 */
export function createMapSurface(map: SlideMap, container: HTMLElement): Surface & { dispose(): void } {
  const element = document.createElement('div');
  element.className = 'stain-surface';
  element.style.cssText = 'position:absolute;inset:0;pointer-events:none;overflow:hidden';
  (container.querySelector('.ol-overlaycontainer') ?? container).append(element);
  return {
    element,
    transform: () => pixelTransform(map),
    onRender(listener) {
      map.on('postrender', listener);
      return () => map.un('postrender', listener);
    },
    dispose: () => element.remove(),
  };
}

/** Works on a surface of its own, which is gone afterwards. @throws whatever the work throws */
export async function onMapSurface<T>(
  map: SlideMap,
  container: HTMLElement,
  work: (surface: Surface) => T | Promise<T>,
): Promise<T> {
  const surface = createMapSurface(map, container);
  try {
    return await work(surface);
  } finally {
    surface.dispose();
  }
}

/** Resolves when a map has drawn a frame: the visible part is unknown before. @throws the signal's reason */
export async function whenDrawn(surface: Surface, signal: AbortSignal): Promise<void> {
  if (surface.transform()) return;
  await untilCalled((drawn) => surface.onRender(() => surface.transform() && drawn()), signal);
}
