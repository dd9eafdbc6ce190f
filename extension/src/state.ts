/** The plugin's knowledge at a moment: one immutable value, from which the panel and the labels are drawn. */
import type {
  Job,
  NormalizationCreate,
  Stain,
  Template,
  TemplateDetail,
} from '../../core/src/contract/index.ts';
import type { ColourReading } from '../../core/src/stain/colour-reading.ts';
import type { TransferName } from '../../core/src/stain/transfer-name.ts';
import type { Annotation } from './annotations/annotation.ts';
import type { FullRecord } from './ohif/full-record.ts';
import type { NamedArchive } from './ohif/types.ts';

/** An error in words, with a remedy. `code` is one of the service's stable codes, or one of our own. */
export interface UserError {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
  /** The cause alone, if `message` is a sentence about it. */
  readonly reason?: string;
  /** What was said about it in English, where `message` is in other words. */
  readonly said?: string;
}

/** A whole-slide series in the viewer. */
export interface SlideSeries {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly displaySetInstanceUid: string;
  readonly description: string;
  /** Series Number, or 0 without one. Each series that the service derives gets a higher number. */
  readonly number: number;
  /** Size of the base level in pixels. */
  readonly totalColumns: number;
  readonly totalRows: number;
  /** Present when this product derived the series. */
  readonly derived: Derivation | null;
  /** Missing for the default archive. */
  readonly archive?: NamedArchive | undefined;
}

/** What the header of a derived series says about it; null if it says nothing. */
export interface Derivation {
  readonly sourceSeriesInstanceUid: string | null;
  /** Identifier of the template. */
  readonly template: string | null;
  /** Name and version. */
  readonly model: string | null;
  /** In the service's words; older versions have none. */
  readonly transfer: string | null;
  /** SHA-256 of the model, and of the template's content. */
  readonly modelHash: string | null;
  readonly templateHash: string | null;
  /** Derivation Description, in the service's words. */
  readonly description: string;
  readonly record: FullRecord | null;
}

export type Loadable<T> =
  | { readonly state: 'idle' | 'loading' }
  | { readonly state: 'ready'; readonly value: T }
  | { readonly state: 'failed'; readonly error: UserError };

export interface PreviewStatus {
  readonly state: 'starting' | 'on';
  /** Identifier of the template, and its name as the panel shows it. */
  readonly template: string;
  readonly templateName: string;
  /** Tiles of the present view: drawn, and in total. */
  readonly tilesDone: number;
  readonly tilesTotal: number;
  /** Nothing of the original is visible in the present view. */
  readonly isWhole: boolean;
  /** From pressing Preview to the first normalised tile, in milliseconds. */
  readonly firstTileMs: number | null;
  readonly executionProvider: 'webgpu' | 'wasm' | null;
  /** Whether the slide's statistics are the service's or were fitted to what is visible. */
  readonly statistics: 'service' | 'visible' | null;
  /** How it is put against the original; null for one that cannot be compared, which is drawn over the original. */
  readonly mode: PreviewMode | null;
  /** Another template is on its way, and this preview is shown until it is there. */
  readonly isChanging: boolean;
}

/** Ways to put one picture of a slide against another. */
export const PAIR_MODES = ['side-by-side', 'swipe', 'blink', 'difference'] as const;
/** `two-by-two`: the original and up to three results, each in a quarter of the viewport. */
export const COMPARISON_MODES = [...PAIR_MODES, 'two-by-two'] as const;
export type ComparisonMode = (typeof COMPARISON_MODES)[number];
export type PreviewMode = (typeof PAIR_MODES)[number] | 'alone';

/** Results beyond the first that `two-by-two` shows at most: every slide that is seen has a viewer of its own. */
export const MAX_OTHERS = 2;

export interface ComparisonStatus {
  readonly mode: ComparisonMode;
  /** The original, or another result of it. */
  readonly against: SlideSeries;
  readonly normalized: SlideSeries;
  /** Further results: one or two with `two-by-two`, otherwise none. */
  readonly others: readonly SlideSeries[];
}

export const MEASURED = ['pointer', 'region', 'view'] as const;
/** Whose colour is measured. */
export type Measured = (typeof MEASURED)[number];

export interface Measurement {
  readonly of: Measured;
  /** The user is to drag a rectangle. */
  readonly isChoosing: boolean;
  /** Null where no pixel is drawn, or no such slide is shown. `against`: of the original, or of what a result is compared with. */
  readonly against: ColourReading | null;
  readonly normalized: ColourReading | null;
}

export type OutputChoice = Required<Pick<NormalizationCreate, 'encoding' | 'quality'>>;

export interface SlideProfile {
  /** Null if the profile has none. */
  readonly name: string | null;
  readonly isApplied: boolean;
}

export interface AnnotationsStatus {
  /** Those of `source`. */
  readonly list: readonly Annotation[];
  /** The archive has them as they are. */
  readonly isKept: boolean;
  /** They are on their way to the archive. */
  readonly isKeeping: boolean;
}

