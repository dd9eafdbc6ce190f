/** Labels on every viewport with a slide: nobody is to take a normalised image for the original. */

import type { ManagedViewer } from '../ohif/types.ts';
import type { ViewerHost } from '../ohif/viewer-host.ts';
import { addPaneLabel } from './pane-label.ts';

export class ViewportLabels {
  readonly #host: ViewerHost;
  readonly #labels = new Map<ManagedViewer, HTMLElement>();

  constructor(host: ViewerHost) {
    this.#host = host;
  }

  /** @param compared the viewer in which a comparison has labels of its own */
  update(compared: ManagedViewer | undefined): void {
    const viewers = this.#host.viewers();
    const derived = new Set(
      this.#host
        .allSeries()
        .filter(({ derived }) => derived)
        .map(({ seriesInstanceUid }) => seriesInstanceUid),
    );
    for (const [viewer, label] of this.#labels) {
      if (viewers.includes(viewer) && viewer !== compared && label.isConnected) continue;
      label.remove();
      this.#labels.delete(viewer);
    }
    for (const viewer of viewers) {
      if (viewer === compared || this.#labels.has(viewer)) continue;
      const parent = viewer.container.parentElement;
      if (!parent) continue;
      parent.style.position = 'relative';
      this.#labels.set(viewer, addPaneLabel(parent, derived.has(viewer.seriesInstanceUID)));
    }
  }

  clear(): void {
    for (const label of this.#labels.values()) label.remove();
    this.#labels.clear();
  }
}
