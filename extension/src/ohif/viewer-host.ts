/** OHIF as the plugin sees it: which slide is shown, where its viewer is, how a new series gets into the study. */
import { REPORT_CLASS } from '../annotations/report.ts';
import { PANEL_ID, PANEL_NAME } from '../identity.ts';
import { pause } from '../pause.ts';
import { PluginError } from '../plugin-error.ts';
import type { Authorization } from '../service/service-client.ts';
import type { SlideSeries } from '../state.ts';
import { derivationOf } from './derivation.ts';
import { personName } from './person-name.ts';
import { addThumbnail } from './thumbnail.ts';
import type {
  DataSource,
  DisplaySet,
  ManagedViewer,
  MicroscopyModule,
  NaturalizedInstance,
  NotificationAction,
  RegistrationContext,
  Services,
  WadoClient,
} from './types.ts';

/** With this name, and a number, OHIF knows the viewers that are put over one of its viewports. */
export const SECOND_VIEWPORT = 'stain-second-viewer';

/** OHIF has no event for a slide's viewer: this is the interval at which we look for it. */
const LOOK_EVERY_MS = 200;

/** How long the series that is shown may take to open before another is shown all the same. */
const OPENING_MS = 10_000;

/** How long a notice stays: OHIF's own two seconds are too short for two sentences. */
const NOTICE_MS = 8000;
const ACTION_MS = 30_000;

/** A viewport that shows a slide. */
export interface Pane {
  readonly element: HTMLElement;
  /** Undefined if OHIF does not know it. */
  readonly viewer: ManagedViewer | undefined;
  readonly series: SlideSeries | null;
}

export class ViewerHost {
  readonly #context: Omit<RegistrationContext, 'appConfig' | 'hotkeysManager'>;
  readonly #notices: unknown[] = [];

  constructor(context: Omit<RegistrationContext, 'appConfig' | 'hotkeysManager'>) {
    this.#context = context;
  }

  get services(): Services {
    return this.#context.servicesManager.services;
  }

  readonly authorization: Authorization = {
    header: () => this.services.userAuthenticationService.getAuthorizationHeader() ?? undefined,
    expired: () => void this.services.userAuthenticationService.handleUnauthenticated(),
  };

  /** Who is logged in, as a DICOM person name; undefined without a login, or where it has no name. */
  userName(): string | undefined {
    const profile = this.services.userAuthenticationService.getUser()?.profile;
    return profile && personName(profile);
  }

  /** The slide in the active viewport. */
  activeSeries(): SlideSeries | null {
    const { viewportGridService, displaySetService } = this.services;
    const viewport = viewportGridService.getState().viewports.get(viewportGridService.getActiveViewportId());
    const uid = viewport?.displaySetInstanceUIDs[0];
    const displaySet = uid === undefined ? undefined : displaySetService.getDisplaySetByUID(uid);
    return displaySet ? this.#slideSeries(displaySet) : null;
  }

