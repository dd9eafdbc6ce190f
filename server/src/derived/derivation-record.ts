/** What the derived series says about how it was made. Plain values: nothing here is computed from pixels. */
import type { OutputEncoding } from '../../../core/src/contract/output.ts';
import type { TransferName } from '../../../core/src/stain/transfer-name.ts';

export interface ClassMoments {
  /** Mean and standard deviation of density and the two chromaticities. */
  readonly mean: readonly number[];
  readonly sd: readonly number[];
}

export interface DerivationRecord {
  readonly identity: {
    readonly seriesUuid: string;
    readonly revision: number;
    /** Series Instance UID of the series that this one replaces. */
    readonly supersedes?: string | undefined;
    /** ISO 8601 with UTC offset; all dates of the derived series derive from it. */
    readonly createdAt: string;
  };
  readonly model: { readonly name: string; readonly version: string; readonly sha256: string };
  /** Contains nothing of the slide from which the template was made, which belongs to another patient. */
  readonly template: {
    readonly id: string;
    readonly sha256: string;
    readonly classes: readonly ClassMoments[];
  };
  /** Names the slide within its series, if that holds several: its Container Identifier, or a UID. */
  readonly slide?: string | undefined;
  /** A sentence, if a slide that is not H&E was normalised because the request asked for that. */
  readonly override?: string | undefined;
  /** Class statistics of the source slide. */
  readonly source: readonly ClassMoments[];
  readonly transfer: TransferName;
  readonly encoding: OutputEncoding;
  /** 1 to 100; relevant only for `jpeg`. */
  readonly quality: number;
  readonly executionProvider: string;
  /** A sentence. */
  readonly colourPolicy: string;
  /** Names and versions of the application, runtime and encoder. */
  readonly softwareVersions: readonly string[];
  readonly deviceSerialNumber: string;
  readonly seriesNumber: number;
  /** sRGB profile of device class 'scnr' (see icc-class.ts). */
  readonly iccProfile: Uint8Array;
  /** Everything else needed to reproduce the run; stored as JSON. */
  readonly fullRecord: Readonly<Record<string, unknown>>;
}
