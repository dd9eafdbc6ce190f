/** Messages between the page and the preview's worker. */

import type { NativeColours } from '../../../core/src/codec/native-colours.ts';
import type { Rgb } from '../../../core/src/image/raster.ts';
import type { Rectangle } from '../../../core/src/image/windows.ts';
import type { ClassStatistics, DensityStatistics } from '../../../core/src/stain/class-statistics.ts';
import type { LinearTables } from '../../../core/src/stain/linear-tables.ts';
import type { Glass } from '../../../core/src/stain/optical-density.ts';
import type { PaperTransfer } from '../../../core/src/stain/transfer.ts';

/** A frame under a window, with its position in the level. */
export interface EncodedFrame extends Rectangle {
  /** Equal for equal pixels: key of the decoded frame in the cache. */
  readonly key: string;
  readonly bytes: ArrayBuffer;
  readonly photometricInterpretation: string;
  /** The colours that the service found in frames whose header is wrong. */
  readonly native: NativeColours | null;
  readonly planarConfiguration: number;
}

/** A rectangle of a level and the frames under it. */
export interface WindowPixels extends Rectangle {
  readonly frames: readonly EncodedFrame[];
  /** Size of the level: beyond it the edge is repeated. */
  readonly planeWidth: number;
  readonly planeHeight: number;
}

export type WorkerRequest =
  | {
      readonly kind: 'open';
      readonly graphs: { readonly apply: Uint8Array; readonly statistics: Uint8Array };
      readonly wasmPaths: string;
    }
  | {
      readonly kind: 'normalize';
      readonly window: WindowPixels;
      readonly core: Rectangle;
      readonly table: Uint8Array | null;
      /** Colour where the slide has no frame. */
      readonly glass: Rgb;
      readonly transfer: PaperTransfer;
    }
  | {
      /** The pixels of a window by tables: no network is needed. */
      readonly kind: 'map';
      readonly window: WindowPixels;
      readonly table: Uint8Array | null;
      readonly tables: LinearTables;
    }
  | { readonly kind: 'fit'; readonly window: WindowPixels; readonly table: Uint8Array | null }
  | {
      readonly kind: 'difference';
      readonly against: WindowPixels;
      /** From its colours to sRGB, which a normalised series is in. */
      readonly table: Uint8Array | null;
      /** Frames of a series, or the tables that make them from the other one. */
      readonly normalized: WindowPixels | LinearTables;
    };

export interface VisibleFit {
  readonly classes: readonly ClassStatistics[];
  readonly densities: readonly DensityStatistics[];
  readonly glass: Glass;
}

export type WorkerAnswer =
  | { readonly kind: 'opened'; readonly executionProvider: 'webgpu' | 'wasm' }
  | { readonly kind: 'tile'; readonly bitmap: ImageBitmap }
  | { readonly kind: 'pixels'; readonly rgb: Uint8Array }
  | ({ readonly kind: 'fitted' } & VisibleFit)
  | WorkerFailure;

export interface WorkerFailure {
  readonly kind: 'failed';
  readonly message: string;
  /** What is wrong with a frame: one of the codes of core/src/errors.ts. */
  readonly code?: string;
}
