/** The viewer's overview in the corner still shows the slide itself while something is drawn over the slide. */

/** Labels the overview of a viewer; returns a function that removes the label. */
export function captionOverview(container: HTMLElement, text: string): () => void {
  const overview = container.querySelector('.ol-overviewmap-map');
  const caption = document.createElement('div');
  caption.className = 'stain-overview-caption';
  caption.style.cssText =
    'position:absolute;top:0;left:0;z-index:1;pointer-events:none;padding:1px 6px;background:rgba(4,6,24,.85);color:#fff;' +
    'font:600 11px/1.4 Inter,Arial,sans-serif';
  caption.textContent = text;
  overview?.append(caption);
  return () => caption.remove();
}
