/**
 * A series whose pixels stay in the archive: frames are fetched when they are read, those of one read in one request.
 * For reads of a part of a slide; a job first fetches the whole (open-series.ts). The headers are those of the
 * instances themselves, because archives leave the ICC profile out of their metadata, and decode text.
 */
import { untilAborted } from '../../../core/src/abortable.ts';
import { codestreamSyntax } from '../../../core/src/codec/codestream-syntax.ts';
import { type FrameFormat, maxStoredBytes, type StoredFrame } from '../../../core/src/codec/frame-format.ts';
import {
  FRAMES_FOR_COLOURS,
  isDoubtful,
  type NativeColours,
  withColours,
} from '../../../core/src/codec/native-colours.ts';
import { allowsLoss } from '../../../core/src/dicom/transfer-syntaxes.ts';
import type { StoredHeader } from '../dicomweb/instance-header.ts';
import { describeSlide, withoutThumbnail } from '../slide/describe.ts';
import type { Slide } from '../slide/types.ts';
import { type AnnouncedSlide, announcedSlide, instancesOf, isOfThumbnail } from './announced-slide.ts';
import { colourOf } from './colour.ts';
import { requireDamage } from './damage.ts';
import { FrameBatches } from './frame-batches.ts';
import { imagesOf, type SeriesAccess } from './inspect-series.ts';
import { SLOW_MS, type WantedInstance } from './instance-files.ts';
import { frameFormats, trueColours, withReadableThumbnail } from './open-series.ts';
import { requireSeries, type SeriesReference, type SlideReference } from './series-reference.ts';
import { overviewLevels, type SlidePixels, slidePixels } from './slide-pixels.ts';

export interface RemoteSeries extends SlidePixels {
  /** Memory used by its headers. */
  readonly headerBytes: number;
  /**
   * The colours of doubtful frames (`isDoubtful`), from the frames read so far; undefined if their header can be trusted.
   */
  nativeColours(): Promise<NativeColours | undefined>;
}

const NEVER = new AbortController().signal;

/**
 * @param signal for opening; every read has its own
 * @param onAnnounced called with what the archive's metadata say about the slide; may refuse it
 * @throws whatever `inspectSeries` and `colourOf` refuse
 */
export async function openRemoteSeries(
  series: SlideReference,
  access: SeriesAccess,
  signal: AbortSignal,
  onAnnounced: (slide: AnnouncedSlide) => void = () => {},
): Promise<RemoteSeries> {
  const announced = await announcedSlide(series, access, signal);
  onAnnounced(announced);
  access.codecs.start(signal);
  const { headers, notes } = await readHeaders(series, announced, access, signal);
  const described = describeSlide(
    [...headers.values()].map(({ dataSet }) => dataSet),
    access.limits,
  );
  const colour = await colourOf(described.levels[0]!.instances[0]!.dataset, access.onInvalidProfile);
  // The first frame that needs the colours determines them for all readers: archives decompress frames but keep the
  // header.
  let native: Promise<NativeColours | undefined> | undefined;
  const coloursFor = (reader: AbortSignal): Promise<NativeColours | undefined> => {
    if (!native) {
      native = nativeColours(described, series, access, NEVER);
      native.catch(() => {
        native = undefined;
      });
    }
    return untilAborted(native, reader);
  };
  const { instanceFiles } = access;
  const instanceOf = (sopInstanceUid: string): WantedInstance => {
    const { sha256 } = headers.get(sopInstanceUid)!;
    return { series, sopInstanceUid, sha256 };
  };
  const batches = new FrameBatches(access.source, series, (sopInstanceUid, ms) => {
    if (ms > SLOW_MS) instanceFiles?.want(instanceOf(sopInstanceUid));
  });
  const formats = new Map(imagesOf(described).map((level) => [level, frameFormats(level)]));
  const pixelsOf = (slide: Slide): SlidePixels =>
    slidePixels({
      slide,
      colour,
      codecs: access.codecs,
      async readFrame(level, { instance, frame }, reader) {
        const format = formats.get(level)![instance]!;
        const { sopInstanceUid } = level.instances[instance]!;
        const bytes =
          (await instanceFiles?.frame(instanceOf(sopInstanceUid), frame, reader)) ??
          (await batches.frame(sopInstanceUid, frame + 1, maxStoredBytes(format), reader));
        const received = withSyntax(format, bytes);
        const isInDoubt = isDoubtful(received, bytes);
        return { bytes, format: isInDoubt ? withColours(received, await coloursFor(reader)) : received };
      },
      isLossy: ({ instances }) =>
        instances.some(({ sopInstanceUid }) => allowsLoss(headers.get(sopInstanceUid)!.transferSyntaxUid)),
    });
  const { isOneOfSeveral } = announced;
  const all = { ...described, isOneOfSeveral, notes: [...described.notes, ...notes] };
  const slide = await withReadableThumbnail(pixelsOf(all), () => {}, signal);
  const headerBytes = [...headers.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  return { ...pixelsOf(slide), headerBytes, nativeColours: async () => native };
}

/** Headers of all images of a slide, without a damaged thumbnail. */
async function readHeaders(
  series: SeriesReference,
  announced: AnnouncedSlide,
  access: SeriesAccess,
  signal: AbortSignal,
): Promise<{ readonly headers: ReadonlyMap<string, StoredHeader>; readonly notes: readonly string[] }> {
  const { studyInstanceUid, seriesInstanceUid } = series;
  const headers = new Map<string, StoredHeader>();
  const notes = [...announced.notes];
  for (const sopInstanceUid of instancesOf(announced))
    try {
      const asked = performance.now();
      const header = await access.source.retrieveHeader(
        studyInstanceUid,
        seriesInstanceUid,
        sopInstanceUid,
        signal,
      );
      // An archive that reads the whole instance to return its beginning does so for each frame, too.
      if (performance.now() - asked > SLOW_MS)
        access.instanceFiles?.want({ series, sopInstanceUid, sha256: header.sha256 });
      requireSeries([header.dataSet], series);
      headers.set(sopInstanceUid, header);
    } catch (error) {
      if (!isOfThumbnail(announced, sopInstanceUid)) throw error;
      notes.push(withoutThumbnail(requireDamage(error)));
    }
  return { headers, notes };
}

/** The format of a frame as the archive sent it. */
function withSyntax(format: Omit<FrameFormat, 'transferSyntaxUid'>, bytes: Uint8Array): FrameFormat {
  return { ...format, transferSyntaxUid: codestreamSyntax(bytes, format) };
}

/** The colours of the doubtful frames of a slide, from the same frames that a job uses to determine them. */
async function nativeColours(
  slide: Slide,
  { studyInstanceUid, seriesInstanceUid }: SeriesReference,
  { source, codecs }: SeriesAccess,
  signal: AbortSignal,
): Promise<NativeColours | undefined> {
  async function* frames(): AsyncIterable<StoredFrame> {
    for (const level of overviewLevels(slide))
      for (const [i, format] of frameFormats(level).entries()) {
        const { sopInstanceUid, numberOfFrames } = level.instances[i]!;
        const numbers = Array.from({ length: Math.min(numberOfFrames, FRAMES_FOR_COLOURS) }, (_, n) => n + 1);
        const stored = source.retrieveFrames(
          studyInstanceUid,
          seriesInstanceUid,
          sopInstanceUid,
          numbers,
          signal,
          maxStoredBytes(format),
        );
        for await (const { bytes } of stored) {
          const received = withSyntax(format, bytes);
          if (isDoubtful(received, bytes)) yield { format: received, bytes };
        }
      }
  }
  return trueColours(frames(), codecs, signal);
}
