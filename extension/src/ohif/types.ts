/** The part of OHIF 3.13 that we use. Its packages come without types, so these were read from the viewer itself. */

/** An archive that requests must name. */
export interface NamedArchive {
  readonly name: string;
  /** Its results are stored in the default archive. */
  readonly isReadOnly: boolean;
}

/** DICOM JSON with keywords for names (dcmjs): sequences are arrays, or objects that act as their first item. */
// biome-ignore lint/suspicious/noExplicitAny: as many shapes as DICOM has attributes
export type NaturalizedInstance = Record<string, any>;

export interface DisplaySet {
  readonly displaySetInstanceUID: string;
  readonly StudyInstanceUID: string;
  readonly SeriesInstanceUID: string;
  readonly SeriesDescription?: string;
  readonly SeriesNumber?: number | string;
  readonly Modality: string;
  readonly SOPClassUID?: string;
  readonly instance?: NaturalizedInstance;
  /** All instances of a slide. */
  readonly others?: readonly NaturalizedInstance[];
  /** Annotations: drawn over the slide that the other method returns. */
  readonly isOverlayDisplaySet?: boolean;
  getSourceDisplaySet?(): DisplaySet | undefined;
  /** Picture in the list of series. */
  thumbnailSrc?: string | null;
  getThumbnailSrc?(options: {
    getImageSrc(imageId: string): Promise<string>;
  }): Promise<string | null> | string | null;
}

export interface Subscription {
  unsubscribe(): void;
}

/** A button in a notice. */
export interface NotificationAction {
  readonly label: string;
  onClick(): void;
}

interface Publisher {
  readonly EVENTS: Record<string, string>;
  subscribe(event: string, listener: () => void): Subscription;
}

/** Millimetres from the origin of the slide: column, row, depth. */
export type Point3D = readonly [number, number, number];

/** What is drawn, in the slide's frame of reference (PS3.3 C.18.9). */
interface Scoord3d {
  readonly graphicType: string;
  /** One point, if it is a point. */
  readonly graphicData: Point3D | readonly Point3D[];
}

export interface Roi {
  readonly uid: string;
  readonly scoord3d: Scoord3d;
}

/** OHIF's annotation of a slide, as its panel of measurements lists it. */
export interface RoiAnnotation {
  readonly uid: string;
  /** The series that was shown in the viewport. */
  readonly seriesInstanceUID: string;
  readonly roiGraphic: Roi;
  readonly label?: string;
}

/** What the pointer does: a name and how it is bound. */
export type Interaction = readonly [string, object];

/** The npm package dicom-microscopy-viewer: see microscopy/. */
export interface MicroscopyModule {
  readonly roi: {
    readonly ROI: new (options: { scoord3d: Scoord3d; uid: string }) => Roi;
  };
  readonly scoord3d: Readonly<
    Record<
      'Point' | 'Polyline' | 'Polygon' | 'Ellipse',
      new (options: {
        coordinates: Point3D | readonly Point3D[];
        frameOfReferenceUID: string;
      }) => Scoord3d
    >
  >;
  readonly viewer: {
    readonly VolumeImageViewer: new (options: object) => VolumeImageViewer;
  };
  readonly metadata: {
    readonly VLWholeSlideMicroscopyImage: new (options: {
      metadata: object;
    }) => { readonly ImageType: string[] };
  };
}

export interface VolumeImageViewer {
  render(options: { container: HTMLElement }): void;
  resize(): void;
  /** Of the slide that is shown, in no particular order; empty before that, and for a slide without any. */
  getICCProfiles(): readonly (ArrayBuffer | ArrayBufferView)[];
  /** Applies them, or does not any more. */
  toggleICCProfiles(): void;
}

export interface ManagedViewer {
  readonly viewer: VolumeImageViewer;
  readonly viewportId: string;
  readonly container: HTMLElement;
  readonly studyInstanceUID: string;
  readonly seriesInstanceUID: string;
  /** Makes an annotation of it too. */
  addRoiGraphicWithLabel(roi: Roi, label: string): void;
  activateInteractions(interactions: readonly Interaction[]): void;
}

/** Of the microscopy extension. */
export interface MicroscopyService {
  readonly EVENTS: Record<string, string>;
  subscribe(event: string, listener: (annotation?: { readonly uid: string }) => void): Subscription;
  getAllManagedViewers(): readonly ManagedViewer[];
  importDicomMicroscopyViewer(): Promise<MicroscopyModule>;
  getAnnotation(uid: string): RoiAnnotation | undefined;
  removeAnnotation(annotation: RoiAnnotation): void;
  selectedAnnotation?: RoiAnnotation | null;
  /** Every viewport calls it when it mounts, and when its slide has been loaded. */
  clearAnnotations(): void;
  addViewer(
    viewer: VolumeImageViewer,
    viewportId: string,
    container: HTMLElement,
    studyInstanceUID: string,
    seriesInstanceUID: string,
  ): ManagedViewer;
  removeViewer(viewer: VolumeImageViewer): void;
  /** Draws the annotations of a viewer's series in all other viewers of it. */
  synchronizeViewers(viewer: ManagedViewer): void;
  /** Those of the tool that was chosen; undefined before that. */
  getActiveInteractions(): readonly Interaction[] | undefined;
  /** The same; OHIF has no function that takes them back. */
  activeInteractions?: readonly Interaction[] | undefined;
  /** Of all viewers that are open. */
  activateInteractions(interactions: readonly Interaction[]): void;
}

