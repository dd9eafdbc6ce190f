/**
 * A series whose pixels stay in the archive: frames are fetched when they are read, those of one read in one request.
 * For what looks at a small part of a slide; a job fetches the whole first (open-series.ts).
 */
import { untilAborted } from '../abortable.ts';
import { EXPLICIT_LITTLE_ENDIAN, transferSyntaxOf, uncompressedSize } from '../codec/codestream-syntax.ts';
import { mostStoredBytes } from '../codec/frame-format.ts';
import {
  coloursByGlass,
  FRAMES_FOR_COLOURS,
  isDoubtful,
  type NativeColours,
  type NativeFrame,
  withColours,
} from '../codec/native-colours.ts';
import { LevelSource, type PixelSource } from '../slide/pixel-source.ts';
import type { Rgb } from '../slide/raster.ts';
import type { Level, Slide } from '../slide/types.ts';
import { type Colour, colourOf } from './colour.ts';
import { FrameBatches } from './frame-batches.ts';
import { instanceRoom } from './needed-room.ts';
import {
  atFrame,
  fetchInstance,
  frameFormats,
  imagesOf,
  inspectSeries,
  openInstance,
  overviewLevels,
  type SeriesAccess,
  type SeriesReference,
  type SlideReference,
} from './open-series.ts';
import { createTemporarySpool } from './spool.ts';

export interface RemoteSeries {
  readonly slide: Slide;
  readonly colour: Colour;
  /**
   * What uncompressed frames in doubt hold (`isDoubtful`), by those that were read so far; undefined where their header is to be
   * believed.
   */
  nativeColours(): Promise<NativeColours | undefined>;
  /** Pixels of a level in sRGB; `absent` is the colour where the slide has no tile. */
  pixels(level: Level, absent: Rgb): PixelSource;
  base(absent: Rgb): PixelSource;
  /** Levels in which the tissue can be seen, the smallest first and the base level last. */
  overviews(absent: Rgb): PixelSource[];
}

const NEVER = new AbortController().signal;

/** @param signal of the opening; every read has its own @throws what `inspectSeries` and `colourOf` refuse */
export async function openRemoteSeries(
  series: SlideReference,
  access: SeriesAccess,
  signal: AbortSignal,
): Promise<RemoteSeries> {
  const slide = await inspectSeries(series, access, signal);
  const smallest = await smallestWhole(slide, series, access, signal);
  const colour = await colourOf(smallest, access.onInvalidProfile);
  // Found for all readers by the first frame that needs it: archives decompress frames, and keep what their header says.
  let native: Promise<NativeColours | undefined> | undefined;
  const coloursFor = (reader: AbortSignal): Promise<NativeColours | undefined> => {
    if (!native) {
      native = nativeColours(slide, series, access, NEVER);
      native.catch(() => {
        native = undefined;
      });
    }
    return untilAborted(native, reader);
  };
  const batches = new FrameBatches(access.source, series);
  const pixels = (level: Level, absent: Rgb): PixelSource => {
    const formats = frameFormats(level);
    return new LevelSource(
      level,
      async ({ instance, frame }, readSignal) => {
        const format = formats[instance]!;
        const { sopInstanceUid } = level.instances[instance]!;
        const most = mostStoredBytes(format);
        const bytes = await batches.frame(sopInstanceUid, frame + 1, most, readSignal);
        const options = { table: colour.table, signal: readSignal };
        try {
          const stored = isDoubtful(format, bytes.length)
            ? withColours(
                { ...format, transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN },
                await coloursFor(readSignal),
              )
            : { ...format, transferSyntaxUid: transferSyntaxOf(bytes, uncompressedSize(format)) };
          return await access.codecs.decode(bytes, stored, options);
        } catch (error) {
          throw atFrame(error, sopInstanceUid, frame);
        }
      },
      absent,
    );
  };
  return {
    slide,
    colour,
    nativeColours: async () => native,
    pixels,
    base: (absent) => pixels(slide.levels[0]!, absent),
    overviews: (absent) => overviewLevels(slide).map((level) => pixels(level, absent)),
  };
}

/**
 * The smallest image of the slide with the header of its first instance as stored: archives leave the ICC profile, which
 * all images of a scan share, out of the metadata. A slide of one level is fetched whole for it.
 */
async function smallestWhole(
  slide: Slide,
  series: SeriesReference,
  access: SeriesAccess,
  signal: AbortSignal,
): Promise<Level> {
  const pixels = ({ frames, rows, columns }: Level): number => frames.length * rows * columns;
  const smallest = imagesOf(slide).reduce((least, image) => (pixels(image) < pixels(least) ? image : least));
  await using spool = await createTemporarySpool(access.spool);
  const [first, ...others] = smallest.instances;
  await spool.reserve(instanceRoom(smallest, first!));
  const { path } = await fetchInstance(series, first!.sopInstanceUid, spool, access, signal);
  await using file = await openInstance(series, first!.sopInstanceUid, path, signal);
  return { ...smallest, instances: [{ ...first!, dataset: file.dataset }, ...others] };
}

/** The colours that the uncompressed frames of a slide hold, by the frames that a job looks at for it. */
async function nativeColours(
  slide: Slide,
  { studyInstanceUid, seriesInstanceUid }: SeriesReference,
  { source }: SeriesAccess,
  signal: AbortSignal,
): Promise<NativeColours | undefined> {
  async function* frames(): AsyncIterable<NativeFrame> {
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
          mostStoredBytes(format),
        );
        for await (const { bytes } of stored) if (isDoubtful(format, bytes.length)) yield { format, bytes };
      }
  }
  return coloursByGlass(frames());
}
