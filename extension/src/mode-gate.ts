/**
 * Decides when the plugin is active: in modes of the viewer that show our panel or run one of our commands. OHIF calls
 * every extension in every mode; in all others the plugin must not request, draw or change anything.
 */
import { PANEL_ID } from './identity.ts';
import type { Services, Subscription } from './ohif/types.ts';

export interface Gated {
  /** Starts; without effect if it has started. */
  enter(): void;
  /** Ends and undoes everything; without effect if it has not started. */
  leave(): void;
}

export class ModeGate<Session extends Gated> {
  readonly #session: Session;
  /** While a mode is entered. */
  #panels: Subscription | undefined;
  #isPanelMounted = false;

  constructor(session: Session) {
    this.#session = session;
  }

  enterMode(panelService: Services['panelService']): void {
    this.leaveMode();
    const look = (): void => {
      if (this.#isPanelMounted || isListed(panelService)) this.#session.enter();
    };
    // A mode, or a site's customization of it, may add the panel later.
    this.#panels = panelService.subscribe(panelService.EVENTS['PANELS_CHANGED']!, look);
    look();
  }

  leaveMode(): void {
    this.#panels?.unsubscribe();
    this.#panels = undefined;
    this.#session.leave();
  }

  /**
   * The panel's element appeared or left: it may be part of another panel, whose name is in the viewer's list instead.
   */
  panelMounted(isMounted: boolean): void {
    this.#isPanelMounted = isMounted;
    if (isMounted && this.#panels) this.#session.enter();
  }

  /** The active session, for a command; undefined between two modes. */
  forCommand(): Session | undefined {
    if (!this.#panels) return undefined;
    this.#session.enter();
    return this.#session;
  }
}

function isListed(panelService: Services['panelService']): boolean {
  return (['left', 'right'] as const).some((side) =>
    panelService.getPanels(side).some(({ id }) => id === PANEL_ID),
  );
}
