/** What the page and the preview's worker tell each other. */
import type { ClassStatistics, DensityStatistics } from '../../../server/src/normalization/types.ts';
import type { Glass } from '../../../server/src/slide/optical-density.ts';
import type { Rgb } from '../../../server/src/slide/raster.ts';
import type { Rectangle } from '../../../server/src/slide/windows.ts';
import type { Transfer } from '../../../server/src/stain/transfer.ts';

/** A frame under a window, at its place in the level. */
export interface EncodedFrame extends Rectangle {
  /** The same for the same pixels: decoded frames are kept by it. */
  readonly key: string;
  readonly bytes: ArrayBuffer;
  readonly photometricInterpretation: string;
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
      /** Colour of the places where the slide has no frame. */
      readonly glass: Rgb;
      readonly transfer: Transfer;
    }
  | { readonly kind: 'fit'; readonly window: WindowPixels; readonly table: Uint8Array | null }
  | {
      readonly kind: 'difference';
      readonly original: WindowPixels;
      /** From the colours of the original to sRGB, which the normalised series is in. */
      readonly table: Uint8Array | null;
      readonly normalized: WindowPixels;
    };

export interface VisibleFit {
  readonly classes: readonly ClassStatistics[];
  readonly densities: readonly DensityStatistics[];
  readonly glass: Glass;
}

export type WorkerAnswer =
  | { readonly kind: 'opened'; readonly executionProvider: 'webgpu' | 'wasm' }
  | { readonly kind: 'tile'; readonly bitmap: ImageBitmap }
  | ({ readonly kind: 'fitted' } & VisibleFit)
  | { readonly kind: 'failed'; readonly message: string };
