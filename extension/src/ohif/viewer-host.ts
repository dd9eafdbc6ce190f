/** OHIF as the plugin sees it: which slide is shown, where its viewer is, how a new series gets into the study. */
import { PANEL_ID } from '../identity.ts';
import { pause } from '../pause.ts';
import { PluginError } from '../plugin-error.ts';
import type { Authorization } from '../service/service-client.ts';
import type { SlideSeries } from '../state.ts';
import { derivationOf } from './derivation.ts';
import type {
  DataSource,
  DisplaySet,
  ManagedViewer,
  MicroscopyModule,
  NaturalizedInstance,
  RegistrationContext,
  Services,
  WadoClient,
} from './types.ts';

/** OHIF tells nobody when a slide's viewer is there; it is looked for this often. */
const LOOK_EVERY_MS = 200;

export class ViewerHost {
  readonly #context: Omit<RegistrationContext, 'appConfig'>;

  constructor(context: Omit<RegistrationContext, 'appConfig'>) {
    this.#context = context;
  }

  get services(): Services {
    return this.#context.servicesManager.services;
  }

  readonly authorization: Authorization = {
    header: () => this.services.userAuthenticationService.getAuthorizationHeader() ?? undefined,
    expired: () => void this.services.userAuthenticationService.handleUnauthenticated(),
  };

  /** The slide in the active viewport. */
  activeSeries(): SlideSeries | null {
    const { viewportGridService, displaySetService } = this.services;
    const viewport = viewportGridService.getState().viewports.get(viewportGridService.getActiveViewportId());
    const uid = viewport?.displaySetInstanceUIDs[0];
    const displaySet = uid === undefined ? undefined : displaySetService.getDisplaySetByUID(uid);
    return displaySet ? slideSeries(displaySet) : null;
  }

  /** All slides of the studies that are open. */
  allSeries(): SlideSeries[] {
    return this.services.displaySetService
      .getActiveDisplaySets()
      .map(slideSeries)
      .filter((series) => series !== null);
  }

  instances(series: SlideSeries): readonly NaturalizedInstance[] {
    const displaySet = this.services.displaySetService.getDisplaySetByUID(series.displaySetInstanceUid);
    return displaySet ? instancesOf(displaySet) : [];
  }

  viewers(): readonly ManagedViewer[] {
    return this.services.microscopyService?.getAllManagedViewers() ?? [];
  }

  /** The slide whose pixels a viewer shows: its own series, or the one that its annotations (SR) are about. */
  seriesOf({ seriesInstanceUID }: ManagedViewer): SlideSeries | null {
    const shown = this.services.displaySetService
      .getActiveDisplaySets()
      .filter(({ SeriesInstanceUID }) => SeriesInstanceUID === seriesInstanceUID)
      .map((displaySet) =>
        displaySet.isOverlayDisplaySet ? displaySet.getSourceDisplaySet?.() : displaySet,
      );
    return shown.map((displaySet) => displaySet && slideSeries(displaySet)).find((series) => series) ?? null;
  }

  /** The viewer that shows a series, once it is there. */
  async viewerOf({ seriesInstanceUid }: SlideSeries, signal: AbortSignal): Promise<ManagedViewer> {
    for (;;) {
      signal.throwIfAborted();
      const found = this.viewers().find(
        ({ seriesInstanceUID, container }) =>
          seriesInstanceUID === seriesInstanceUid && container.isConnected,
      );
      if (found) return found;
      await pause(LOOK_EVERY_MS, signal);
    }
  }

  /** Shows a series in the active viewport. */
  show({ displaySetInstanceUid }: SlideSeries): void {
    const { viewportGridService } = this.services;
    viewportGridService.setDisplaySetsForViewport({
      viewportId: viewportGridService.getActiveViewportId(),
      displaySetInstanceUIDs: [displaySetInstanceUid],
    });
  }

  /** The client that fetches pixels and metadata, with the user's token as it is now. */
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

  /**
   * Brings a series that was stored meanwhile into the open study.
   * @throws RESULT_MISSING when the archive does not show it
   */
  async loadNewSeries(studyInstanceUid: string, seriesInstanceUid: string): Promise<SlideSeries> {
    const source = this.#dataSource();
    // OHIF remembers what it was told of the study when it was opened, under the source's name and the study's UID;
    // its own way to make it forget (3.13.2) looks for the UID alone.
    source.deleteStudyMetadataPromise(studyInstanceUid);
    source.deleteStudyMetadataPromise(`${source.getConfig().name}:${studyInstanceUid}`);
    const retrieved = await source.retrieve.series.metadata({
      StudyInstanceUID: studyInstanceUid,
      returnPromises: true,
    });
    await retrieved.find(({ metadata }) => metadata.SeriesInstanceUID === seriesInstanceUid)?.start();
    const series = this.allSeries().find((found) => found.seriesInstanceUid === seriesInstanceUid);
    if (!series) throw new PluginError('RESULT_MISSING');
    return series;
  }

  /** Calls back whenever another slide may be shown or a viewer came or went. Answers the function that ends it. */
  onChange(listener: () => void): () => void {
    const { viewportGridService: grid, displaySetService: sets } = this.services;
    const subscriptions = [
      ...[grid.EVENTS['ACTIVE_VIEWPORT_ID_CHANGED'], grid.EVENTS['GRID_STATE_CHANGED']].map((event) =>
        grid.subscribe(event!, listener),
      ),
      ...[sets.EVENTS['DISPLAY_SETS_ADDED'], sets.EVENTS['DISPLAY_SETS_CHANGED']].map((event) =>
        sets.subscribe(event!, listener),
      ),
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
    this.services.panelService.activatePanel(PANEL_ID, true);
  }

  notify(title: string, message: string, type: 'info' | 'success' | 'warning' | 'error'): void {
    this.services.uiNotificationService.show({ title, message, type });
  }

  #dataSource(): DataSource {
    return this.#context.extensionManager.getActiveDataSource()[0]!;
  }
}

function instancesOf({ others, instance }: DisplaySet): readonly NaturalizedInstance[] {
  return others ?? (instance ? [instance] : []);
}

function slideSeries(displaySet: DisplaySet): SlideSeries | null {
  const instances = instancesOf(displaySet).filter(isVolume);
  const base = instances.reduce<NaturalizedInstance | undefined>(
    (largest, one) =>
      one['TotalPixelMatrixColumns'] > (largest?.['TotalPixelMatrixColumns'] ?? 0) ? one : largest,
    undefined,
  );
  if (displaySet.Modality !== 'SM' || !base) return null;
  return {
    studyInstanceUid: displaySet.StudyInstanceUID,
    seriesInstanceUid: displaySet.SeriesInstanceUID,
    displaySetInstanceUid: displaySet.displaySetInstanceUID,
    description: displaySet.SeriesDescription ?? '',
    totalColumns: base['TotalPixelMatrixColumns'],
    totalRows: base['TotalPixelMatrixRows'],
    derived: derivationOf(instances),
  };
}

function isVolume({ ImageType }: NaturalizedInstance): boolean {
  const values: readonly string[] = typeof ImageType === 'string' ? ImageType.split('\\') : (ImageType ?? []);
  return values[2] === 'VOLUME';
}
