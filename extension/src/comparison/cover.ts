/** A slide in an element of its own over the viewport, with the viewport's view. */
import {
  openSecondViewer,
  type SecondViewer,
  type SecondViewerOptions,
} from '../microscopy/second-viewer.ts';
import type { SlideSeries } from '../state.ts';

export interface Cover {
  readonly series: SlideSeries;
  readonly element: HTMLElement;
  readonly viewer: SecondViewer;
  close(): void;
}

interface CoverOptions extends Omit<SecondViewerOptions, 'container'> {
  readonly series: SlideSeries;
}

/** @param parent of the viewport's own viewer */
export async function openCover(parent: HTMLElement, options: CoverOptions): Promise<Cover> {
  const { series } = options;
  const element = document.createElement('div');
  element.className = 'stain-second-viewer';
  // Until a mode shows it, the slide below is seen.
  element.style.cssText = 'position:absolute;inset:0;z-index:2;background:#000;visibility:hidden';
  parent.append(element);
  try {
    const viewer = await openSecondViewer({ ...options, container: element });
    const close = (): void => {
      viewer.close();
      element.remove();
    };
    return { series, element, viewer, close };
  } catch (error) {
    element.remove();
    throw error;
  }
}
