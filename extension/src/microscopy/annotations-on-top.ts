/**
 * Keeps annotations in sight while something lies over a slide: a second viewer, a preview or a difference. The viewer draws
 * annotations into a layer of the slide's own map; here that layer is lifted over whatever covers the map.
 */

/** The layer is a `div`, the slide below it a `canvas` (OpenLayers 10). A second viewer and its divider are at 2 and 3. */
const LIFTED = `
.DicomMicroscopyViewer:has(.stain-second-viewer, .stain-surface) > div > .ol-viewport > .ol-layers {
  z-index: auto !important;
}
.DicomMicroscopyViewer:has(.stain-second-viewer, .stain-surface) > div > .ol-viewport > .ol-layers > div.ol-layer {
  z-index: 3;
  pointer-events: none;
}`;

/** @param signal ends it */
export function keepAnnotationsOnTop(signal: AbortSignal): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(LIFTED);
  document.adoptedStyleSheets.push(sheet);
  signal.addEventListener(
    'abort',
    () => {
      document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
    },
    { once: true },
  );
}
