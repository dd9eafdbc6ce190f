/** The plugin at work: holds its state, does what the panel and the commands ask for. */
import { DEFAULT_MODEL } from '../../server/src/contract/default-model.ts';
import type { Job, Stain } from '../../server/src/contract/index.ts';
import { DEFAULT_TRANSFER, type TransferName } from '../../server/src/stain/transfer-name.ts';
import { Comparison } from './comparison/comparison.ts';
import {
  failedPreviewLabel,
  type LabelContent,
  normalizedLabel,
  originalLabel,
  previewLabel,
} from './comparison/pane-label.ts';
import { ViewportLabels } from './comparison/viewport-labels.ts';
import { chooseRegion, type Region } from './microscopy/choose-region.ts';
import { createMapSurface } from './microscopy/map-surface.ts';
import { mapOf } from './microscopy/open-layers.ts';
import type { Gated } from './mode-gate.ts';
import type { ManagedViewer } from './ohif/types.ts';
import type { ViewerHost } from './ohif/viewer-host.ts';
import { PluginError, userErrorOf } from './plugin-error.ts';
import type { LivePreview, PreviewFactory, TargetStain } from './preview-factory.ts';
import { followJob, isFinal } from './service/follow-job.ts';
import type { ServiceClient } from './service/service-client.ts';
import type {
  ComparisonMode,
  Loadable,
  OutputChoice,
  PluginModel,
  PluginState,
  SlideSeries,
} from './state.ts';
import { translate } from './strings/translate.ts';

const START: PluginState = {
  series: null,
  source: null,
  service: { state: 'idle' },
  stain: { state: 'idle' },
  templates: { state: 'idle' },
  template: null,
  transfer: DEFAULT_TRANSFER,
  output: { encoding: 'jpeg', quality: 90 },
  preview: null,
  previewError: null,
  job: null,
  error: null,
  results: [],
  comparison: null,
  makingTemplate: null,
  removingTemplate: null,
  live: true,
};

export interface SessionOptions {
  readonly host: ViewerHost;
  readonly client: ServiceClient;
  readonly previews: PreviewFactory;
}

interface AskedPreview {
  readonly abort: AbortController;
  /** What it covers. */
  viewer?: ManagedViewer;
  live?: LivePreview;
}