  /** All slides of the studies that are open. */
  allSeries(): SlideSeries[] {
    return this.services.displaySetService
      .getActiveDisplaySets()
      .map((displaySet) => this.#slideSeries(displaySet))
      .filter((series) => series !== null);
  }

  instances(series: SlideSeries): readonly NaturalizedInstance[] {
    const displaySet = this.services.displaySetService.getDisplaySetByUID(series.displaySetInstanceUid);
    return displaySet ? instancesOf(displaySet) : [];
  }

  /** The header of the level that a slide was scanned at. */
  baseInstance(series: SlideSeries): NaturalizedInstance | undefined {
    return baseOf(this.instances(series).filter(isVolume));
  }

  /** Headers, with all that they say, of the structured reports about slides in the studies that are open. */
  reports(): readonly NaturalizedInstance[] {
    return this.services.displaySetService
      .getActiveDisplaySets()
      .filter(({ SOPClassUID }) => SOPClassUID === REPORT_CLASS)
      .flatMap(instancesOf);
  }

  /** Of a new series in a study that is open: one more than the largest that there is. */
  nextSeriesNumber(studyInstanceUid: string): number {
    const numbers = this.services.displaySetService
      .getActiveDisplaySets()
      .filter(({ StudyInstanceUID }) => StudyInstanceUID === studyInstanceUid)
      .map(({ SeriesNumber }) => Number(SeriesNumber) || 0);
    return Math.max(0, ...numbers) + 1;
  }

  /**
   * Stores an instance in the archive, and brings its series into the open study.
   * @param onStored called between the two
   */
  async store(instance: NaturalizedInstance, onStored: () => void): Promise<void> {
    await this.#dataSource().store.dicom(instance);
    onStored();
    // The archive has it all the same.
    await this.#fetchSeries(instance['StudyInstanceUID'], instance['SeriesInstanceUID']).catch(() => {});
  }

  /** Of the viewports; not the second ones that we put over them. */
  viewers(): readonly ManagedViewer[] {
    return (this.services.microscopyService?.getAllManagedViewers() ?? []).filter(
      ({ viewportId }) => !viewportId.startsWith(SECOND_VIEWPORT),
    );
  }

  /**
   * All viewports that show slides. OHIF 3.13 forgets the viewer of a slide if another one is shown before the first is
   * ready: the viewport still names its series.
   */
  panes(): Pane[] {
    const { viewportGridService, displaySetService } = this.services;
    const panes: Pane[] = this.viewers().flatMap((viewer) => {
      const element = viewer.container.parentElement;
      return element ? [{ element, viewer, series: this.seriesOf(viewer) }] : [];
    });
    for (const [id, { displaySetInstanceUIDs }] of viewportGridService.getState().viewports) {
      // The container of the viewer, if it has one.
      const element = document.querySelector(`[data-viewportid="${CSS.escape(id)}"]`)?.parentElement;
      if (!element || panes.some((pane) => pane.element === element)) continue;
      const [uid] = displaySetInstanceUIDs;
      const displaySet = uid === undefined ? undefined : displaySetService.getDisplaySetByUID(uid);
      const series = displaySet ? this.#slideSeries(displaySet) : null;
      if (series) panes.push({ element, viewer: undefined, series });
    }
    return panes;
  }

  /** The slide whose pixels a viewer shows: its own series, or the one that its annotations (SR) are about. */
  seriesOf({ seriesInstanceUID }: ManagedViewer): SlideSeries | null {
    const shown = this.services.displaySetService
      .getActiveDisplaySets()
      .filter(({ SeriesInstanceUID }) => SeriesInstanceUID === seriesInstanceUID)
      .map((displaySet) =>
        displaySet.isOverlayDisplaySet ? displaySet.getSourceDisplaySet?.() : displaySet,
      );
    return (
      shown.map((displaySet) => displaySet && this.#slideSeries(displaySet)).find((series) => series) ?? null
    );
  }

  /** The viewer that shows a series, if there is one now. */
  viewerNow({ seriesInstanceUid }: SlideSeries): ManagedViewer | undefined {
    return this.viewers().find(
      ({ seriesInstanceUID, container }) => seriesInstanceUID === seriesInstanceUid && container.isConnected,
    );
  }

  /** The viewer that shows a series, once it is there. */
  async viewerOf(series: SlideSeries, signal: AbortSignal): Promise<ManagedViewer> {
    for (;;) {
      signal.throwIfAborted();
      const found = this.viewerNow(series);
      if (found) return found;
      await pause(LOOK_EVERY_MS, signal);
    }
  }

  /**
   * Waits until what the active viewport shows has its viewer, or for ten seconds: OHIF 3.13 forgets the viewer of a series
   * that is shown before the one before it is ready, so that nothing could be done with it until it is shown anew.
   */
  async untilOpened(signal: AbortSignal): Promise<void> {
    const { viewportGridService } = this.services;
    const id = viewportGridService.getActiveViewportId();
    if (!viewportGridService.getState().viewports.get(id)?.displaySetInstanceUIDs.length) return;
    const isOpen = (): boolean =>
      this.viewers().some(({ viewportId, container }) => viewportId === id && container?.isConnected);
    for (const end = Date.now() + OPENING_MS; !isOpen() && Date.now() < end; )
      await pause(LOOK_EVERY_MS, signal);
  }

  /** Shows a series in the active viewport, which has opened what it shows now: see `untilOpened`. */
  show({ displaySetInstanceUid }: SlideSeries): void {
    const { viewportGridService } = this.services;
    viewportGridService.setDisplaySetsForViewport({
      viewportId: viewportGridService.getActiveViewportId(),
      displaySetInstanceUIDs: [displaySetInstanceUid],
    });
  }

  /** The client that fetches pixels and metadata, with the user's current token. */
  wadoClient(): WadoClient {
    const client = this.#dataSource().retrieve.getWadoDicomWebClient();
    client.headers = { ...client.headers, ...this.authorization.header() };
    return client;
  }

  /** @throws VIEWER_UNSUPPORTED in a mode without slides */
  async microscopyModule(): Promise<MicroscopyModule> {
    const { microscopyService } = this.services;
    if (!microscopyService) throw new PluginError('VIEWER_UNSUPPORTED', { missing: 'microscopyService' });
    return microscopyService.importDicomMicroscopyViewer();
  }

  /** Whether the archive had a series when the study was opened; it may still be on its way. */
  async isInStudy(studyInstanceUid: string, seriesInstanceUid: string): Promise<boolean> {
    const series = await this.#dataSource().retrieve.series.metadata({
      StudyInstanceUID: studyInstanceUid,
      returnPromises: true,
    });
    return series.some(({ metadata }) => metadata.SeriesInstanceUID === seriesInstanceUid);
  }

