/** What the derived series says of how it was made. Plain values: nothing here is computed from pixels. */
import type { TransferName } from '../stain/transfer-name.ts';

export interface ClassMoments {
  /** Mean and standard deviation of density and the two chromaticities. */
  readonly mean: readonly number[];
  readonly sd: readonly number[];
}

export interface DerivationRecord {
  readonly identity: {
    readonly seriesUuid: string;
    readonly revision: number;
    /** Series Instance UID of the series whose place this one takes. */
    readonly supersedes?: string | undefined;
    /** ISO 8601 with UTC offset; all dates of the derived series are made from it. */
    readonly createdAt: string;
  };
  readonly model: { readonly name: string; readonly version: string; readonly sha256: string };
  /** Nothing of the slide that it was made of: that is another patient's. */
  readonly template: {
    readonly id: string;
    readonly sha256: string;
    readonly classes: readonly ClassMoments[];
  };
  /** Names the slide within its series, where that holds several: its Container Identifier, or a UID. */
  readonly slide?: string | undefined;
  /** A sentence, where a slide that is not H&E was normalised because that was asked for. */
  readonly override?: string | undefined;
  /** Class statistics of the source slide. */
  readonly source: readonly ClassMoments[];
  readonly transfer: TransferName;
  readonly encoding: 'jpeg' | 'htj2k' | 'jpeg2000';
  /** 1 to 100; means something for `jpeg` only. */
  readonly quality: number;
  readonly executionProvider: string;
  /** A sentence. */
  readonly colourPolicy: string;
  /** Application, runtime and encoder with their versions. */
  readonly softwareVersions: readonly string[];
  readonly deviceSerialNumber: string;
  readonly seriesNumber: number;
  /** sRGB profile of device class 'scnr' (see icc-class.ts). */
  readonly iccProfile: Uint8Array;
  /** Everything else that reproduces the run; stored as JSON. */
  readonly fullRecord: Readonly<Record<string, unknown>>;
}