export class Session implements PluginModel, Gated {
  readonly #options: SessionOptions;
  readonly #labels = new ViewportLabels();
  readonly #listeners = new Set<() => void>();
  #state = START;
  /** Ends with the mode of the viewer. */
  #mode = new AbortController();
  #isEntered = false;
  /** Work for the slide that is shown; ends when another one is. */
  #slide = new AbortController();
  /** The preview that was asked for last. What it covers and says belongs to it alone. */
  #preview: AskedPreview | undefined;
  #comparison: Comparison | undefined;
  /** A comparison on its way; ends when something else is asked for. */
  #comparing = new AbortController();
  #choice: { readonly abort: AbortController; readonly region?: Region } | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  get state(): PluginState {
    return this.#state;
  }

  /** The comparison that is open, for commands and tests. */
  get comparison(): Comparison | undefined {
    return this.#comparison;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  enter(): void {
    if (this.#isEntered) return;
    this.#isEntered = true;
    this.#mode = new AbortController();
    const { signal } = this.#mode;
    const { host } = this.#options;
    /** A derived series to compare as soon as it is there. */
    let wanted = new URLSearchParams(location.search).get('compare');
    // The viewer calls this from where it enters modes and changes layouts: a fault of ours must not stop it.
    const update = (): void =>
      void this.#try(async () => {
        this.#look();
        const found = host.allSeries().find(({ seriesInstanceUid }) => seriesInstanceUid === wanted);
        // Series are known before there is a viewport to show one in.
        if (!found || !host.activeSeries()) return;
        wanted = null;
        this.compare('side-by-side', found.seriesInstanceUid);
      });
    signal.addEventListener('abort', host.onChange(update), { once: true });
    this.#loadService();
    update();
  }

  leave(): void {
    if (!this.#isEntered) return;
    this.#isEntered = false;
    this.#mode.abort();
    this.#slide.abort();
    this.abandonTemplate();
    this.stopPreview();
    this.#closeComparison();
    this.#options.previews.close();
    const { template, transfer, output } = this.#state;
    this.#change({ ...START, template, transfer, output });
  }

  openPanel(): void {
    this.#options.host.openPanel();
  }

  chooseTemplate(id: string): void {
    this.#change({ template: id });
    if (this.#state.preview) this.preview();
  }

  chooseTransfer(transfer: TransferName): void {
    this.#change({ transfer });
    if (this.#state.preview) this.preview();
  }

  chooseOutput(output: OutputChoice): void {
    this.#change({ output });
  }

  retry(): void {
    this.dismissError();
    this.#loadService();
    this.#openSource(this.#state.source);
  }

  dismissError(): void {
    this.#change({ error: null, previewError: null });
  }

  preview(): void {
    const pressed = performance.now();
    void this.#try(async (modeSignal) => {
      const source = this.#sourceToNormalize();
      const template = this.#selectedTemplate();
      if (!source || !template) return;
      this.stopPreview();
      this.#closeComparison();
      const abort = new AbortController();
      const preview: AskedPreview = { abort };
      this.#preview = preview;
      const signal = AbortSignal.any([modeSignal, abort.signal]);
      this.#change({
        previewError: null,
        preview: {
          state: 'starting',
          template: template.id,
          templateName: template.name,
          tilesDone: 0,
          tilesTotal: 0,
          isWhole: false,
          firstTileMs: null,
          executionProvider: null,
          statistics: null,
        },
      });
      const fail = (error: unknown): void => {
        if (signal.aborted) return;
        this.stopPreview();
        this.#change({ previewError: userErrorOf(error) });
      };
      try {
        const viewer = await this.#options.host.viewerOf(source, signal);
        preview.viewer = viewer;
        const live = await this.#options.previews.start({
          series: source,
          instances: this.#options.host.instances(source),
          viewer,
          template,
          transfer: this.#state.transfer,
          stain: () => this.#stainOf(source, signal),
          pressed,
          signal,
          onStatus: (status) => {
            if (!signal.aborted && this.#state.preview)
              this.#change({ preview: { ...this.#state.preview, ...status } });
          },
          onError: fail,
        });
        if (signal.aborted) live.close();
        else preview.live = live;
      } catch (error) {
        fail(error);
      }
    });
  }

  stopPreview(): void {
    this.#preview?.abort.abort();
    this.#preview?.live?.close();
    this.#preview = undefined;
    if (this.#state.preview) this.#change({ preview: null });
  }

  normalize(): void {
    void this.#try(async (signal) => {
      const { template, transfer, output } = this.#state;
      const source = this.#sourceToNormalize();
      if (!source || !template) return;
      const job = await this.#options.client.normalize(
        {
          studyInstanceUid: source.studyInstanceUid,
          seriesInstanceUid: source.seriesInstanceUid,
          template,
          model: DEFAULT_MODEL,
          transfer,
          ...output,
        },
        signal,
      );
      this.#change({ job });
      this.#follow(job, source);
    });
  }

  cancel(): void {
    void this.#try(async (signal) => {
      const { job } = this.#state;
      if (job && !isFinal(job)) this.#change({ job: await this.#options.client.cancel(job.id, signal) });
    });
  }

  compare(mode: ComparisonMode, normalizedSeriesInstanceUid?: string): void {
    void this.#try(async (modeSignal) => {
      const { host } = this.#options;
      const wanted =
        normalizedSeriesInstanceUid ??
        this.#comparison?.normalized.seriesInstanceUid ??
        (this.#state.series?.derived ? this.#state.series : this.#state.results[0])?.seriesInstanceUid;
      const all = host.allSeries();
      const normalized = all.find(({ seriesInstanceUid }) => seriesInstanceUid === wanted);
      const original = all.find(
        ({ seriesInstanceUid }) => seriesInstanceUid === normalized?.derived?.sourceSeriesInstanceUid,
      );
      if (!normalized || !original) return;
      this.stopPreview();
      if (this.#comparison?.normalized.seriesInstanceUid !== wanted) {
        this.#closeComparison();
        const signal = AbortSignal.any([modeSignal, this.#comparing.signal]);
        try {
          const opened = await this.#openComparison(original, normalized, signal);
          if (signal.aborted) return opened.close();
          this.#comparison = opened;
        } catch (error) {
          if (signal.aborted) return;
          throw error;
        }
      }
      this.#comparison!.setMode(mode);
      this.#change({ comparison: { mode, original, normalized } });
    });
  }

  async #openComparison(
    original: SlideSeries,
    normalized: SlideSeries,
    signal: AbortSignal,
  ): Promise<Comparison> {
    const { host, previews, client } = this.#options;
    const shown = host.activeSeries()?.seriesInstanceUid;
    if (shown !== normalized.seriesInstanceUid && shown !== original.seriesInstanceUid) host.show(original);
    const first = shown === normalized.seriesInstanceUid ? normalized : original;
    const viewer = await host.viewerOf(first, signal);
    return Comparison.open({
      viewer,
      original,
      normalized,
      module: await host.microscopyModule(),
      client: host.wadoClient(),
      showDifference: (surface, legend, on) =>
        previews.showDifference(surface, legend, {
          original: { series: original, instances: host.instances(original) },
          normalized: { series: normalized, instances: host.instances(normalized) },
          // Nothing is normalised: the result is there, whatever the stain.
          stain: () => client.stain(original, DEFAULT_MODEL, this.#mode.signal, true),
          onProgress: on.progress,
          onError: (error) => {
            on.error(error);
            this.#change({ error: userErrorOf(error) });
          },
        }),
    });
  }

  showOriginal(): void {
    this.stopPreview();
    this.#closeComparison();
    if (this.#state.source && this.#state.series?.seriesInstanceUid !== this.#state.source.seriesInstanceUid)
      this.#options.host.show(this.#state.source);
  }

  templateFromSeries(): void {
    this.abandonTemplate();
    this.#choice = { abort: new AbortController() };
    this.#change({ makingTemplate: 'naming' });
  }

  templateFromRegion(): void {
    this.abandonTemplate();
    void this.#try(async (signal) => {
      const { series } = this.#state;
      if (!series) return;
      const abort = new AbortController();
      this.#choice = { abort };
      this.#change({ makingTemplate: 'choosing-region' });
      const both = AbortSignal.any([abort.signal, signal]);
      const viewer = await this.#options.host.viewerOf(series, both);
      const surface = createMapSurface(mapOf(viewer.viewer), viewer.container);
      try {
        const region = await chooseRegion(surface, series, both);
        this.#choice = { abort, region };
        this.#change({ makingTemplate: 'naming' });
      } catch (error) {
        if (!both.aborted) throw error;
      } finally {
        surface.dispose();
      }
    });
  }

  createTemplate(name: string): void {
    void this.#try(async (signal) => {
      const { series } = this.#state;
      if (!series || !this.#choice) return;
      const { region } = this.#choice;
      this.#change({ makingTemplate: 'computing' });
      try {
        const made = await this.#options.client.createTemplate(
          {
            name,
            studyInstanceUid: series.studyInstanceUid,
            seriesInstanceUid: series.seriesInstanceUid,
            model: DEFAULT_MODEL,
            ...(region ? { region } : {}),
          },
          signal,
        );
        await this.#loadTemplates(signal);
        this.chooseTemplate(made.id);
      } finally {
        this.#choice = undefined;
        this.#change({ makingTemplate: null });
      }
    });
  }

  abandonTemplate(): void {
    this.#choice?.abort.abort();
    this.#choice = undefined;
    this.#change({ makingTemplate: null });
  }

  askToRemoveTemplate(id: string): void {
    void this.#try(async (signal) => {
      const { name, unfinishedJobs = 0 } = await this.#options.client.template(id, signal);
      this.#change({ removingTemplate: { id, name, unfinishedJobs } });
    });
  }

  removeTemplate(): void {
    void this.#try(async (signal) => {
      const { removingTemplate } = this.#state;
      if (!removingTemplate) return;
      this.#change({ removingTemplate: null });
      const { id } = removingTemplate;
      await this.#options.client.removeTemplate(id, signal);
      if (this.#state.template === id) this.#change({ template: null });
      await this.#loadTemplates(signal);
    });
  }

  keepTemplate(): void {
    this.#change({ removingTemplate: null });
  }

  /** Takes note of what the viewer shows now. */
  #look(): void {
    const { host } = this.#options;
    const series = host.activeSeries();
    const all = host.allSeries();
    // While a study is being loaded, the source of a derived series may not be there yet.
    const source =
      series?.derived == null
        ? series
        : (all.find(
            ({ seriesInstanceUid }) => seriesInstanceUid === series.derived?.sourceSeriesInstanceUid,
          ) ?? null);
    const results =
      source === null
        ? []
        : all
            .filter(({ derived }) => derived?.sourceSeriesInstanceUid === source.seriesInstanceUid)
            .reverse();
    const viewers = host.viewers();
    if (this.#comparison && !viewers.includes(this.#comparison.viewer)) this.#closeComparison();
    // A preview goes with the viewport that it was drawn over.
    const previewed = this.#preview?.viewer;
    if (previewed && !viewers.includes(previewed)) this.stopPreview();
    if (source?.seriesInstanceUid !== this.#state.source?.seriesInstanceUid) {
      this.stopPreview();
      this.#change({ source });
      this.#openSource(source);
    }
    if (series?.seriesInstanceUid !== source?.seriesInstanceUid) this.stopPreview();
    this.#change({ series, source, results });
  }

  /** What is to be said over a viewer, from the state as it is now. */
  #labelOf(viewer: ManagedViewer): LabelContent | null {
    // A comparison has labels of its own.
    if (!this.#isEntered || viewer === this.#comparison?.viewer) return null;
    const { preview, previewError } = this.#state;
    if (preview && viewer === this.#preview?.viewer) return previewLabel(preview);
    const series = this.#options.host.seriesOf(viewer);
    if (!series) return null;
    if (series.derived) return normalizedLabel(series.derived);
    return previewError && series.seriesInstanceUid === this.#state.source?.seriesInstanceUid
      ? failedPreviewLabel(previewError.reason ?? previewError.message)
      : originalLabel();
  }

  /** Asks for the stain of a slide and for the job that may be at work on it. */
  #openSource(source: SlideSeries | null): void {
    this.#slide.abort();
    this.#slide = new AbortController();
    this.#change({
      job: null,
      stain: { state: source ? 'loading' : 'idle' },
      error: null,
      previewError: null,
      live: true,
    });
    if (!source) return;
    void this.#stainOf(source, this.#slide.signal).catch(() => {});
    void this.#try(async (signal) => {
      const job = await this.#options.client.newestJob(source.seriesInstanceUid, signal);
      this.#change({ job });
      if (job && !isFinal(job)) this.#follow(job, source);
    }, this.#slide.signal);
  }

  async #stainOf(source: SlideSeries, signal: AbortSignal): Promise<Stain> {
    const { stain } = this.#state;
    if (stain.state === 'ready' && stain.value.seriesInstanceUid === source.seriesInstanceUid)
      return stain.value;
    try {
      const value = await this.#options.client.stain(source, DEFAULT_MODEL, signal);
      if (!signal.aborted) this.#change({ stain: { state: 'ready', value } });
      return value;
    } catch (error) {
      if (!signal.aborted) this.#change({ stain: { state: 'failed', error: userErrorOf(error) } });
      throw error;
    }
  }

  #follow(job: Job, source: SlideSeries): void {
    void this.#try(async (signal) => {
      await followJob(this.#options.client, job.id, {
        signal,
        onJob: (changed) => this.#change({ job: changed }),
        onConnection: (live) => this.#change({ live }),
      });
      const ended = this.#state.job;
      if (signal.aborted || ended?.id !== job.id) return;
      const { host } = this.#options;
      if (ended.state === 'COMPLETED' && ended.result) {
        const derived = await host.loadNewSeries(source.studyInstanceUid, ended.result.seriesInstanceUid);
        this.#look();
        host.notify(translate('toolbar.normalize'), translate('notification.completed'), 'success');
        this.compare(this.#state.comparison?.mode ?? 'side-by-side', derived.seriesInstanceUid);
      } else if (ended.state === 'FAILED' && ended.error)
        host.notify(
          translate('notification.failed'),
          `${ended.error.message} ${ended.error.remedy}`,
          'error',
        );
      else host.notify(translate('toolbar.normalize'), translate('notification.cancelled'), 'info');
    }, this.#slide.signal);
  }

  #closeComparison(): void {
    this.#comparing.abort();
    this.#comparing = new AbortController();
    this.#comparison?.close();
    this.#comparison = undefined;
    if (this.#state.comparison) this.#change({ comparison: null });
  }

  /** @throws ALREADY_NORMALIZED where a series is shown that was made by normalising another */
  #sourceToNormalize(): SlideSeries | null {
    if (this.#state.series?.derived) throw new PluginError('ALREADY_NORMALIZED');
    return this.#state.source;
  }

  #selectedTemplate(): TargetStain | undefined {
    const { templates, template } = this.#state;
    const found = templates.state === 'ready' ? templates.value.find(({ id }) => id === template) : undefined;
    // One of an older kind has no statistics that could be computed with.
    return found && found.glassDensity !== null ? { ...found, glassDensity: found.glassDensity } : undefined;
  }

  #loadService(): void {
    const { signal } = this.#mode;
    const { client } = this.#options;
    void this.#load('service', async () => ({ version: (await client.health(signal)).version }));
    void this.#loadTemplates(signal);
  }

  async #loadTemplates(signal: AbortSignal): Promise<void> {
    await this.#load('templates', () => this.#options.client.templates(signal));
    const { templates, template } = this.#state;
    if (templates.state !== 'ready') return;
    const usable = templates.value.filter((one) => one.usable);
    if (!usable.some(({ id }) => id === template)) this.#change({ template: usable[0]?.id ?? null });
  }

  async #load<K extends 'service' | 'templates'>(
    key: K,
    load: () => Promise<PluginState[K] extends Loadable<infer T> ? T : never>,
  ): Promise<void> {
    const { signal } = this.#mode;
    if (this.#state[key].state !== 'ready') this.#change({ [key]: { state: 'loading' } });
    try {
      const value = await load();
      if (!signal.aborted) this.#change({ [key]: { state: 'ready', value } });
    } catch (error) {
      if (!signal.aborted) this.#change({ [key]: { state: 'failed', error: userErrorOf(error) } });
    }
  }

  /** What goes wrong is shown, unless nobody waits for it any more. */
  async #try(work: (signal: AbortSignal) => Promise<void>, signal = this.#mode.signal): Promise<void> {
    try {
      await work(signal);
    } catch (error) {
      if (!signal.aborted) this.#change({ error: userErrorOf(error) });
    }
  }

  #change(change: Partial<PluginState>): void {
    this.#state = { ...this.#state, ...change };
    // In the same turn: no picture is shown with the words for another.
    this.#labels.update(this.#options.host.viewers(), (viewer) => this.#labelOf(viewer));
    for (const listener of this.#listeners) listener();
  }
}
