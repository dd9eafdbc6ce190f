/**
 * A DICOMweb client that answers for a slide as if it were normalised: its frames are made in the browser, by tables. A slide
 * viewer of its own shows them, with its pyramid, its zoom and its cache.
 */
import type { NativeColours } from '../../../core/src/codec/native-colours.ts';
import type { NaturalizedInstance, WadoClient } from '../ohif/types.ts';
import type { FrameSource } from './frame-source.ts';
import type { WindowPixels } from './messages.ts';
import { type FrameLayout, frameLayout } from './slide-levels.ts';

/** DICOM JSON. */
type Json = Record<string, { readonly vr: string; readonly Value?: readonly unknown[] }>;

const TAG = {
  PhotometricInterpretation: '00280004',
  PlanarConfiguration: '00280006',
  IccProfile: '00282000',
  OpticalPathSequence: '00480105',
} as const;

export interface NormalizedClientOptions {
  readonly instances: readonly NaturalizedInstance[];
  readonly source: FrameSource;
  readonly native: NativeColours | null;
  /** Metadata of the slide as the archive sends them. */
  metadata(): Promise<readonly object[]>;
  /** The normalised pixels of a window. */
  map(window: WindowPixels, signal: AbortSignal): Promise<Uint8Array>;
  readonly signal: AbortSignal;
  /** Of the frames that are asked for together, as after a move. */
  onProgress(progress: { readonly done: number; readonly total: number }): void;
  /** A frame cannot be made. The viewer leaves its place empty. */
  onError(error: unknown): void;
}

export function normalizedClient({
  instances,
  source,
  native,
  metadata,
  map,
  signal,
  onProgress,
  onError,
}: NormalizedClientOptions): WadoClient {
  const layouts = new Map<string, FrameLayout>(
    instances.map((instance) => [instance['SOPInstanceUID'], frameLayout(instance)]),
  );
  let [done, total] = [0, 0];
  const frame = async (sopInstanceUid: string, frameNumber: number): Promise<ArrayBuffer> => {
    const layout = layouts.get(sopInstanceUid)!;
    if (done === total) [done, total] = [0, 0];
    total++;
    try {
      const window = await source.frame(layout, { sopInstanceUid, frameNumber }, native, signal);
      return unmistakable(await map(window, signal));
    } catch (error) {
      if (!signal.aborted) onError(error);
      throw error;
    } finally {
      done++;
      if (!signal.aborted) onProgress({ done, total });
    }
  };
  return {
    headers: {},
    retrieveSeriesMetadata: async () => (await metadata()).map((instance) => asRgb(instance as Json)),
    retrieveInstanceFrames: ({ sopInstanceUID, frameNumbers }) =>
      Promise.all(frameNumbers.map((number) => frame(sopInstanceUID, number))),
  };
}

/** The header of an image whose pixels are sRGB already: the viewer is to apply no profile a second time. */
function asRgb(instance: Json): Json {
  const paths = (instance[TAG.OpticalPathSequence]?.Value ?? []) as readonly Json[];
  return {
    ...instance,
    [TAG.PhotometricInterpretation]: { vr: 'CS', Value: ['RGB'] },
    [TAG.PlanarConfiguration]: { vr: 'US', Value: [0] },
    [TAG.OpticalPathSequence]: {
      vr: 'SQ',
      Value: paths.map(({ [TAG.IccProfile]: _, ...path }) => path),
    },
  };
}

/** How picture files begin, as far as pixels could be mistaken for one: JPEG, JPEG 2000, BMP, GIF, JPEG XR. */
const BEGINNINGS = [0xffd8, 0xff4f, 0x424d, 0x4749, 0x4949];

/**
 * The viewer tells by the first and last bytes whether a frame is compressed (dicom-microscopy-viewer 0.48). Pixels of colours
 * that it would take for that are changed by one grey level.
 */
function unmistakable(rgb: Uint8Array): ArrayBuffer {
  if (BEGINNINGS.includes((rgb[0]! << 8) | rgb[1]!)) rgb[0]!--;
  for (const end of [rgb.length - 2, rgb.length - 1])
    if (rgb[end - 1] === 0xff && rgb[end] === 0xd9) rgb[end]--;
  return rgb.buffer as ArrayBuffer;
}
