/**
 * Original and normalised slide in one viewport of OHIF. The viewport keeps its viewer, and with it the user's
 * annotations; a second viewer that shares its view is put beside it or over it.
 */
import { createMapSurface } from '../microscopy/map-surface.ts';
import { mapOf, type SlideMap } from '../microscopy/open-layers.ts';
import { captionOverview } from '../microscopy/overview-caption.ts';
import { openSecondViewer, type SecondViewer } from '../microscopy/second-viewer.ts';
import type { ManagedViewer, MicroscopyModule, WadoClient } from '../ohif/types.ts';
import { userErrorOf } from '../plugin-error.ts';
import type { Surface } from '../preview/surface.ts';
import type { TileProgress } from '../preview/tile-overlay.ts';
import type { ComparisonMode, SlideSeries } from '../state.ts';
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

/** Held down to see the original. */
export const BLINK_KEY = 'b';

export interface ComparisonOptions {
  /** Viewer of the viewport; shows one of the two series. */
  readonly viewer: ManagedViewer;
  readonly original: SlideSeries;
  readonly normalized: SlideSeries;
  readonly module: MicroscopyModule;
  readonly client: WadoClient;
  /** Draws the difference over a surface until the answered function is called. */
  showDifference(
    surface: Surface,
    legend: HTMLElement,
    on: { progress(progress: TileProgress): void; error(error: unknown): void },
  ): () => void;
}

export class Comparison {
  readonly viewer: ManagedViewer;
  readonly original: SlideSeries;
  readonly normalized: SlideSeries;
  readonly #options: ComparisonOptions;
  readonly #parent: HTMLElement;
  readonly #other: HTMLElement;
  readonly #second: SecondViewer;
  readonly #isFirstOriginal: boolean;
  #leaveMode: () => void = () => {};

  static async open(options: ComparisonOptions): Promise<Comparison> {
    const { viewer, original, normalized, module, client } = options;
    const isFirstOriginal = viewer.seriesInstanceUID === original.seriesInstanceUid;
    const parent = viewer.container.parentElement!;
    parent.style.position = 'relative';
    const other = document.createElement('div');
    other.className = 'stain-second-viewer';
    other.style.cssText = 'position:absolute;inset:0;z-index:2;background:#000';
    parent.append(other);
    try {
      const first = mapOf(viewer.viewer);
      const series = isFirstOriginal ? normalized : original;
      const second = await openSecondViewer({ module, client, series, container: other, first });
      return new Comparison(options, parent, other, second, isFirstOriginal);
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
    isFirstOriginal: boolean,
  ) {
    this.#options = options;
    this.viewer = options.viewer;
    this.original = options.original;
    this.normalized = options.normalized;
    this.#parent = parent;
    this.#other = other;
    this.#second = second;
    this.#isFirstOriginal = isFirstOriginal;
  }

  /** Maps of original and normalised slide; they share one view. */
  get maps(): { readonly original: SlideMap; readonly normalized: SlideMap } {
    const first = mapOf(this.viewer.viewer);
    return this.#isFirstOriginal
      ? { original: first, normalized: this.#second.map }
      : { original: this.#second.map, normalized: first };
  }

  setMode(mode: ComparisonMode): void {
    this.#leaveMode();
    const cleanups: (() => void)[] = [];
    const enter = {
      'side-by-side': this.#sideBySide,
      swipe: this.#swipe,
      blink: this.#blink,
      difference: this.#difference,
    };
    enter[mode].call(this, (cleanup) => cleanups.push(cleanup));
    this.#leaveMode = () => {
      for (const cleanup of cleanups) cleanup();
      this.#leaveMode = () => {};
    };
    this.#resize();
  }

  close(): void {
    this.#leaveMode();
    this.#second.close();
    this.#other.remove();
    // The viewport may have gone before, with the viewer in it.
    if (this.viewer.container.isConnected) mapOf(this.viewer.viewer).updateSize();
  }

  /** A part of the viewport with its label, which the part's edges cut off: it never lies over the other's pixels. */
  #pane(series: SlideSeries, side: 'left' | 'right', cleanup: Cleanup): HTMLElement {
    const pane = document.createElement('div');
    pane.style.cssText = 'position:absolute;top:0;bottom:0;z-index:4;overflow:hidden;pointer-events:none';
    pane.style[side] = '0';
    pane.style.width = '50%';
    this.#parent.append(pane);
    addPaneLabel(pane, this.#labelOf(series), side);
    cleanup(() => pane.remove());
    return pane;
  }

  #labelOf(series: SlideSeries): LabelContent {
    return series.derived ? normalizedLabel(series.derived) : originalLabel();
  }

  get #first(): SlideSeries {
    return this.#isFirstOriginal ? this.original : this.normalized;
  }

