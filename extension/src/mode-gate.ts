/**
 * Decides when the plugin works: in modes of the viewer that show our panel or run one of our commands. OHIF calls every
 * extension in every mode; in all the others nothing may be asked, drawn or changed.
 */
import { PANEL_ID } from './identity.ts';
import type { Services, Subscription } from './ohif/types.ts';

export interface Gated {
  /** Begins; without effect when it has begun. */
  enter(): void;
  /** Ends and undoes everything; without effect when it has not begun. */
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

  /** The panel's element came or went: it may be part of another panel, whose name the viewer's list has instead. */
  panelMounted(isMounted: boolean): void {
    this.#isPanelMounted = isMounted;
    if (isMounted && this.#panels) this.#session.enter();
  }

  /** The session at work, for a command that somebody runs; undefined between two modes. */
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
