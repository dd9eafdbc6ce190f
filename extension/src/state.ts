/** What the plugin knows at a moment: one immutable value, from which the panel and the labels are drawn. */
import type {
  Job,
  NormalizationCreate,
  Stain,
  Template,
  TemplateDetail,
} from '../../server/src/contract/index.ts';
import type { TransferName } from '../../server/src/stain/transfer-name.ts';

/** A fault in words, with what to do about it. `code` is one of the service's stable codes, or one of our own. */
export interface UserError {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
  /** The cause alone, where `message` is a sentence about it. */
  readonly reason?: string;
}

/** A whole-slide series in the viewer. */
export interface SlideSeries {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly displaySetInstanceUid: string;
  readonly description: string;
  /** Size of the base level in pixels. */
  readonly totalColumns: number;
  readonly totalRows: number;
  /** Present when this product derived the series. */
  readonly derived: Derivation | null;
}

/** What the header of a derived series says of it; null where it says nothing. */
export interface Derivation {
  readonly sourceSeriesInstanceUid: string | null;
  /** Identifier of the template. */
  readonly template: string | null;
  /** Name and version. */
  readonly model: string | null;
  /** In the service's words; those of older versions tell none. */
  readonly transfer: string | null;
  /** Derivation Description, in the service's words. */
  readonly description: string;
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
  /** Tiles of the present view that are drawn, and that it has. */
  readonly tilesDone: number;
  readonly tilesTotal: number;
  /** Nothing of the original is visible in the present view. */
  readonly isWhole: boolean;
  /** From pressing Preview to the first normalised tile, in milliseconds. */
  readonly firstTileMs: number | null;
  readonly executionProvider: 'webgpu' | 'wasm' | null;
  /** Whether the slide's statistics are the service's or were fitted from what is visible. */
  readonly statistics: 'service' | 'visible' | null;
}

export const COMPARISON_MODES = ['side-by-side', 'swipe', 'blink', 'difference'] as const;
export type ComparisonMode = (typeof COMPARISON_MODES)[number];

export interface ComparisonStatus {
  readonly mode: ComparisonMode;
  readonly original: SlideSeries;
  readonly normalized: SlideSeries;
}

export type OutputChoice = Required<Pick<NormalizationCreate, 'encoding' | 'quality'>>;

export interface PluginState {
  /** What the active viewport shows; null when that is no whole-slide image. */
  readonly series: SlideSeries | null;
  /** The slide that would be normalised: `series`, or what it was derived from where that is in the study. */
  readonly source: SlideSeries | null;
  readonly service: Loadable<{ readonly version: string }>;
  /** The stain of `source`; idle where there is none. */
  readonly stain: Loadable<Stain>;
  readonly templates: Loadable<readonly Template[]>;
  readonly template: string | null;
  readonly transfer: TransferName;
  readonly output: OutputChoice;
  readonly preview: PreviewStatus | null;
  readonly previewError: UserError | null;
  /** The newest job of `source`. */
  readonly job: Job | null;
  /** A fault of the last thing that was asked for. */
  readonly error: UserError | null;
  /** Series of the study that were derived from the source slide by this product, newest first. */
  readonly results: readonly SlideSeries[];
  readonly comparison: ComparisonStatus | null;
  /** Set while a template is being made. */
  readonly makingTemplate: 'choosing-region' | 'naming' | 'computing' | null;
  /** A template whose removal is to be confirmed, and how many jobs use it. */
  readonly removingTemplate: Required<Pick<TemplateDetail, 'id' | 'name' | 'unfinishedJobs'>> | null;
  /** Connection of the job's events: false while it is being made again. */
  readonly live: boolean;
}

/** What the panel can ask for. Nothing rejects: what goes wrong becomes part of the state. */
export interface PluginActions {
  chooseTemplate(id: string): void;
  chooseTransfer(transfer: TransferName): void;
  chooseOutput(output: OutputChoice): void;
  preview(): void;
  stopPreview(): void;
  normalize(): void;
  cancel(): void;
  /** Asks the service again for what failed. */
  retry(): void;
  compare(mode: ComparisonMode, normalizedSeriesInstanceUid?: string): void;
  /** Ends comparison and preview and shows the original alone. */
  showOriginal(): void;
  templateFromSeries(): void;
  templateFromRegion(): void;
  /** Second step of both: the name is given, the service makes the template. */
  createTemplate(name: string): void;
  abandonTemplate(): void;
  /** First step of a removal: asks the service what it would mean. */
  askToRemoveTemplate(id: string): void;
  /** Second step: removes it. */
  removeTemplate(): void;
  keepTemplate(): void;
  dismissError(): void;
}

export interface PluginModel extends PluginActions {
  readonly state: PluginState;
  /** Calls back after every change; answers the function that ends it. */
  subscribe(listener: () => void): () => void;
}
