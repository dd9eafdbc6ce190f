/** The preview: over the slide for `paper`, in a viewer of its own for `linear`. */
import type { Stain } from '../../../core/src/contract/index.ts';
import { Comparison, type ComparisonOptions } from '../comparison/comparison.ts';
import { previewedLabel } from '../comparison/pane-label.ts';
import type { ManagedViewer } from '../ohif/types.ts';
import { PluginError, userErrorOf } from '../plugin-error.ts';
import type {
  LivePreview,
  MappedSlide,
  PreviewFactory,
  PreviewOptions,
  SeriesPixels,
  TargetStain,
} from '../preview-factory.ts';
import type { PreviewMode, PreviewStatus, SlideSeries } from '../state.ts';
import type { SessionContext } from './context.ts';

/** How long a preview may show nothing: the network alone is 25 MB, and some lines are slow. */
const PREVIEW_SECONDS = 120;

/** What is known of a preview when it is asked for. */
const BEGUN: Omit<PreviewStatus, 'template' | 'templateName'> = {
  state: 'starting',
  tilesDone: 0,
  tilesTotal: 0,
  isWhole: false,
  firstTileMs: null,
  executionProvider: null,
  statistics: null,
  mode: null,
  isChanging: false,
};

interface AskedPreview {
  readonly abort: AbortController;
  /** What it covers. */
  viewer?: ManagedViewer;
  live?: LivePreview;
}

/** A preview in a viewer of its own. */
interface ShownPreview {
  readonly comparison: Comparison;
  close(): void;
}

/** What is previewed, and what a preview takes from the rest of the session. */
export interface PreviewedSlide {
  /** @throws ALREADY_NORMALIZED */
  source(): SlideSeries | null;
  template(): TargetStain | undefined;
  templateName(id: string): string;
  stain(source: SlideSeries, signal: AbortSignal): Promise<Stain>;
  difference(original: SeriesPixels, normalized: MappedSlide): ComparisonOptions['showDifference'];
  /** A preview and a comparison of two series are not seen at once. */
  closeComparison(): void;
  readonly link: ComparisonOptions['link'];
}

export class Previewing {
  readonly #context: SessionContext;
  readonly #previews: PreviewFactory;
  readonly #slide: PreviewedSlide;
  /** The preview that was asked for last. What it covers and says belongs to it alone. */
  #asked: AskedPreview | undefined;
  /** What it shows, or what the one before shows until this one is drawn. */
  #shown: ShownPreview | undefined;

  constructor(context: SessionContext, previews: PreviewFactory, slide: PreviewedSlide) {
    this.#context = context;
    this.#previews = previews;
    this.#slide = slide;
  }

  /** Of original and preview, where that is in a viewer of its own. */
  get comparison(): Comparison | undefined {
    return this.#shown?.comparison;
  }

  /** The viewer that it covers. */
  get viewer(): ManagedViewer | undefined {
    return this.#asked?.viewer;
  }

  setVisible(isVisible: boolean): void {
    this.#asked?.live?.setVisible(isVisible);
  }

  /** @param firstMode of one that is compared, unless another is seen already */
  start(firstMode: PreviewMode = 'alone'): void {
    const pressed = performance.now();
    void this.#context.act(async (modeSignal) => {
      const source = this.#slide.source();
      const template = this.#slide.template();
      if (!source || !template) return;
      const { transfer } = this.#context.state;
      const begun = { ...BEGUN, template: template.id, templateName: template.name };
      /** Of one that is not seen yet, because the one before is. */
      let early: PreviewStatus | undefined;
      if (transfer === 'linear' && this.#shown) {
        this.#asked?.abort.abort();
        early = begun;
      } else {
        this.stop();
        this.#slide.closeComparison();
      }
      const abort = new AbortController();
      const preview: AskedPreview = { abort, ...(this.#shown && { viewer: this.#shown.comparison.viewer }) };
      this.#asked = preview;
      const signal = AbortSignal.any([modeSignal, abort.signal]);
      this.#context.change({
        preview: early ? { ...this.#context.state.preview!, isChanging: true } : begun,
      });
      const fail = (error: unknown): void => {
        if (signal.aborted) return;
        this.stop();
        this.#context.change({ previewError: userErrorOf(error) });
      };
      const late = setTimeout(() => fail(new PluginError('PREVIEW_LATE')), PREVIEW_SECONDS * 1000);
      signal.addEventListener('abort', () => clearTimeout(late), { once: true });
      try {
        const viewer = await this.#context.host.viewerOf(source, signal);
        preview.viewer = viewer;
        const wanted: PreviewOptions = {
          series: source,
          instances: this.#context.host.instances(source),
          template,
          stain: () => this.#slide.stain(source, signal),
          pressed,
          signal,
          onStatus: (status) => {
            // A viewer of its own is not seen before all of the view is there.
            if (status.firstTileMs != null && transfer === 'paper') clearTimeout(late);
            if (early) early = { ...early, ...status };
            else if (!signal.aborted && this.#context.state.preview)
              this.#context.change({ preview: { ...this.#context.state.preview, ...status } });
          },
          onError: fail,
        };
        if (transfer === 'linear') {
          const shown = await this.#openMapped(viewer, wanted);
          if (signal.aborted) return shown.close();
          clearTimeout(late);
          const seen = this.#context.state.preview!;
          this.#shown?.close();
          this.#shown = shown;
          const mode = seen.mode ?? firstMode;
          shown.comparison.setMode(mode);
          if (this.#context.state.isOriginalHeld) shown.comparison.lookAtOther(true);
          this.#context.change({ preview: { ...(early ?? seen), state: 'on', isWhole: true, mode } });
          early = undefined;
          return;
        }
        const live = await this.#previews.start({ ...wanted, viewer });
        if (signal.aborted) return live.close();
        preview.live = live;
        if (this.#context.state.isOriginalHeld) live.setVisible(false);
      } catch (error) {
        fail(error);
      }
    });
  }

  /** A viewer of the normalised slide over the viewport's own, when it has drawn what is in sight. */
  async #openMapped(viewer: ManagedViewer, wanted: PreviewOptions): Promise<ShownPreview> {
    const { host } = this.#context;
    const { series, instances, template, signal } = wanted;
    // Its frames go on while the next preview is on its way.
    const frames = new AbortController();
    const leave = (): void => frames.abort(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    let comparison: Comparison | undefined;
    const close = (): void => {
      frames.abort();
      comparison?.close();
    };
    try {
      const mapped = await this.#previews.mapSlide({ ...wanted, signal: frames.signal });
      comparison = await Comparison.open({
        viewer,
        against: series,
        normalized: series,
        others: [],
        module: await host.microscopyModule(),
        client: mapped.client,
        link: this.#slide.link,
        normalizedLabel: previewedLabel(template.name),
        templateName: this.#slide.templateName,
        signal: frames.signal,
        showDifference: this.#slide.difference({ series, instances }, mapped),
      });
      await comparison.whenDrawn(frames.signal);
      return { comparison, close };
    } catch (error) {
      close();
      throw error;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  setMode(mode: PreviewMode): void {
    const { preview } = this.#context.state;
    if (!preview || !this.#shown) return;
    this.#shown.comparison.setMode(mode);
    this.#context.change({ preview: { ...preview, mode } });
  }

  stop(): void {
    this.#asked?.abort.abort();
    this.#asked?.live?.close();
    this.#asked = undefined;
    this.#shown?.close();
    this.#shown = undefined;
    if (this.#context.state.preview) this.#context.change({ preview: null });
  }
}
