/**
 * A normalised slide beside its original, or beside other results of it, in one viewport of OHIF. The viewport keeps its viewer,
 * and with it the user's annotations; others that share its view are placed beside it or over it.
 */
import { createMapSurface } from '../microscopy/map-surface.ts';
import { mapOf, type SlideMap, whenComplete } from '../microscopy/open-layers.ts';
import { captionOverview } from '../microscopy/overview-caption.ts';
import type { SecondViewerOptions } from '../microscopy/second-viewer.ts';
import type { ManagedViewer, MicroscopyModule, WadoClient } from '../ohif/types.ts';
import { userErrorOf } from '../plugin-error.ts';
import type { Surface } from '../preview/surface.ts';
import type { TileProgress } from '../preview/tile-overlay.ts';
import type { ComparisonMode, ComparisonStatus, PreviewMode, SlideSeries } from '../state.ts';
import { translate } from '../strings/translate.ts';
import { type Cover, openCover } from './cover.ts';
import { createDivider } from './divider.ts';
import {
  addPaneLabel,
  differenceLabel,
  failedDifferenceLabel,
  type LabelContent,
  normalizedLabel,
  originalLabel,
  type PaneLabel,
  resultLabel,
} from './pane-label.ts';

export interface ComparisonOptions {
  /** Viewer of the viewport; shows one of the two series. */
  readonly viewer: ManagedViewer;
  /** The original, or another result of it. */
  readonly against: SlideSeries;
  readonly normalized: SlideSeries;
  /** Further results, for `two-by-two`. */
  readonly others: readonly SlideSeries[];
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
  /** Of the one of the two that the viewport does not show, and of the others. */
  readonly #covers: readonly [Cover, ...Cover[]];
  readonly #isFirstAgainst: boolean;
  #leaveMode: () => void = () => {};
  /** Shows the other one in place of the normalised slide, in the mode that can. */
  #swap: ((isAgainst: boolean) => void) | undefined;

  static async open(options: ComparisonOptions): Promise<Comparison> {
    const { viewer, against, normalized, others } = options;
    const isFirstAgainst = viewer.seriesInstanceUID === against.seriesInstanceUid;
    const parent = viewer.container.parentElement!;
    parent.style.position = 'relative';
    const open = (series: SlideSeries): Promise<Cover> =>
      openCover(parent, { ...options, series, first: viewer });
    const covers: [Cover, ...Cover[]] = [await open(isFirstAgainst ? normalized : against)];
    try {
      // One after the other: nobody waits for four slides at once, neither here nor in the archive.
      for (const other of others) covers.push(await open(other));
    } catch (error) {
      for (const cover of covers) cover.close();
      throw error;
    }
    return new Comparison(options, parent, covers, isFirstAgainst);
  }

  private constructor(
    options: ComparisonOptions,
    parent: HTMLElement,
    covers: readonly [Cover, ...Cover[]],
    isFirstAgainst: boolean,
  ) {
    this.#options = options;
    this.viewer = options.viewer;
    this.against = options.against;
    this.normalized = options.normalized;
    this.#parent = parent;
    this.#covers = covers;
    this.#isFirstAgainst = isFirstAgainst;
  }

  /** They share one view. */
  get maps(): { readonly against: SlideMap; readonly normalized: SlideMap } {
    const [first, { map: second }] = [mapOf(this.viewer.viewer), this.#covers[0].viewer];
    return this.#isFirstAgainst
      ? { against: first, normalized: second }
      : { against: second, normalized: first };
  }

  /** Whether it has the viewers for what is wanted now. */
  isOf(wanted: Pick<ComparisonStatus, 'against' | 'normalized' | 'others'>): boolean {
    const uidsOf = ({ against, normalized, others }: typeof wanted): string =>
      [against, normalized, ...others].map(({ seriesInstanceUid }) => seriesInstanceUid).join();
    return uidsOf(wanted) === uidsOf(this.#options);
  }

  /** What a viewer shows, by its element; undefined if it is none of these. */
  sideOf(element: HTMLElement): Side | undefined {
    return this.#sides().find((side) => side.element === element)?.shown;
  }

  /** In the order in which they are read. */
  #sides(): readonly { readonly shown: Side; readonly element: HTMLElement }[] {
    const { container } = this.viewer;
    const [cover, ...others] = this.#covers;
    const [against, normalized] = this.#isFirstAgainst
      ? [container, cover.element]
      : [cover.element, container];
    return [
      { shown: 'against', element: against },
      { shown: 'normalized', element: normalized },
      ...others.map(({ series, element }) => ({ shown: series, element })),
    ];
  }

  /** Of the one of the two that lies over the viewport's own slide. */
  get #cover(): HTMLElement {
    return this.#covers[0].element;
  }