  /**
   * Brings a series that was stored meanwhile into the open study.
   * @throws RESULT_MISSING when the archive does not show it
   */
  async loadNewSeries(studyInstanceUid: string, seriesInstanceUid: string): Promise<SlideSeries> {
    await this.#fetchSeries(studyInstanceUid, seriesInstanceUid);
    const series = this.allSeries().find((found) => found.seriesInstanceUid === seriesInstanceUid);
    if (!series) throw new PluginError('RESULT_MISSING');
    const { displaySetService } = this.services;
    const displaySet = displaySetService.getDisplaySetByUID(series.displaySetInstanceUid)!;
    // Without the picture the series is there all the same.
    addThumbnail(displaySet, this.#context.extensionManager, displaySetService).catch(() => {});
    return series;
  }

  /** Into the open study, if the archive shows it. */
  async #fetchSeries(studyInstanceUid: string, seriesInstanceUid: string): Promise<void> {
    const source = this.#dataSource();
    // OHIF caches the study when it is opened, under the source's name and the study's UID; its own function for
    // clearing the cache (3.13.2) only looks for the UID.
    source.deleteStudyMetadataPromise(studyInstanceUid);
    source.deleteStudyMetadataPromise(`${source.getConfig().name}:${studyInstanceUid}`);
    const retrieved = await source.retrieve.series.metadata({
      StudyInstanceUID: studyInstanceUid,
      returnPromises: true,
    });
    await retrieved.find(({ metadata }) => metadata.SeriesInstanceUID === seriesInstanceUid)?.start();
  }

  /** Calls back when another slide may be shown, or a viewer appeared or left. Returns a function that ends it. */
  onChange(listener: () => void): () => void {
    const { viewportGridService: grid, displaySetService: sets } = this.services;
    const subscriptions = [
      ...[grid.EVENTS['ACTIVE_VIEWPORT_ID_CHANGED'], grid.EVENTS['GRID_STATE_CHANGED']].map((event) =>
        grid.subscribe(event!, listener),
      ),
      sets.subscribe(sets.EVENTS['DISPLAY_SETS_ADDED']!, () => {
        this.#sortSeries();
        listener();
      }),
      sets.subscribe(sets.EVENTS['DISPLAY_SETS_CHANGED']!, listener),
    ];
    let known: readonly ManagedViewer[] = [];
    const looking = setInterval(() => {
      const viewers = this.viewers();
      if (viewers.length === known.length && viewers.every((viewer, i) => viewer === known[i])) return;
      known = viewers;
      listener();
    }, LOOK_EVERY_MS);
    return () => {
      clearInterval(looking);
      for (const subscription of subscriptions) subscription.unsubscribe();
    };
  }

