/** What the buttons of the mouse do on slides, in every viewer of them: the tool that was chosen. */
import type { Interaction, ManagedViewer, MicroscopyService } from './types.ts';

/** OHIF's own (3.13) have no use for the left button, so that a drag does nothing. */
const WITHOUT_TOOL: readonly Interaction[] = [
  ['dragPan', { bindings: { mouseButtons: ['left', 'middle'] } }],
  ['dragZoom', { bindings: { mouseButtons: ['right'] } }],
  ['modify', { bindings: { mouseButtons: ['left'] } }],
];

/** Lets the left button pan until a tool is chosen, and the toolbar say so. */
export function panWithoutTool(service: MicroscopyService): void {
  if (!service.getActiveInteractions()) service.activateInteractions(WITHOUT_TOOL);
}

/** Leaves the next mode as OHIF would have it, unless a tool was chosen meanwhile. */
export function endPanWithoutTool(service: MicroscopyService): void {
  if (service.getActiveInteractions() === WITHOUT_TOOL) service.activeInteractions = undefined;
}

/** OHIF gives a chosen tool to the viewers that are open at that moment, and to none that is opened later. */
export class Gestures {
  readonly #known = new WeakSet<ManagedViewer>();

  /** @param viewers those that are open now */
  look(service: MicroscopyService, viewers: readonly ManagedViewer[]): void {
    for (const viewer of viewers) {
      // A second time would end what is being drawn.
      if (this.#known.has(viewer)) continue;
      this.#known.add(viewer);
      applyChosenTool(service, viewer);
    }
  }
}

export function applyChosenTool(service: MicroscopyService, viewer: ManagedViewer): void {
  const chosen = service.getActiveInteractions();
  if (chosen) viewer.activateInteractions(chosen);
}