  /** Applies the colour profiles on all sides but the viewport's own, or does not any more. */
  toggleOtherProfiles(): void {
    for (const { viewer } of this.#covers) viewer.toggleProfile();
  }

  /** Resolves when all that is in sight of the one over the viewport is drawn. @throws the signal's reason */
  whenDrawn(signal: AbortSignal): Promise<void> {
    return whenComplete(this.#covers[0].viewer.map, signal);
  }

  /** @param mode `alone`: what lies over the viewport's own slide is seen alone */
  setMode(mode: ComparisonMode | PreviewMode): void {
    this.#leaveMode();
    this.#cover.style.visibility = 'visible';
    const areApart = mode === 'side-by-side' || mode === 'two-by-two';
    // Over one another, the tools of the viewer below work, and draw across a divider too.
    this.#cover.style.pointerEvents = areApart ? '' : 'none';
    const cleanups: (() => void)[] = [];
    const enter = {
      'side-by-side': this.#sideBySide,
      'two-by-two': this.#twoByTwo,
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
    for (const cover of this.#covers) cover.close();
    // The viewport may have been removed before, with its viewer.
    if (this.viewer.container.isConnected) mapOf(this.viewer.viewer).updateSize();
  }

  /**
   * A part of the viewport with its label, which is clipped to the part, so that it never covers the other's pixels.
   */
  #pane(shown: Side, area: string, cleanup: Cleanup, labelAt: 'left' | 'right' = 'left'): HTMLElement {
    const pane = document.createElement('div');
    pane.style.cssText = `position:absolute;z-index:4;overflow:hidden;pointer-events:none;box-sizing:border-box;${area}`;
    this.#parent.append(pane);
    addPaneLabel(pane, this.#labelOf(shown), labelAt);
    cleanup(() => pane.remove());
    return pane;
  }

  #labelOf(shown: Side): LabelContent {
    const { normalizedLabel: given, templateName, others } = this.#options;
    if (shown === 'normalized' && given) return given;
    const slide = typeof shown === 'object' ? shown : this[shown];
    if (!slide.derived) return originalLabel();
    const areSeveral = this.against.derived !== null || others.length > 0;
    return areSeveral ? resultLabel(slide, templateName) : normalizedLabel(slide.derived, templateName);
  }

  #sideBySide(cleanup: Cleanup): void {
    for (const [column, { shown, element }] of this.#sides().slice(0, 2).entries())
      this.#setApart(shown, element, { left: column * 50, top: 0, height: 100 }, cleanup);
  }

  #twoByTwo(cleanup: Cleanup): void {
    for (const [at, { shown, element }] of this.#sides().entries()) {
      const area = { left: (at % 2) * 50, top: Math.floor(at / 2) * 50, height: 50 };
      this.#setApart(shown, element, area, cleanup);
    }
  }

  /** Gives a slide a part of the viewport, of half its width. @param area in percent */
  #setApart(shown: Side, element: HTMLElement, area: Area, cleanup: Cleanup): void {
    const { left, top, height } = area;
    const place = `left:${left}%;top:${top}%;width:50%;height:${height}%`;
    const before = element.style.cssText;
    element.style.cssText = `position:absolute;${place}`;
    // One overview is enough for all.
    const overview =
      element === this.viewer.container ? null : element.querySelector<HTMLElement>('.ol-overviewmap');
    if (overview) overview.style.display = 'none';
    cleanup(() => {
      if (overview) overview.style.display = '';
      element.style.cssText = before;
    });
    const line = '2px solid #fff';
    const lines = `${left > 0 ? `;border-left:${line}` : ''}${top > 0 ? `;border-top:${line}` : ''}`;
    this.#pane(shown, place + lines, cleanup);
  }

  #swipe(cleanup: Cleanup): void {
    const half = 'top:0;bottom:0;width:50%';
    const panes = [
      this.#pane('against', `${half};left:0`, cleanup),
      this.#pane('normalized', `${half};right:0`, cleanup, 'right'),
    ] as const;
    const divider = createDivider(this.#parent, (position) => {
      // The normalised slide is on the right, whichever of the two is on top.
      this.#cover.style.clipPath = this.#isFirstAgainst
        ? `inset(0 0 0 ${position * 100}%)`
        : `inset(0 ${(1 - position) * 100}% 0 0)`;
      panes[0].style.width = `${position * 100}%`;
      panes[1].style.width = `${(1 - position) * 100}%`;
    });
    cleanup(() => {
      divider.remove();
      this.#cover.style.clipPath = '';
    });
  }

  #blink(cleanup: Cleanup): void {
    const label = this.#label(this.#labelOf('normalized'), cleanup);
    const show = (isAgainst: boolean): void => {
      this.#showInPlace(!isAgainst);
      label.say(this.#labelOf(isAgainst ? 'against' : 'normalized'));
    };
    this.#swap = show;
    cleanup(() => {
      this.#swap = undefined;
      this.#cover.style.visibility = '';
    });
    show(false);
  }

  #difference(cleanup: Cleanup): void {
    this.#cover.style.visibility = 'hidden';
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
      this.#cover.style.visibility = '';
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
  #showInPlace(isNormalized: boolean): void {
    this.#cover.style.visibility = isNormalized === this.#isFirstAgainst ? 'visible' : 'hidden';
  }

  #alone(cleanup: Cleanup): void {
    this.#swap = (isAgainst) => this.#showInPlace(!isAgainst);
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
    for (const { viewer } of this.#covers) viewer.resize();
  }
}

type Cleanup = (cleanup: () => void) => void;
type Area = Readonly<Record<'left' | 'top' | 'height', number>>;
/** Or one of the others. */
export type Side = 'against' | 'normalized' | SlideSeries;