  openPanel(): void {
    // OHIF 3.13 reopens a panel that was closed by hand only by its own button, which exists only then.
    const closed = document.getElementById(`${PANEL_NAME}-btn`);
    if (closed) closed.click();
    else this.services.panelService.activatePanel(PANEL_ID, true);
  }

  /** @param action offered to the user: the notice then stays long enough to be noticed */
  notify(
    title: string,
    message: string,
    type: 'info' | 'success' | 'warning' | 'error',
    action?: NotificationAction,
  ): void {
    const notice = this.services.uiNotificationService.show({
      title,
      message,
      type,
      duration: action ? ACTION_MS : NOTICE_MS,
      // At the right it would be over the panel's buttons; at the left OHIF 3.13 cuts off 50 pixels of it.
      position: 'bottom-center',
      ...(action && { action }),
    });
    this.#notices.push(notice);
  }

  /** Removes notices when another mode starts. */
  hideNotices(): void {
    for (const notice of this.#notices.splice(0)) this.services.uiNotificationService.hide(notice);
  }

  /** The viewer's list has series as they came, which is another order each time (OHIF 3.13.2). */
  #sortSeries(): void {
    const { displaySetService } = this.services;
    const sets = displaySetService.getActiveDisplaySets();
    if (sets.some((set, i) => i > 0 && bySeriesNumber(sets[i - 1]!, set) > 0))
      displaySetService.sortDisplaySets(bySeriesNumber, 'ascending');
  }

  #slideSeries(displaySet: DisplaySet): SlideSeries | null {
    const { stainNormalization: archive } = this.#dataSource().getConfig();
    return slideSeries(displaySet, archive);
  }

  #dataSource(): DataSource {
    return this.#context.extensionManager.getActiveDataSource()[0]!;
  }
}

function bySeriesNumber(a: DisplaySet, b: DisplaySet): number {
  return Number(a.SeriesNumber ?? 0) - Number(b.SeriesNumber ?? 0) || 0;
}

function instancesOf({ others, instance }: DisplaySet): readonly NaturalizedInstance[] {
  return others ?? (instance ? [instance] : []);
}

function slideSeries(displaySet: DisplaySet, archive: SlideSeries['archive']): SlideSeries | null {
  const instances = instancesOf(displaySet).filter(isVolume);
  const base = baseOf(instances);
  if (displaySet.Modality !== 'SM' || !base) return null;
  return {
    studyInstanceUid: displaySet.StudyInstanceUID,
    seriesInstanceUid: displaySet.SeriesInstanceUID,
    displaySetInstanceUid: displaySet.displaySetInstanceUID,
    description: displaySet.SeriesDescription ?? '',
    number: Number(base['SeriesNumber'] ?? 0) || 0,
    totalColumns: base['TotalPixelMatrixColumns'],
    totalRows: base['TotalPixelMatrixRows'],
    derived: derivationOf(instances),
    ...(archive && { archive }),
  };
}

function baseOf(levels: readonly NaturalizedInstance[]): NaturalizedInstance | undefined {
  return levels.reduce<NaturalizedInstance | undefined>(
    (largest, one) =>
      one['TotalPixelMatrixColumns'] > (largest?.['TotalPixelMatrixColumns'] ?? 0) ? one : largest,
    undefined,
  );
}

function isVolume({ ImageType }: NaturalizedInstance): boolean {
  const values: readonly string[] = typeof ImageType === 'string' ? ImageType.split('\\') : (ImageType ?? []);
  return values[2] === 'VOLUME';
}