  #sideBySide(cleanup: Cleanup): void {
    const { container } = this.viewer;
    const [left, right] = this.#isFirstOriginal ? [container, this.#other] : [this.#other, container];
    const before = [container.style.cssText, this.#other.style.cssText] as const;
    const half = 'position:absolute;top:0;height:100%;width:50%';
    left.style.cssText = `${half};left:0`;
    right.style.cssText = `${half};left:50%;box-shadow:-2px 0 #fff`;
    cleanup(() => {
      container.style.cssText = before[0];
      this.#other.style.cssText = before[1];
    });
    this.#pane(this.original, 'left', cleanup);
    const pane = this.#pane(this.normalized, 'right', cleanup);
    Object.assign((pane.firstElementChild as HTMLElement).style, { left: '10px', right: 'auto' });
  }

  #swipe(cleanup: Cleanup): void {
    const panes = [
      this.#pane(this.original, 'left', cleanup),
      this.#pane(this.normalized, 'right', cleanup),
    ] as const;
    const divider = createDivider(this.#parent, (position) => {
      // The original is on the left, whichever of the two lies on top.
      this.#other.style.clipPath = this.#isFirstOriginal
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
    const label = this.#label(this.#labelOf(this.normalized), cleanup);
    const show = (isOriginal: boolean): void => {
      this.#other.style.visibility = isOriginal === this.#isFirstOriginal ? 'hidden' : 'visible';
      label.say(this.#labelOf(isOriginal ? this.original : this.normalized));
    };
    const key = (event: KeyboardEvent): void => {
      if (event.key.toLowerCase() !== BLINK_KEY || isTyping(event)) return;
      event.preventDefault();
      event.stopPropagation();
      if (!event.repeat) show(event.type === 'keydown');
    };
    const release = (): void => show(false);
    window.addEventListener('keydown', key, true);
    window.addEventListener('keyup', key, true);
    window.addEventListener('blur', release);
    cleanup(() => {
      window.removeEventListener('keydown', key, true);
      window.removeEventListener('keyup', key, true);
      window.removeEventListener('blur', release);
      this.#other.style.visibility = '';
    });
    show(false);
  }

  #difference(cleanup: Cleanup): void {
    this.#other.style.visibility = 'hidden';
    const { container } = this.viewer;
    const below = this.#isFirstOriginal ? 'original' : 'normalized';
    const ground = this.#labelOf(this.#first);
    const label = this.#label(differenceLabel({ done: 0, total: 0, isWhole: false }, below), cleanup);
    const surface = createMapSurface(mapOf(this.viewer.viewer), container);
    const legend = document.createElement('div');
    legend.className = 'stain-legend';
    legend.style.cssText =
      'position:absolute;bottom:12px;left:12px;z-index:4;pointer-events:none;padding:8px 12px;border-radius:4px;' +
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
      progress: (progress) => label.say(differenceLabel(progress, below)),
      error: (error) => {
        end();
        const { reason, message } = userErrorOf(error);
        label.say(failedDifferenceLabel(ground, reason ?? message));
      },
    });
  }

  #label(content: LabelContent, cleanup: Cleanup): PaneLabel {
    const label = addPaneLabel(this.#parent, content);
    cleanup(label.remove);
    return label;
  }

  #resize(): void {
    mapOf(this.viewer.viewer).updateSize();
    this.#second.map.updateSize();
  }
}

type Cleanup = (cleanup: () => void) => void;

function isTyping({ target }: KeyboardEvent): boolean {
  return target instanceof HTMLElement && target.matches('input, textarea, select, [contenteditable]');
}
