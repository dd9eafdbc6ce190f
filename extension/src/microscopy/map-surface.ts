/** A map as the surface on which overlays are drawn. */
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
