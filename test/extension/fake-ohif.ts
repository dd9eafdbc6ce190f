/** As much of OHIF as the plugin uses, without a browser: slides of a study, viewers, and a record of the calls. */
import type {
  DisplaySet,
  ManagedViewer,
  NamedArchive,
  NaturalizedInstance,
  RegistrationContext,
  Services,
  WadoClient,
} from '../../extension/src/ohif/types.ts';
import { ViewerHost } from '../../extension/src/ohif/viewer-host.ts';

export const STUDY = '1.2';
export const SOURCE = '1.2.1';
export const DERIVED = '1.2.2';

const level = (columns: number): NaturalizedInstance => ({
  ImageType: ['ORIGINAL', 'PRIMARY', 'VOLUME', 'NONE'],
  TotalPixelMatrixColumns: columns,
  TotalPixelMatrixRows: columns / 2,
});

export function slide(seriesInstanceUid: string, more: NaturalizedInstance = {}): DisplaySet {
  return {
    displaySetInstanceUID: `set ${seriesInstanceUid}`,
    StudyInstanceUID: STUDY,
    SeriesInstanceUID: seriesInstanceUid,
    SeriesDescription: `slide ${seriesInstanceUid}`,
    Modality: 'SM',
    others: [1000, 4000, 2000].map((columns) => ({ ...level(columns), ...more })),
  };
}

export function derivedSlide(seriesInstanceUid: string, source = SOURCE): DisplaySet {
  return slide(seriesInstanceUid, {
    ManufacturerModelName: 'stain-normalization',
    RelatedSeriesSequence: [{ SeriesInstanceUID: source }],
  });
}

/** Not in any page: drawing over it is tested elsewhere. */
export function viewerOf(seriesInstanceUID: string, isConnected = true): ManagedViewer {
  return {
    viewer: {},
    viewportId: 'viewport',
    container: { isConnected, parentElement: null },
    studyInstanceUID: STUDY,
    seriesInstanceUID,
  } as unknown as ManagedViewer;
}

export interface FakeOhif {
  readonly host: ViewerHost;
  readonly services: Services;
  readonly sets: DisplaySet[];
  readonly viewers: ManagedViewer[];
  /** Titles of notices, and other commands that it received. */
  readonly told: string[];
  /** Listeners to its events. */
  readonly listeners: Set<() => void>;
  /** What its data source is, unless it is the default archive. */
  archive: NamedArchive | undefined;
  /** The user's token. */
  authorization: string | undefined;
  /** Series in its archive; they enter the study when they are fetched. */
  readonly stored: DisplaySet[];
  /** Shows a series in the active viewport, and sends the event. */
  show(seriesInstanceUid: string | undefined): void;
}

export function fakeOhif(...sets: DisplaySet[]): FakeOhif {
  const listeners = new Set<() => void>();
  const viewports = new Map<string, { displaySetInstanceUIDs: string[] }>();
  const publisher = {
    subscribe(_event: string, listener: () => void) {
      listeners.add(listener);
      return { unsubscribe: () => void listeners.delete(listener) };
    },
  };
  const say = (): void => {
    for (const listener of [...listeners]) listener();
  };
  const ohif = {
    sets,
    viewers: [] as ManagedViewer[],
    told: [] as string[],
    listeners,
    stored: [] as DisplaySet[],
    archive: undefined as NamedArchive | undefined,
    authorization: undefined as string | undefined,
    show(seriesInstanceUid: string | undefined) {
      if (seriesInstanceUid === undefined) viewports.clear();
      else viewports.set('viewport', { displaySetInstanceUIDs: [`set ${seriesInstanceUid}`] });
      ohif.viewers.splice(
        0,
        Infinity,
        ...(seriesInstanceUid === undefined ? [] : [viewerOf(seriesInstanceUid)]),
      );
      say();
    },
  };
  const services = {
    viewportGridService: {
      ...publisher,
      EVENTS: { ACTIVE_VIEWPORT_ID_CHANGED: 'active', GRID_STATE_CHANGED: 'grid' },
      getActiveViewportId: () => 'viewport',
      getState: () => ({ viewports }),
      setDisplaySetsForViewport: ({ displaySetInstanceUIDs: [uid] }: { displaySetInstanceUIDs: string[] }) =>
        ohif.show(uid!.replace('set ', '')),
    },
    displaySetService: {
      ...publisher,
      EVENTS: { DISPLAY_SETS_ADDED: 'added', DISPLAY_SETS_CHANGED: 'changed' },
      getActiveDisplaySets: () => sets,
      sortDisplaySets: (compare: (a: DisplaySet, b: DisplaySet) => number) => void sets.sort(compare),
      getDisplaySetByUID: (uid: string) =>
        sets.find(({ displaySetInstanceUID }) => displaySetInstanceUID === uid),
    },
    microscopyService: {
      getAllManagedViewers: () => [...ohif.viewers],
      // Annotations, which begin with it, are tested elsewhere.
      importDicomMicroscopyViewer: () => new Promise(() => {}),
    },
    uiNotificationService: {
      show: ({ type }: { type: string }) => void ohif.told.push(`notice ${type}`),
      hide() {},
    },
    userAuthenticationService: {
      getAuthorizationHeader: () => (ohif.authorization ? { Authorization: ohif.authorization } : undefined),
      handleUnauthenticated: () => void ohif.told.push('unauthenticated'),
      getUser: () => undefined,
    },
  } as unknown as Services;
  const source = {
    getConfig: () => ({
      name: 'archive',
      ...(ohif.archive && { stainNormalization: ohif.archive }),
    }),
    deleteStudyMetadataPromise: (key: string) => void ohif.told.push(`forget ${key}`),
    retrieve: {
      getWadoDicomWebClient: () => ({ headers: { Accept: 'any' } }) as unknown as WadoClient,
      series: {
        metadata: async () =>
          ohif.stored.map((set) => ({
            metadata: { SeriesInstanceUID: set.SeriesInstanceUID },
            start: async () => void sets.push(set),
          })),
      },
    },
  };
  const context = {
    servicesManager: { services },
    extensionManager: { getActiveDataSource: () => [source] },
    commandsManager: { runCommand() {} },
  } as unknown as Omit<RegistrationContext, 'appConfig' | 'hotkeysManager'>;
  return Object.assign(ohif, { services, host: new ViewerHost(context) });
}
