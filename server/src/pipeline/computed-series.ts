/**
 * A derived series that is not stored: its headers and frames are made on request, from the frames of the source. They
 * are byte for byte what a job with the same request stores.
 */

import type { NormalizationRequest } from '../../../core/src/contract/index.ts';
import { StainError } from '../../../core/src/errors.ts';
import type { DataSet } from '../dicom/dataset.ts';
import { extentOnBase } from '../slide/placement.ts';
import type { FramePosition, Level } from '../slide/types.ts';
import { derivedHeaders } from './derived-headers.ts';
import type { NormalizationEnvironment } from './environment.ts';
import { type FrameMapping, mapFrames } from './map-frames.ts';
import { fingerprintOf, resolveMeans } from './means.ts';
import { prepareSeries } from './prepare-series.ts';
import { openRemoteSeries } from './remote-series.ts';
import { requireDeclaredHe } from './require-he.ts';
import type { SeriesIdentity } from './series-identity.ts';
import { requirePinned } from './series-identity.ts';

export interface ComputedSeries {
  /** The base level first, then the others, finest first; the thumbnail last. */
  readonly images: readonly Level[];
  /** Memory used by the headers of the source. */
  readonly headerBytes: number;
  /** Header of one image. @param image index in `images` */
  header(image: number): DataSet;
  /**
   * One encoded frame of an image, padded to an even length, in a buffer of its own.
   * @param frame 0-based
   * @throws NOT_FOUND for a frame that does not exist, whatever is wrong with the source frame, and whatever fetching
   * it throws
   */
  frame(image: number, frame: number, signal: AbortSignal): Promise<Uint8Array>;
}

/**
 * Reads the slide, and fits its stain if that is not known yet.
 * @param request with the linear transfer and the content hashes of what it names (`pinned`)
 * @throws SOURCE_CHANGED, WORK_CHANGED, LEVELS_DISAGREE, and whatever `openRemoteSeries` and `prepareSeries` throw
 */
export async function openComputedSeries(
  request: NormalizationRequest,
  identity: SeriesIdentity,
  environment: NormalizationEnvironment,
  signal: AbortSignal,
): Promise<ComputedSeries> {
  const means = await resolveMeans(request, environment);
  const { sourceSha256, slide } = request;
  const open = await openRemoteSeries(request, environment, signal, ({ source }) =>
    requirePinned(request, source, fingerprintOf(source, means, environment)),
  );
  requireDeclaredHe(open.slide, request);
  const prepared = await prepareSeries(open, request, identity, means, environment, { signal });
  const { images, colours, glass, built, encode } = prepared;
  if (!colours) throw new StainError('INTERNAL', 'Only the linear transfer can make single frames.');
  if (built.size > 0)
    throw new StainError(
      'LEVELS_DISAGREE',
      `${built.size} of ${images.length} images of the slide do not show what the base level shows: they would have to be made from the whole base level.`,
    );
  const fingerprint = fingerprintOf({ sourceSha256: sourceSha256!, slideUid: slide }, means, environment);
  const work = { request, identity, fingerprint, means };
  const header = await derivedHeaders(prepared, work, environment.softwareVersions);
  const mapping: FrameMapping = { open, colours, glass, encode };
  return {
    images,
    headerBytes: open.headerBytes,
    header: (image) => header(image),
    async frame(image, frame, reader) {
      const level = images[image]!;
      const position = requireFrame(level, frame);
      const isGlass = glass?.map.isGlass(extentOnBase(level, position)) ?? false;
      const [made] = await mapFrames(mapping, level, [position], isGlass, reader);
      return evenLength(made!);
    },
  };
}

/**
 * A copy padded like a fragment (PS3.5 A.4): archives return the padding with the frame. Keeping the copy keeps no
 * other buffer alive.
 */
function evenLength(frame: Uint8Array): Uint8Array {
  const even = new Uint8Array(frame.length + (frame.length % 2));
  even.set(frame);
  return even;
}

function requireFrame({ frames }: Level, frame: number): FramePosition {
  const position = frames.at(frame);
  if (position) return position;
  throw new StainError('NOT_FOUND', `There is no frame ${frame + 1}; the instance has ${frames.length}.`);
}
