/**
 * A normalised slide beside its original, or beside another result of it, in one viewport of OHIF. The viewport keeps its viewer, and with it the user's
 * annotations; a second viewer that shares its view is placed beside it or over it.
 */
import { createMapSurface } from '../microscopy/map-surface.ts';
import { mapOf, type SlideMap, whenComplete } from '../microscopy/open-layers.ts';
import { captionOverview } from '../microscopy/overview-caption.ts';
import {
  openSecondViewer,
  type SecondViewer,
  type SecondViewerOptions,
} from '../microscopy/second-viewer.ts';
import type { ManagedViewer, MicroscopyModule, WadoClient } from '../ohif/types.ts';
import { userErrorOf } from '../plugin-error.ts';
import type { Surface } from '../preview/surface.ts';
import type { TileProgress } from '../preview/tile-overlay.ts';
import type { PreviewMode, SlideSeries } from '../state.ts';
import { translate } from '../strings/translate.ts';
import { createDivider } from './divider.ts';
import {
  addPaneLabel,
  differenceLabel,
  failedDifferenceLabel,
  type LabelContent,
  normalizedLabel,
  originalLabel,
  type PaneLabel,
} from './pane-label.ts';

export interface ComparisonOptions {
  /** Viewer of the viewport; shows one of the two series. */
  readonly viewer: ManagedViewer;
  /** The original, or another result of it. */
  readonly against: SlideSeries;
  readonly normalized: SlideSeries;
  readonly module: MicroscopyModule;
  readonly client: WadoClient;
  /** By its identifier. */
  templateName(id: string): string;
  /** What is said of the normalised slide; default: what its header says. */
  readonly normalizedLabel?: LabelContent;
  readonly link: SecondViewerOptions['link'];
  /** Ends the opening. */
  readonly signal: AbortSignal;
  /** Draws the difference over a surface until the returned function is called. */
  showDifference(
    surface: Surface,
    legend: HTMLElement,
    on: { progress(progress: TileProgress): void; error(error: unknown): void },
  ): () => void;
}

export class Comparison {
  readonly viewer: ManagedViewer;
  readonly against: SlideSeries;
  readonly normalized: SlideSeries;
  readonly #options: ComparisonOptions;
  readonly #parent: HTMLElement;
  readonly #other: HTMLElement;
  readonly #second: SecondViewer;
  readonly #isFirstAgainst: boolean;
  #leaveMode: () => void = () => {};
  /** Shows the other one in place of the normalised slide, in the mode that can. */
  #swap: ((isAgainst: boolean) => void) | undefined;

  static async open(options: ComparisonOptions): Promise<Comparison> {
    const { viewer, against, normalized, module, client, link, signal } = options;
    const isFirstAgainst = viewer.seriesInstanceUID === against.seriesInstanceUid;
    const parent = viewer.container.parentElement!;
    parent.style.position = 'relative';
    const other = document.createElement('div');
    other.className = 'stain-second-viewer';
    // Until a mode shows it, the slide below is seen.
    other.style.cssText = 'position:absolute;inset:0;z-index:2;background:#000;visibility:hidden';
    parent.append(other);
    try {
      const series = isFirstAgainst ? normalized : against;
      const second = await openSecondViewer({
        module,
        client,
        series,
        container: other,
        first: viewer,
        link,
        signal,
      });
      return new Comparison(options, parent, other, second, isFirstAgainst);
    } catch (error) {
      other.remove();
      throw error;
    }
  }

  private constructor(
    options: ComparisonOptions,
    parent: HTMLElement,
    other: HTMLElement,
    second: SecondViewer,
    isFirstAgainst: boolean,
  ) {
    this.#options = options;
    this.viewer = options.viewer;
    this.against = options.against;
    this.normalized = options.normalized;
    this.#parent = parent;
    this.#other = other;
    this.#second = second;
    this.#isFirstAgainst = isFirstAgainst;
  }

