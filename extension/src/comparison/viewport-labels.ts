/** Labels on every viewport with a slide: nobody is to take a normalised image for the original. */
import type { ManagedViewer } from '../ohif/types.ts';
import { addPaneLabel, type LabelContent, type PaneLabel } from './pane-label.ts';

export class ViewportLabels {
  readonly #labels = new Map<ManagedViewer, PaneLabel>();

  /** @param contentOf what to say over a viewer; null where others say it, or where it is not known */
  update(viewers: readonly ManagedViewer[], contentOf: (viewer: ManagedViewer) => LabelContent | null): void {
    for (const [viewer, label] of this.#labels)
      if (!viewers.includes(viewer) || !label.element.isConnected) this.#remove(viewer);
    for (const viewer of viewers) {
      const content = contentOf(viewer);
      const parent = viewer.container.parentElement;
      const label = this.#labels.get(viewer);
      if (!content || !parent) this.#remove(viewer);
      else if (label) label.say(content);
      else {
        parent.style.position = 'relative';
        this.#labels.set(viewer, addPaneLabel(parent, content));
      }
    }
  }

  #remove(viewer: ManagedViewer): void {
    this.#labels.get(viewer)?.remove();
    this.#labels.delete(viewer);
  }
}
