import { DEFAULT_MODEL } from '../../core/src/contract/default-model.ts';
import type { Job, Stain } from '../../core/src/contract/index.ts';
import { isFinal } from '../../core/src/contract/job-state.ts';
import { DEFAULT_OUTPUT } from '../../core/src/contract/output.ts';
import { DEFAULT_TRANSFER, type TransferName } from '../../core/src/stain/transfer-name.ts';
import { readLink } from './address/link.ts';
import { Comparison, type ComparisonOptions } from './comparison/comparison.ts';
import {
  failedPreviewLabel,
  type LabelContent,
  normalizedLabel,
  originalLabel,
  previewLabel,
} from './comparison/pane-label.ts';
import { ViewportLabels } from './comparison/viewport-labels.ts';
import { mapOf } from './microscopy/open-layers.ts';
import { goTo, placeOf } from './microscopy/place.ts';
import type { Gated } from './mode-gate.ts';
import { templateName } from './names.ts';
import { Gestures } from './ohif/gestures.ts';
import type { Pane, ViewerHost } from './ohif/viewer-host.ts';
import { PluginError, userErrorOf } from './plugin-error.ts';
import type { MappedSlide, PreviewFactory, SeriesPixels, TargetStain } from './preview-factory.ts';
import { archivesOf, isSameSlide } from './service/archive-names.ts';
import { followJob } from './service/follow-job.ts';
import type { ServiceClient } from './service/service-client.ts';
import { Annotating, NO_ANNOTATIONS } from './session/annotating.ts';
import type { SessionContext } from './session/context.ts';
import { inTime } from './session/in-time.ts';
import { Links } from './session/links.ts';
import { Measuring } from './session/measuring.ts';
import { NO_PICTURES, Pictures } from './session/pictures.ts';
import { Previewing } from './session/previewing.ts';
import { Profiles } from './session/profiles.ts';
import { TemplateEditor } from './session/template-editor.ts';
import { whatToCompare } from './session/what-to-compare.ts';
import type {
  ComparisonMode,
  ComparisonStatus,
  Loadable,
  Measured,
  OutputChoice,
  PictureSubject,
  PluginModel,
  PluginState,
  PreviewMode,
  SlideSeries,
} from './state.ts';
import { wordFault } from './strings/service-words.ts';
import { translate } from './strings/translate.ts';

const START: PluginState = {
  series: null,
  source: null,
  service: { state: 'idle' },
  profile: undefined,
  stain: { state: 'idle' },
  templates: { state: 'idle' },
  pictures: NO_PICTURES,
  template: null,
  transfer: DEFAULT_TRANSFER,
  output: DEFAULT_OUTPUT,
  preview: null,
  previewError: null,
  job: null,
  error: null,
  results: [],
  comparison: null,
  measurement: null,
  annotations: NO_ANNOTATIONS,
  isOriginalHeld: false,
  linkToCopy: null,
  makingTemplate: null,
  removingTemplate: null,
  live: true,
};

/** Of no interest once nothing is to be compared. */
const TOO_LITTLE_TO_COMPARE = new Set(['NOTHING_TO_COMPARE', 'TOO_FEW_RESULTS']);

export interface SessionOptions {
  readonly host: ViewerHost;
  readonly client: ServiceClient;
  readonly previews: PreviewFactory;
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
  /** Results of the slide that were rejected: archives that do not know rejections go on showing them. */
  #rejected: ReadonlySet<string> = new Set();
  #comparison: Comparison | undefined;
  /** A comparison on its way; ends when something else is asked for. */
  #comparing = new AbortController();
  /** UID of the source series whose pictures are on their way. */
  #coming: string | null | undefined;
  /** Identifiers of the jobs that were asked for here, not by others, and whose slide is still the one that is looked at. */
  readonly #asked = new Set<string>();
  /** Of those that were not over when they were last seen: their results may not be in the open study yet. */
  readonly #unfinished = new Set<string>();
  /** Whether template and transfer are somebody's choice, and not the first that there are. */
  #hasChosen = false;

  readonly #pictures: Pictures;
  readonly #measuring: Measuring;
  readonly #templates: TemplateEditor;
  readonly #links: Links;
  readonly #profiles: Profiles;
  readonly #gestures = new Gestures();
  readonly #annotating: Annotating;
  readonly #previewing: Previewing;