/** dicomweb-client, made by OHIF's data source. */
export interface WadoClient {
  headers: Record<string, string>;
  retrieveSeriesMetadata(options: { studyInstanceUID: string; seriesInstanceUID: string }): Promise<object[]>;
  retrieveInstanceFrames(options: {
    studyInstanceUID: string;
    seriesInstanceUID: string;
    sopInstanceUID: string;
    frameNumbers: readonly number[];
    mediaTypes?: readonly { mediaType: string; transferSyntaxUID?: string }[];
  }): Promise<ArrayBuffer[]>;
}

export interface DataSource {
  readonly retrieve: {
    getWadoDicomWebClient(): WadoClient;
    readonly series: {
      metadata(options: { StudyInstanceUID: string; returnPromises: true }): Promise<
        readonly {
          readonly metadata: { readonly SeriesInstanceUID: string };
          start(): Promise<unknown>;
        }[]
      >;
    };
  };
  readonly store: {
    /** STOW-RS. @param dataset as `NaturalizedInstance`; written as Explicit VR Little Endian */
    dicom(dataset: NaturalizedInstance): Promise<void>;
  };
  /** `stainNormalization` is ours: the archive, unless it is the default one. */
  getConfig(): { readonly name?: string; readonly stainNormalization?: NamedArchive };
  deleteStudyMetadataPromise(studyInstanceUid: string): void;
}

/** Claims of OpenID Connect (Core 1.0, 5.1); which of them there are is the provider's choice. */
export interface UserProfile {
  readonly family_name?: unknown;
  readonly given_name?: unknown;
  readonly name?: unknown;
  readonly preferred_username?: unknown;
}

export interface Services {
  readonly viewportGridService: Publisher & {
    getActiveViewportId(): string;
    getState(): { readonly viewports: Map<string, { readonly displaySetInstanceUIDs: readonly string[] }> };
    setDisplaySetsForViewport(options: {
      viewportId: string;
      displaySetInstanceUIDs: readonly string[];
    }): void;
  };
  readonly displaySetService: Publisher & {
    getActiveDisplaySets(): readonly DisplaySet[];
    getDisplaySetByUID(uid: string): DisplaySet | undefined;
    sortDisplaySets(compare: (a: DisplaySet, b: DisplaySet) => number, direction: 'ascending'): void;
    setDisplaySetMetadataInvalidated(uid: string, invalidateData: boolean): void;
  };
  /** Of the microscopy extension: undefined until a mode has loaded it. */
  readonly microscopyService?: MicroscopyService;
  readonly uiNotificationService: {
    show(options: {
      title: string;
      message: string;
      type: 'info' | 'success' | 'warning' | 'error';
      duration?: number;
      position?: 'bottom-center';
      action?: NotificationAction;
    }): unknown;
    /** @param notice returned by show */
    hide(notice: unknown): void;
  };
  readonly userAuthenticationService: {
    getAuthorizationHeader(): { Authorization?: string } | undefined;
    handleUnauthenticated(): unknown;
    /** As oidc-client has it; undefined or null without a login. */
    getUser(): { readonly profile?: UserProfile } | null | undefined;
  };
  readonly toolbarService: {
    register(buttons: readonly object[]): void;
    updateSection(section: string, buttons: readonly string[]): void;
  };
  readonly panelService: Publisher & {
    addPanel(position: 'left' | 'right', panelId: string): void;
    activatePanel(panelId: string, forceActive?: boolean): void;
    getPanels(position: 'left' | 'right'): readonly { id: string; label: string }[];
  };
  readonly customizationService: { getCustomization(id: string): unknown };
}

export interface ServicesManager {
  readonly services: Services;
}

/** Of the viewer's module of common utilities. */
interface CornerstoneExports {
  getCornerstoneLibraries(): {
    readonly cornerstone: {
      readonly utilities: {
        loadImageToCanvas(options: {
          canvas: HTMLCanvasElement;
          imageId: string;
          thumbnail: true;
        }): Promise<unknown>;
      };
    };
  };
}

export interface ExtensionManager {
  getActiveDataSource(): readonly DataSource[];
  getModuleEntry(id: string): { readonly exports: CornerstoneExports };
}

export interface CommandsManager {
  runCommand(name: string, options?: object, context?: string): unknown;
}

/** A key and the command that it runs; the key in the spelling of Mousetrap. */
export interface Hotkey {
  readonly commandName: string;
  readonly commandOptions?: Readonly<Record<string, unknown>>;
  readonly context?: string;
  readonly label: string;
  readonly keys?: string | readonly string[];
  readonly isEditable?: boolean;
}

export interface HotkeysManager {
  /** As they are now, by a digest of command and options: the user's where there are some. */
  readonly hotkeyDefinitions: Readonly<Record<string, Hotkey>>;
  readonly hotkeyDefaults: readonly Hotkey[];
  /** Binds them too, with the user's own keys. */
  setDefaultHotKeys(hotkeys: readonly Hotkey[]): void;
}

export interface RegistrationContext {
  readonly servicesManager: ServicesManager;
  readonly hotkeysManager: HotkeysManager;
  readonly extensionManager: ExtensionManager;
  readonly commandsManager: CommandsManager;
  readonly appConfig: {
    /** Path of OHIF's pages. */
    readonly routerBasename?: string;
    /** Issuers of a login; missing or empty without one. */
    readonly oidc?: readonly object[];
    readonly stainNormalization?: { readonly service?: string; readonly plugins?: string };
  };
}