export const PICTURE_SUBJECTS = ['template', 'slide', 'view'] as const;
/** The contents of the templates' pictures: their own sources, or the slide under each. */
export type PictureSubject = (typeof PICTURE_SUBJECTS)[number];

export interface SlidePictures {
  readonly of: PictureSubject;
  /** Quarter turns, clockwise, by which the view is rotated against the slide's pixels. */
  readonly turns: number;
  /** Data URLs by template, as they come; none for `template`. */
  readonly urls: Readonly<Record<string, string>>;
}

export interface PluginState {
  /** The contents of the active viewport; null if that is not a whole-slide image. */
  readonly series: SlideSeries | null;
  /** The slide that would be normalised: `series`, or its source if that is in the study. */
  readonly source: SlideSeries | null;
  readonly service: Loadable<{ readonly version: string }>;
  /** The colour profile of `series`: null if it has none, undefined until its viewer knows. */
  readonly profile: SlideProfile | 'unreadable' | null | undefined;
  /** The stain of `source`; idle without a source. */
  readonly stain: Loadable<Stain>;
  readonly templates: Loadable<readonly Template[]>;
  readonly pictures: SlidePictures;
  readonly template: string | null;
  readonly transfer: TransferName;
  readonly output: OutputChoice;
  readonly preview: PreviewStatus | null;
  readonly previewError: UserError | null;
  /** The newest job of `source`. */
  readonly job: Job | null;
  /** Error of the last action. */
  readonly error: UserError | null;
  /** Series of the study that were derived from the source slide by this product, the one with the largest number first. */
  readonly results: readonly SlideSeries[];
  readonly comparison: ComparisonStatus | null;
  /** The colours that are measured now. */
  readonly measurement: Measurement | null;
  readonly annotations: AnnotationsStatus;
  /** While somebody holds a key or a button down to see it in place of preview or result. */
  readonly isOriginalHeld: boolean;
  /** An address to be copied by hand, where the browser does not let us. */
  readonly linkToCopy: string | null;
  /** Set while a template is being made. */
  readonly makingTemplate: 'choosing-region' | 'naming' | 'computing' | null;
  /** A template whose removal is to be confirmed, and how many jobs use it. */
  readonly removingTemplate: Required<Pick<TemplateDetail, 'id' | 'name' | 'unfinishedJobs'>> | null;
  /** Connection of the job's event stream: false while it is reconnecting. */
  readonly live: boolean;
}

/** Actions of the panel. None rejects: errors become part of the state. */
export interface PluginActions {
  chooseTemplate(id: string): void;
  chooseTransfer(transfer: TransferName): void;
  /** Chooses the contents of the templates' pictures, for the present view. */
  showPictures(of: PictureSubject): void;
  chooseOutput(output: OutputChoice): void;
  /** @param mode how it is put against the original at first, where it can be */
  preview(mode?: PreviewMode): void;
  stopPreview(): void;
  /** Puts the preview against the original, or shows it alone again. */
  comparePreview(mode: PreviewMode): void;
  normalize(): void;
  cancel(): void;
  /** Retries the requests to the service that failed. */
  retry(): void;
  /** Without a series: the preview, where there is one, or what was compared or made last. */
  /**
   * @param normalizedSeriesInstanceUid default: as it is, else the newest
   * @param againstSeriesInstanceUid the original or another result; default: as it is, else the original
   * @param otherSeriesInstanceUids further results, for `two-by-two`; default: as they are, else the newest
   */
  compare(
    mode: ComparisonMode,
    normalizedSeriesInstanceUid?: string,
    againstSeriesInstanceUid?: string,
    otherSeriesInstanceUids?: readonly string[],
  ): void;
  /** Ends comparison and preview and shows the original alone. */
  showOriginal(): void;
  /** Shows the colours by the slide's profile, or as they are stored. */
  toggleProfile(): void;
  /** Measures the colour of what is shown. */
  measure(of: Measured): void;
  stopMeasuring(): void;
  /** Stores the annotations of the slide in the archive. */
  keepAnnotations(): void;
  /** In place of the preview, or of the result in a comparison that shows one of the two. */
  lookAtOriginal(isWanted: boolean): void;
  /** The address of what is shown, for somebody else. */
  copyLink(): void;
  templateFromSeries(): void;
  templateFromRegion(): void;
  /** Second step of both: the name is given, the service makes the template. */
  createTemplate(name: string): void;
  abandonTemplate(): void;
  /** First step of a removal: asks the service for its consequences. */
  askToRemoveTemplate(id: string): void;
  /** Second step: removes it. */
  removeTemplate(): void;
  keepTemplate(): void;
  dismissError(): void;
}

export interface PluginModel extends PluginActions {
  readonly state: PluginState;
  /** Calls back after every change; returns a function that ends it. */
  subscribe(listener: () => void): () => void;
}
