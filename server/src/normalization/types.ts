/** What a normalisation is asked for and what it answers: plain values that can be stored and sent as JSON. */
import type { StainVerdict } from '../stain/other-stain.ts';
import type { TransferName } from '../stain/transfer-name.ts';

export type OutputEncoding = 'jpeg' | 'htj2k' | 'jpeg2000';

/** Everything that decides the derived pixels and attributes; a job is repeated exactly from this. */
export interface NormalizationRequest {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  /**
   * SOP Instance UID of any image of the slide, where the series holds several. Once the slide is known that of its base level,
   * and undefined where the series holds no other.
   */
  readonly slide?: string | undefined;
  readonly template: string;
  /** SHA-256 of the template's content, once it is known; without it the template as it is now. */
  readonly templateSha256?: string | undefined;
  /** Of the instances of the slide (series-identity.ts), once they are known. */
  readonly sourceSha256?: string | undefined;
  /** Of all that decides the bytes (series-identity.ts), once it is known: work of another content is not this work. */
  readonly contentSha256?: string | undefined;
  readonly model: string;
  readonly transfer: TransferName;
  /** `jpeg`: JPEG baseline 4:2:2 at `quality`. The others are lossless. */
  readonly encoding: OutputEncoding;
  readonly quality: number;
  /** A slide that is not H&E is normalised too, and its derived header says so. */
  readonly anyStain?: boolean | undefined;
}

/** Which series the work makes (`series-identity.ts`), so that a repeat stores the same bytes again. */
export interface SeriesIdentity {
  /** All its UIDs are made from this (dicom/derived-uids.ts). */
  readonly seriesUuid: string;
  /** From 1: how often a series of this kind has been made of the slide. */
  readonly revision: number;
  /** Series Instance UID of the one whose place it takes. */
  readonly supersedes?: string | undefined;
  /** ISO 8601 with UTC offset; all dates of the series are made from it. */
  readonly createdAt: string;
}

export const STAGES = ['open', 'fetch', 'fit', 'normalize', 'store', 'verify'] as const;
export type Stage = (typeof STAGES)[number];

export interface Progress {
  readonly stage: Stage;
  /** Work done and to do in this stage, in `unit`. */
  readonly done: number;
  readonly total: number;
  readonly unit: 'instances' | 'bytes' | 'tiles' | 'pixels';
  /** Part of the whole job that is done, 0 to 1, never decreasing. */
  readonly fraction: number;
  readonly megapixelsPerSecond?: number;
  readonly secondsLeft?: number;
}

/** Class statistics in HSD: mean and standard deviation per class of (D, cx, cy), and its share of the pixels. */
export interface ClassStatistics {
  readonly share: number;
  readonly mean: Triple;
  readonly sd: Triple;
}

type Triple = readonly [number, number, number];

/** Class statistics in optical density: mean and covariance per class of (R, G, B), and its share of the pixels. */
export interface DensityStatistics {
  readonly share: number;
  readonly mean: Triple;
  readonly covariance: readonly [Triple, Triple, Triple];
}

export interface DerivedInstanceSummary {
  readonly sopInstanceUid: string;
  readonly role: 'base' | 'level' | 'thumbnail';
  readonly totalColumns: number;
  readonly totalRows: number;
  readonly frames: number;
  readonly bytes: number;
}

/** How much of a derived series the archive has taken. */
export interface StoredPart {
  readonly instances: number;
  readonly of: number;
}

export interface NormalizationResult {
  readonly studyInstanceUid: string;
  /** Series Instance UID of the derived series. */
  readonly seriesInstanceUid: string;
  readonly sourceSeriesInstanceUid: string;
  /** SOP Instance UID of the base level of the source slide, where its series holds several. */
  readonly sourceSlide?: string | undefined;
  /** As in `SeriesIdentity`; results of older versions have none. */
  readonly revision?: number | undefined;
  readonly supersedes?: string | undefined;
  readonly instances: readonly DerivedInstanceSummary[];
  readonly template: string;
  /** SHA-256 of the template's content; results of older versions have none. */
  readonly templateSha256?: string | undefined;
  readonly model: { readonly name: string; readonly version: string; readonly sha256: string };
  /** Results of older versions have none. */
  readonly transfer?: TransferName | undefined;
  readonly executionProvider: string;
  readonly fit: {
    readonly sampledTiles: number;
    readonly tissueFraction: number;
    readonly classes: readonly ClassStatistics[];
  };
  /** Whether the slide looks like H&E (stain/other-stain.ts); results of older versions have no verdict. */
  readonly outOfDistribution: {
    readonly verdict?: StainVerdict | undefined;
    readonly score: number;
    readonly reasons: readonly string[];
  };
  readonly colourPolicy: string;
  /** Sentences about what a reader of the result should know (a guard that acted, a faint slide ...). */
  readonly notes: readonly string[];
  readonly seconds: number;
  readonly megapixels: number;
}
