/** The plugin at work: holds its state, does what the panel and the commands ask for. */
import { DEFAULT_MODEL } from '../../server/src/contract/default-model.ts';
import type { Job, Stain } from '../../server/src/contract/index.ts';
import { Comparison } from './comparison/comparison.ts';
import { ViewportLabels } from './comparison/viewport-labels.ts';
import { chooseRegion, type Region } from './microscopy/choose-region.ts';
import { createMapSurface } from './microscopy/map-surface.ts';
import { mapOf } from './microscopy/open-layers.ts';
import type { ManagedViewer } from './ohif/types.ts';
import type { ViewerHost } from './ohif/viewer-host.ts';
import { userErrorOf } from './plugin-error.ts';
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
  service: { state: 'idle' },
  stain: { state: 'idle' },
  templates: { state: 'idle' },
  template: null,
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

export class Session implements PluginModel {
  readonly #options: SessionOptions;
  readonly #labels: ViewportLabels;
  readonly #listeners = new Set<() => void>();
  #state = START;
  #mode = new AbortController();
  /** Work for the slide that is shown; ends when another one is. */
  #slide = new AbortController();
  #source: SlideSeries | null = null;
  #preview: LivePreview | undefined;
  /** The viewer that a preview covers. */
  #previewed: ManagedViewer | undefined;
  #comparison: Comparison | undefined;
  #choice: { readonly abort: AbortController; readonly region?: Region } | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#labels = new ViewportLabels(options.host);
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

  /** On entering a mode of the viewer. @param compare a derived series to compare as soon as it is there */
  enter(compare?: string): void {
    this.#mode = new AbortController();
    const { signal } = this.#mode;
    let wanted = compare;
    const update = (): void => {
      this.#look();
      const found = this.#options.host
        .allSeries()
        .find(({ seriesInstanceUid }) => seriesInstanceUid === wanted);
      // Series are known before there is a viewport to show one in.
      if (!found || !this.#options.host.activeSeries()) return;
      wanted = undefined;
      this.compare('side-by-side', found.seriesInstanceUid);
    };
    signal.addEventListener('abort', this.#options.host.onChange(update), { once: true });
    this.#loadService();
    update();
  }

  /** On leaving it. */
  leave(): void {
    this.#mode.abort();
    this.#slide.abort();
    this.stopPreview();
    this.#closeComparison();
    this.#labels.clear();
    this.#options.previews.close();
    this.#source = null;
    this.#change({ ...START, output: this.#state.output, template: this.#state.template });
  }

  openPanel(): void {
    this.#options.host.openPanel();
  }

  chooseTemplate(id: string): void {
    this.#change({ template: id });
    if (this.#state.preview) this.preview();
  }

  chooseOutput(output: OutputChoice): void {
    this.#change({ output });
  }

  retry(): void {
    this.dismissError();
    this.#loadService();
    if (this.#source) this.#openSource(this.#source);
  }

  dismissError(): void {
    this.#change({ error: null, previewError: null });
  }

  preview(): void {
    const pressed = performance.now();
    void this.#try(async (signal) => {
      const source = this.#source;
      const template = this.#selectedTemplate();
      if (!source || !template) return;
      this.stopPreview();
      this.#closeComparison();
      if (this.#state.series?.derived) this.#options.host.show(source);
      this.#change({
        previewError: null,
        preview: {
          state: 'starting',
          template: template.id,
          tilesDone: 0,
          tilesTotal: 0,
          firstTileMs: null,
          executionProvider: null,
          statistics: null,
        },
      });
      try {
        const viewer = await this.#options.host.viewerOf(source, signal);
        this.#preview = await this.#options.previews.start({
          series: source,
          instances: this.#options.host.instances(source),
          viewer,
          template,
          stain: () => this.#stainOf(source, signal),
          pressed,
          signal,
          onStatus: (status) => {
            if (this.#state.preview) this.#change({ preview: { ...this.#state.preview, ...status } });
          },
          onError: (error) => this.#change({ preview: null, previewError: userErrorOf(error) }),
        });
        this.#previewed = viewer;
        this.#labels.update(viewer);
      } catch (error) {
        if (!signal.aborted) this.#change({ preview: null, previewError: userErrorOf(error) });
      }
    });
  }

  stopPreview(): void {
    this.#preview?.close();
    this.#preview = undefined;
    this.#previewed = undefined;
    this.#labels.update(this.#comparison?.viewer);
    if (this.#state.preview) this.#change({ preview: null });
  }

  normalize(): void {
    void this.#try(async (signal) => {
      const { template, output } = this.#state;
      const source = this.#source;
      if (!source || !template) return;
      const job = await this.#options.client.normalize(
        {
          studyInstanceUid: source.studyInstanceUid,
          seriesInstanceUid: source.seriesInstanceUid,
          template,
          model: DEFAULT_MODEL,
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
    void this.#try(async (signal) => {
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
        const shown = host.activeSeries()?.seriesInstanceUid;
        if (shown !== normalized.seriesInstanceUid && shown !== original.seriesInstanceUid)
          host.show(original);
        const first = shown === normalized.seriesInstanceUid ? normalized : original;
        const viewer = await host.viewerOf(first, signal);
        const opened = await Comparison.open({
          viewer,
          original,
          normalized,
          module: await host.microscopyModule(),
          client: host.wadoClient(),
          showDifference: (surface, legend) =>
            this.#options.previews.showDifference(surface, legend, {
              original: { series: original, instances: host.instances(original) },
              normalized: { series: normalized, instances: host.instances(normalized) },
              stain: () => this.#stainOf(original, this.#mode.signal),
              onError: (error) => this.#change({ error: userErrorOf(error) }),
            }),
        });
        if (signal.aborted) return opened.close();
        this.#comparison = opened;
      }
      this.#comparison!.setMode(mode);
      this.#labels.update(this.#comparison!.viewer);
      this.#change({ comparison: { mode, original, normalized } });
    });
  }

  showOriginal(): void {
    this.stopPreview();
    this.#closeComparison();
    if (this.#source && this.#state.series?.seriesInstanceUid !== this.#source.seriesInstanceUid)
      this.#options.host.show(this.#source);
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
      const { name, unfinishedJobs } = await this.#options.client.template(id, signal);
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
    const results = all
      .filter(({ derived }) => derived?.sourceSeriesInstanceUid === source?.seriesInstanceUid)
      .reverse();
    if (this.#comparison && !host.viewers().includes(this.#comparison.viewer)) this.#closeComparison();
    if (source?.seriesInstanceUid !== this.#source?.seriesInstanceUid) {
      this.stopPreview();
      this.#source = source;
      if (source) this.#openSource(source);
    }
    if (this.#state.preview && series?.seriesInstanceUid !== source?.seriesInstanceUid) this.stopPreview();
    this.#labels.update(this.#comparison?.viewer ?? this.#previewed);
    this.#change({ series, results });
  }

  /** Asks for the stain of a slide and for the job that may be at work on it. */
  #openSource(source: SlideSeries): void {
    this.#slide.abort();
    this.#slide = new AbortController();
    this.#change({ job: null, stain: { state: 'loading' }, error: null });
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
    this.#comparison?.close();
    this.#comparison = undefined;
    this.#labels.update(undefined);
    if (this.#state.comparison) this.#change({ comparison: null });
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
    for (const listener of this.#listeners) listener();
  }
}
