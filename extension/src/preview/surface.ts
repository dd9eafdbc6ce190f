/**
 * A viewport with a slide, as overlays see it. Implemented by microscopy/, so that nothing here depends on the viewer.
 */

/** x' = a x + c y + e, y' = b x + d y + f, as for CanvasRenderingContext2D.setTransform. */
export type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

export interface Surface {
  /** Covers the image; overlays are placed inside. Lets pointer events through. */
  readonly element: HTMLElement;
  /**
   * From pixels of the base level (x to the right, y down, 0-based, pixel corners at integers) to CSS pixels in `element`,
   * for the frame that was drawn last; undefined before the first.
   */
  transform(): Affine | undefined;
  /** Calls back whenever the viewer draws a frame. Returns a function that ends it. */
  onRender(listener: () => void): () => void;
}
