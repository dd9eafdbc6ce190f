/** Labels wherever a slide is shown, so that nobody mistakes a normalised image for the original. */
import type { Pane } from '../ohif/viewer-host.ts';
import { addPaneLabel, type LabelContent, type PaneLabel } from './pane-label.ts';

export class ViewportLabels {
  readonly #labels = new Map<HTMLElement, PaneLabel>();

  /** @param contentOf label of a pane; null if others label it, or if it is unknown */
  update(panes: readonly Pane[], contentOf: (pane: Pane) => LabelContent | null): void {
    const elements = new Set(panes.map(({ element }) => element));
    for (const [element, label] of this.#labels)
      if (!elements.has(element) || !label.element.isConnected) this.#remove(element);
    for (const pane of panes) {
      const { element } = pane;
      const content = contentOf(pane);
      const label = this.#labels.get(element);
      if (!content) this.#remove(element);
      else if (label) label.say(content);
      else {
        element.style.position = 'relative';
        this.#labels.set(element, addPaneLabel(element, content));
      }
    }
  }

  #remove(element: HTMLElement): void {
    this.#labels.get(element)?.remove();
    this.#labels.delete(element);
  }
}