  /** They share one view. */
  get maps(): { readonly against: SlideMap; readonly normalized: SlideMap } {
    const first = mapOf(this.viewer.viewer);
    return this.#isFirstAgainst
      ? { against: first, normalized: this.#second.map }
      : { against: this.#second.map, normalized: first };
  }

  /** Which of the two a viewer shows, by its element; undefined if it is neither. */
  sideOf(element: HTMLElement): Side | undefined {
    if (element !== this.#other && element !== this.viewer.container) return undefined;
    return (element === this.viewer.container) === this.#isFirstAgainst ? 'against' : 'normalized';
  }

  /** Applies the colour profile on the second side, or does not any more. */
  toggleSecondProfile(): void {
    this.#second.toggleProfile();
  }

  /** Resolves when all that is in sight of the second viewer is drawn. @throws the signal's reason */
  whenDrawn(signal: AbortSignal): Promise<void> {
    return whenComplete(this.#second.map, signal);
  }

  /** @param mode `alone`: what lies over the viewport's own slide is seen alone */
  setMode(mode: PreviewMode): void {
    this.#leaveMode();
    this.#other.style.visibility = 'visible';
    // Over one another, the tools of the viewer below work, and draw across a divider too.
    this.#other.style.pointerEvents = mode === 'side-by-side' ? '' : 'none';
    const cleanups: (() => void)[] = [];
    const enter = {
      'side-by-side': this.#sideBySide,
      swipe: this.#swipe,
      blink: this.#blink,
      difference: this.#difference,
      alone: this.#alone,
    };
    enter[mode].call(this, (cleanup) => cleanups.push(cleanup));
    this.#leaveMode = () => {
      for (const cleanup of cleanups) cleanup();
      this.#leaveMode = () => {};
    };
    this.#resize();
  }

  /** Shows what the normalised slide is compared with, where one of the two is seen at a time. */
  lookAtOther(isWanted: boolean): void {
    this.#swap?.(isWanted);
  }

  close(): void {
    this.#leaveMode();
    this.#second.close();
    this.#other.remove();
    // The viewport may have been removed before, with its viewer.
    if (this.viewer.container.isConnected) mapOf(this.viewer.viewer).updateSize();
  }

  /**
   * A part of the viewport with its label, which is clipped to the part, so that it never covers the other's pixels.
   */
  #pane(shown: Side, side: 'left' | 'right', cleanup: Cleanup): HTMLElement {
    const pane = document.createElement('div');
    pane.style.cssText = 'position:absolute;top:0;bottom:0;z-index:4;overflow:hidden;pointer-events:none';
    pane.style[side] = '0';
    pane.style.width = '50%';
    this.#parent.append(pane);
    addPaneLabel(pane, this.#labelOf(shown), side);
    cleanup(() => pane.remove());
    return pane;
  }

  #labelOf(shown: Side): LabelContent {
    const { normalizedLabel: given, normalized } = this.#options;
    if (shown === 'normalized' && given) return given;
    const { derived } = shown === 'normalized' ? normalized : this.against;
    return derived ? normalizedLabel(derived, this.#options.templateName) : originalLabel();
  }

  #sideBySide(cleanup: Cleanup): void {
    const { container } = this.viewer;
    const [left, right] = this.#isFirstAgainst ? [container, this.#other] : [this.#other, container];
    const before = [container.style.cssText, this.#other.style.cssText] as const;
    const half = 'position:absolute;top:0;height:100%;width:50%';
    left.style.cssText = `${half};left:0`;
    right.style.cssText = `${half};left:50%;box-shadow:-2px 0 #fff`;
    // One overview is enough for both.
    const overview = this.#other.querySelector<HTMLElement>('.ol-overviewmap');
    if (overview) overview.style.display = 'none';
    cleanup(() => {
      if (overview) overview.style.display = '';
      container.style.cssText = before[0];
      this.#other.style.cssText = before[1];
    });
    this.#pane('against', 'left', cleanup);
    const pane = this.#pane('normalized', 'right', cleanup);
    Object.assign((pane.firstElementChild as HTMLElement).style, { left: '10px', right: 'auto' });
  }

  #swipe(cleanup: Cleanup): void {
    const panes = [
      this.#pane('against', 'left', cleanup),
      this.#pane('normalized', 'right', cleanup),
    ] as const;
    const divider = createDivider(this.#parent, (position) => {
      // The normalised slide is on the right, whichever of the two is on top.
      this.#other.style.clipPath = this.#isFirstAgainst
        ? `inset(0 0 0 ${position * 100}%)`
        : `inset(0 ${(1 - position) * 100}% 0 0)`;
      panes[0].style.width = `${position * 100}%`;
      panes[1].style.width = `${(1 - position) * 100}%`;
    });
    cleanup(() => {
      divider.remove();
      this.#other.style.clipPath = '';
    });
  }

  #blink(cleanup: Cleanup): void {
    const label = this.#label(this.#labelOf('normalized'), cleanup);
    const show = (isAgainst: boolean): void => {
      this.#cover(!isAgainst);
      label.say(this.#labelOf(isAgainst ? 'against' : 'normalized'));
    };
    this.#swap = show;
    cleanup(() => {
      this.#swap = undefined;
      this.#other.style.visibility = '';
    });
    show(false);
  }

  #difference(cleanup: Cleanup): void {
    this.#other.style.visibility = 'hidden';
    const { container } = this.viewer;
    const ground = this.#labelOf(this.#isFirstAgainst ? 'against' : 'normalized');
    const below = ground.role === 'original' ? 'original' : 'normalized';
    const title = translate(this.against.derived ? 'viewport.differenceOfResults' : 'viewport.difference');
    const label = this.#label(differenceLabel({ done: 0, total: 0, isWhole: false }, below, title), cleanup);
    const surface = createMapSurface(mapOf(this.viewer.viewer), container);
    const legend = document.createElement('div');
    legend.className = 'stain-legend';
    // Above the scale, away from the overview.
    legend.style.cssText =
      'position:absolute;bottom:48px;right:8px;z-index:4;pointer-events:none;padding:8px 12px;border-radius:4px;' +
      'background:rgba(4,6,24,.85);color:#fff;font:13px/1.4 Inter,Arial,sans-serif';
    this.#parent.append(legend);
    const uncaption = captionOverview(container, ground.title);
    let hide: () => void = () => {};
    const end = (): void => {
      hide();
      surface.dispose();
      legend.remove();
      uncaption();
    };
    cleanup(() => {
      end();
      this.#other.style.visibility = '';
    });
    hide = this.#options.showDifference(surface, legend, {
      progress: (progress) => label.say(differenceLabel(progress, below, title)),
      error: (error) => {
        end();
        const { reason, message } = userErrorOf(error);
        label.say(failedDifferenceLabel(ground, reason ?? message));
      },
    });
  }

  /** Shows either of the two where both are in one place. */
  #cover(isNormalized: boolean): void {
    this.#other.style.visibility = isNormalized === this.#isFirstAgainst ? 'visible' : 'hidden';
  }

  #alone(cleanup: Cleanup): void {
    this.#swap = (isAgainst) => this.#cover(!isAgainst);
    cleanup(() => {
      this.#swap = undefined;
    });
  }

  #label(content: LabelContent, cleanup: Cleanup): PaneLabel {
    const label = addPaneLabel(this.#parent, content);
    cleanup(label.remove);
    return label;
  }

  #resize(): void {
    mapOf(this.viewer.viewer).updateSize();
    this.#second.resize();
  }
}

type Cleanup = (cleanup: () => void) => void;
export type Side = 'against' | 'normalized';