  constructor(options: SessionOptions) {
    this.#options = options;
    const stateNow = (): PluginState => this.#state;
    const context: SessionContext = {
      host: options.host,
      client: options.client,
      get state() {
        return stateNow();
      },
      change: (change) => this.#change(change),
      act: (work) => this.#act(work),
      attempt: (work, signal) => this.#try(work, signal),
    };
    this.#previewing = new Previewing(context, options.previews, {
      source: () => this.#sourceToNormalize(),
      template: () => this.#selectedTemplate(),
      templateName: this.#templateName,
      stain: (source, signal) => this.#stainOf(source, signal),
      difference: (original, normalized) => this.#differenceOf(original, normalized),
      closeComparison: () => this.#closeComparison(),
      link: (...viewers) => this.#annotating.link(...viewers),
    });
    this.#pictures = new Pictures(context);
    this.#measuring = new Measuring(context, () => this.comparison);
    this.#annotating = new Annotating(context, () => this.comparison, this.#templateName);
    this.#profiles = new Profiles(context, () => this.comparison);
    this.#templates = new TemplateEditor(context, {
      load: (signal) => this.#loadTemplates(signal),
      choose: (id) => this.chooseTemplate(id),
    });
    this.#links = new Links(context, this, () => {
      this.#hasChosen = true;
    });
  }

  get state(): PluginState {
    return this.#state;
  }

  /** The comparison that is open, for commands and tests. */
  get comparison(): Comparison | undefined {
    return this.#comparison ?? this.#previewing.comparison;
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
    // The viewer calls this from where it enters modes and changes layouts: a fault of ours must not stop it.
    const update = (): void => void this.#try(async () => this.#look());
    signal.addEventListener('abort', host.onChange(update), { once: true });
    this.#loadService();
    update();
    this.#annotating.open(signal);
    void this.#links.open(readLink(location.search), signal);
  }

  leave(): void {
    if (!this.#isEntered) return;
    this.#isEntered = false;
    this.#links.close();
    this.#mode.abort();
    this.#slide.abort();
    this.abandonTemplate();
    this.stopPreview();
    this.#closeComparison();
    this.#options.previews.close();
    this.#options.host.hideNotices();
    this.#pictures.close();
    this.#profiles.close();
    this.stopMeasuring();
    const { template, transfer, output } = this.#state;
    this.#change({ ...START, template, transfer, output });
  }

  copyLink(): void {
    this.#links.copy();
  }

  openPanel(): void {
    this.#options.host.openPanel();
  }

  chooseTemplate(id: string): void {
    this.#hasChosen = true;
    this.#change({ template: id });
    if (this.#state.preview) this.preview();
  }

  /** Of the results where two series are compared, otherwise of what can be chosen: after the last comes the first. */
  stepTemplate(by: 1 | -1): void {
    const { templates, template, comparison, results } = this.#state;
    if (comparison) {
      const uids = results
        .map(({ seriesInstanceUid }) => seriesInstanceUid)
        .filter((uid) => uid !== comparison.against.seriesInstanceUid);
      this.compare(comparison.mode, nextOf(uids, comparison.normalized.seriesInstanceUid, by));
      return;
    }
    const usable = templates.state === 'ready' ? templates.value.filter((one) => one.usable) : [];
    const next = nextOf(
      usable.map(({ id }) => id),
      template,
      by,
    );
    if (next !== undefined) this.chooseTemplate(next);
  }

  chooseTransfer(transfer: TransferName): void {
    this.#hasChosen = true;
    this.#change({ transfer });
    if (this.#state.preview) this.preview();
    this.showPictures(this.#state.pictures.of);
  }

  showPictures(of: PictureSubject): void {
    this.#pictures.show(of, this.#slide.signal);
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

  preview(mode?: PreviewMode): void {
    this.#previewing.start(mode);
  }

  comparePreview(mode: PreviewMode): void {
    this.#previewing.setMode(mode);
  }

  stopPreview(): void {
    this.#previewing.stop();
  }

  togglePreview(): void {
    if (this.#state.preview) this.stopPreview();
    else this.preview();
  }

  normalize(): void {
    void this.#act(async (signal) => {
      const { template, transfer, output } = this.#state;
      const source = this.#sourceToNormalize();
      if (!source || !template) return;
      const slide = this.#slide.signal;
      const job = await this.#options.client.normalize(
        {
          studyInstanceUid: source.studyInstanceUid,
          seriesInstanceUid: source.seriesInstanceUid,
          template,
          model: DEFAULT_MODEL,
          transfer,
          ...output,
          ...archivesOf(source),
        },
        signal,
      );
      this.#unfinished.add(job.id);
      // Another slide is shown by now: the job is found again with its own.
      if (slide.aborted) return;
      this.#asked.add(job.id);
      this.#change({ job });
      this.#follow(job, source);
    });
  }

  cancel(): void {
    void this.#act(async (signal) => {
      const { job } = this.#state;
      if (!job || isFinal(job.state)) return;
      const slide = this.#slide.signal;
      const cancelled = await this.#options.client.cancel(job.id, signal);
      if (!slide.aborted) this.#learn(cancelled);
    });
  }

  compare(
    mode: ComparisonMode,
    normalizedSeriesInstanceUid?: string,
    againstSeriesInstanceUid?: string,
    otherSeriesInstanceUids?: readonly string[],
  ): void {
    if (
      normalizedSeriesInstanceUid === undefined &&
      this.#previewing.comparison &&
      // Of series that are stored alone.
      mode !== 'two-by-two'
    ) {
      this.comparePreview(mode);
      return;
    }
    void this.#act(async (modeSignal) => {
      const wanted = whatToCompare(
        {
          mode,
          normalized: normalizedSeriesInstanceUid,
          against: againstSeriesInstanceUid,
          others: otherSeriesInstanceUids,
        },
        this.#state,
        this.#options.host.allSeries(),
      );
      this.stopPreview();
      if (!this.#comparison?.isOf(wanted)) {
        this.#closeComparison();
        this.#coming = wanted.normalized.derived?.sourceSeriesInstanceUid;
        const signal = AbortSignal.any([modeSignal, this.#comparing.signal]);
        try {
          const opened = await inTime(signal, (ending) => this.#openComparison(wanted, ending));
          if (signal.aborted) return opened.close();
          this.#comparison = opened;
          this.#profiles.follow(opened);
        } catch (error) {
          if (signal.aborted) return;
          throw error;
        }
      }
      this.#comparison!.setMode(mode);
      this.#change({ comparison: wanted });
    });
  }

  async #openComparison(
    { against, normalized, others }: ComparisonStatus,
    signal: AbortSignal,
  ): Promise<Comparison> {
    const { host } = this.#options;
    const shown = host.activeSeries()?.seriesInstanceUid;
    if (shown !== normalized.seriesInstanceUid && shown !== against.seriesInstanceUid)
      await this.#show(against, signal);
    const first = shown === normalized.seriesInstanceUid ? normalized : against;
    const viewer = await host.viewerOf(first, signal);
    return Comparison.open({
      viewer,
      against,
      normalized,
      others,
      templateName: this.#templateName,
      module: await host.microscopyModule(),
      client: host.wadoClient(),
      link: (...viewers) => this.#annotating.link(...viewers),
      signal,
      showDifference: this.#differenceOf(
        { series: against, instances: host.instances(against) },
        { series: normalized, instances: host.instances(normalized) },
      ),
    });
  }

  #differenceOf(
    against: SeriesPixels,
    normalized: SeriesPixels | MappedSlide,
  ): ComparisonOptions['showDifference'] {
    const { previews, client } = this.#options;
    return (surface, legend, on) =>
      previews.showDifference(surface, legend, {
        against,
        normalized,
        // Nothing is normalised: the result is there, whatever the stain.
        stain: against.series.derived
          ? undefined
          : () => client.stain(against.series, DEFAULT_MODEL, this.#mode.signal, true),
        onProgress: on.progress,
        onError: (error) => {
          on.error(error);
          this.#change({ error: userErrorOf(error) });
        },
      });
  }

  showOriginal(): void {
    this.stopPreview();
    this.#closeComparison();
    const { source, series, error } = this.#state;
    if (error && TOO_LITTLE_TO_COMPARE.has(error.code)) this.#change({ error: null });
    if (!source || series?.seriesInstanceUid === source.seriesInstanceUid) return;
    this.#coming = source.seriesInstanceUid;
    const coming = this.#comparing.signal;
    void this.#act(async (modeSignal) => {
      const signal = AbortSignal.any([modeSignal, coming]);
      await inTime(signal, (ending) => this.#show(source, ending)).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    });
  }

  lookAtOriginal(isWanted: boolean): void {
    if (!this.#isEntered || isWanted === this.#state.isOriginalHeld) return;
    this.#previewing.setVisible(!isWanted);
    this.comparison?.lookAtOther(isWanted);
    this.#change({ isOriginalHeld: isWanted });
  }

  /** Shows a series in the active viewport, at the place that is looked at there where the two have one geometry. */
  async #show(series: SlideSeries, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { host } = this.#options;
    await host.untilOpened(signal);
    const before = host.activeSeries();
    const left = before && host.viewerNow(before);
    const place = left && haveOneGeometry(before, series) ? placeOf(mapOf(left.viewer)) : undefined;
    host.show(series);
    if (!place) return;
    const { viewer } = await host.viewerOf(series, signal);
    await goTo(mapOf(viewer), place, signal);
  }

  toggleProfile(): void {
    this.#profiles.toggle();
  }

  keepAnnotations(): void {
    this.#annotating.keep();
  }

  measure(of: Measured): void {
    this.#measuring.start(of);
  }

  stopMeasuring(): void {
    this.#measuring.stop();
  }

  templateFromSeries(): void {
    this.#templates.fromSeries();
  }

  templateFromRegion(): void {
    this.#templates.fromRegion();
  }

  createTemplate(name: string): void {
    this.#templates.create(name);
  }

  abandonTemplate(): void {
    this.#templates.abandon();
  }

  askToRemoveTemplate(id: string): void {
    this.#templates.askToRemove(id);
  }

  removeTemplate(): void {
    this.#templates.remove();
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
            .filter(this.#isResult)
            // The viewer keeps them as they came, which is another order each time.
            .sort((a, b) => b.number - a.number || a.seriesInstanceUid.localeCompare(b.seriesInstanceUid));
    const viewers = host.viewers();
    const { microscopyService } = host.services;
    if (microscopyService) this.#gestures.look(microscopyService, viewers);
    if (this.#comparison && !viewers.includes(this.#comparison.viewer)) this.#closeComparison();
    // A preview goes with the viewport that it was drawn over.
    const previewed = this.#previewing.viewer;
    if (previewed && !viewers.includes(previewed)) this.stopPreview();
    if (!isSameSlide(source, this.#state.source)) {
      this.stopPreview();
      // Pictures of the slide before that are still on their way; between two slides there may be none.
      if (source && !this.#comparison && source.seriesInstanceUid !== this.#coming) this.#closeComparison();
      if (this.#state.makingTemplate !== 'computing') this.abandonTemplate();
      this.#change({ source });
      this.#openSource(source);
    }
    if (series?.seriesInstanceUid !== source?.seriesInstanceUid) this.stopPreview();
    this.#change({ series, source, results });
    this.#profiles.look(series);
    this.#annotating.look();
  }

  readonly #templateName = (id: string): string => templateName(id, this.#state);

  /** What is to be said over a slide, from the state as it is now. */
  #labelOf({ viewer, series }: Pane): LabelContent | null {
    const { preview, previewError, isOriginalHeld } = this.#state;
    const isCompared = preview?.mode != null && preview.mode !== 'alone';
    const compared = this.#comparison ?? (isCompared ? this.#previewing.comparison : undefined);
    // A comparison has labels of its own.
    if (!this.#isEntered || (viewer && viewer === compared?.viewer)) return null;
    if (preview && viewer && viewer === this.#previewing.viewer)
      return isOriginalHeld ? originalLabel() : previewLabel(preview);
    if (!series) return null;
    if (series.derived) return normalizedLabel(series.derived, this.#templateName);
    return previewError && series.seriesInstanceUid === this.#state.source?.seriesInstanceUid
      ? failedPreviewLabel(previewError.reason ?? previewError.message)
      : originalLabel();
  }

  readonly #isResult = ({ seriesInstanceUid }: SlideSeries): boolean =>
    !this.#rejected.has(seriesInstanceUid);

  /** Asks for the stain of a slide, for the job that may be at work on it, and for what was rejected. */
  #openSource(source: SlideSeries | null): void {
    this.#slide.abort();
    this.#slide = new AbortController();
    this.#asked.clear();
    this.#rejected = new Set();
    this.#change({
      job: null,
      stain: { state: source ? 'loading' : 'idle' },
      error: null,
      previewError: null,
      live: true,
    });
    this.#pictures.none(this.#state.pictures.of);
    if (!source) return;
    // A slide that is refused has no pictures, and says why once.
    void this.#stainOf(source, this.#slide.signal).then(
      () => this.showPictures(this.#state.pictures.of),
      () => {},
    );
    void this.#try(async (signal) => {
      const jobs = await this.#options.client.jobsOf(source, signal);
      this.#rejected = rejectedSeries(jobs);
      // The job of a rejected result has nothing to show.
      const job = jobs[0]?.rejected ? null : (jobs[0] ?? null);
      this.#change({ job, results: this.#state.results.filter(this.#isResult) });
      if (!job) return;
      if (isFinal(job.state)) {
        // It ended while another slide was shown.
        if (this.#unfinished.has(job.id)) this.#follow(job, source);
        return;
      }
      const { template, transfer } = job.request;
      // A page that is loaded anew goes on with what was chosen before.
      if (!this.#hasChosen) this.#change({ template, ...(transfer && { transfer }) });
      this.#follow(job, source);
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

  /** An answer may be older than what came meanwhile by another way: a job that has ended stays so. */
  #learn(job: Job): void {
    const known = this.#state.job;
    if (known?.id === job.id && isFinal(known.state)) return;
    this.#change({ job });
  }

  #follow(job: Job, source: SlideSeries): void {
    this.#unfinished.add(job.id);
    void this.#try(async (signal) => {
      await followJob(this.#options.client, job.id, {
        signal,
        onJob: (changed) => this.#learn(changed),
        onConnection: (live) => this.#change({ live }),
      });
      const ended = this.#state.job;
      if (signal.aborted || ended?.id !== job.id) return;
      this.#unfinished.delete(job.id);
      const { host } = this.#options;
      const { destination } = ended.request;
      if (ended.state === 'COMPLETED' && destination !== source.archive?.name)
        host.notify(
          translate('toolbar.normalize'),
          destination === undefined
            ? translate('notification.completedInDefault')
            : translate('notification.completedElsewhere', { archive: destination }),
          'success',
        );
      else if (ended.state === 'COMPLETED' && ended.result) {
        const { seriesInstanceUid } = await host.loadNewSeries(
          source.studyInstanceUid,
          ended.result.seriesInstanceUid,
        );
        this.#look();
        const open = (): void => this.compare('side-by-side', seriesInstanceUid);
        const isAwaited = this.#asked.has(job.id) && !this.#isBusy;
        host.notify(
          translate('toolbar.normalize'),
          translate('notification.completed'),
          'success',
          isAwaited ? undefined : { label: translate('notification.open'), onClick: open },
        );
        if (isAwaited) open();
      } else if (ended.state === 'FAILED' && ended.error) {
        const { message, remedy } = wordFault(ended.error);
        host.notify(translate('notification.failed'), `${message} ${remedy}`, 'error');
      } else host.notify(translate('toolbar.normalize'), translate('notification.cancelled'), 'info');
    }, this.#slide.signal);
  }

  /** Somebody is in the middle of something that is not to be taken away. */
  get #isBusy(): boolean {
    const { preview, comparison, makingTemplate } = this.#state;
    return preview !== null || comparison !== null || makingTemplate !== null;
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
    this.showPictures(this.#state.pictures.of);
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

  /** Does what somebody asked for: what went wrong before is no longer what they look at. */
  #act(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.#state.error || this.#state.previewError) this.dismissError();
    // It is about what was seen before.
    if (this.#state.linkToCopy !== null) this.#change({ linkToCopy: null });
    return this.#try(work);
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
    const before = this.#state;
    this.#state = { ...before, ...change };
    if (this.#state.measurement && picturesOf(before) !== picturesOf(this.#state)) this.#measuring.forget();
    // In the same turn: no picture is shown with the words for another.
    this.#labels.update(this.#options.host.panes(), (pane) => this.#labelOf(pane));
    for (const listener of this.#listeners) listener();
  }
}

/** Names the pictures that can be measured: what was measured before belongs to others. */
function picturesOf({ series, preview, comparison, transfer }: PluginState): string {
  const uids = [series, comparison?.against, comparison?.normalized].map((one) => one?.seriesInstanceUid);
  return JSON.stringify([uids, preview && [preview.state, preview.template, transfer]]);
}

/** The one beside `current` in a list that goes round. */
function nextOf(list: readonly string[], current: string | null, by: 1 | -1): string | undefined {
  const at = current === null ? -1 : list.indexOf(current);
  if (at < 0) return list[0];
  return list.at((at + by) % list.length);
}

function rejectedSeries(jobs: readonly Job[]): ReadonlySet<string> {
  return new Set(
    jobs.flatMap(({ rejected, result }) => (rejected && result ? [result.seriesInstanceUid] : [])),
  );
}

function haveOneGeometry(a: SlideSeries, b: SlideSeries): boolean {
  return a.totalColumns === b.totalColumns && a.totalRows === b.totalRows;
}
