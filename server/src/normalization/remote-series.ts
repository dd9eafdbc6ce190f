/**
 * A series whose pixels stay in the archive: frames are fetched when they are read, those of one read in one request.
 * For what looks at a small part of a slide; a job fetches the whole first (open-series.ts).
 */
import { transferSyntaxOf, uncompressedSize } from '../codec/codestream-syntax.ts';
import { mostStoredBytes } from '../codec/frame-format.ts';
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
} from './open-series.ts';
import { createTemporarySpool } from './spool.ts';

export interface RemoteSeries {
  readonly slide: Slide;
  readonly colour: Colour;
  /** Pixels of a level in sRGB; `absent` is the colour where the slide has no tile. */
  pixels(level: Level, absent: Rgb): PixelSource;
  base(absent: Rgb): PixelSource;
  /** Levels in which the tissue can be seen, the smallest first and the base level last. */
  overviews(absent: Rgb): PixelSource[];
}

/** @param signal of the opening; every read has its own @throws what `inspectSeries` and `colourOf` refuse */
export async function openRemoteSeries(
  series: SeriesReference,
  access: SeriesAccess,
  signal: AbortSignal,
): Promise<RemoteSeries> {
  const slide = await inspectSeries(series, access, signal);
  const colour = await colourOf(await smallestWhole(slide, series, access, signal), access.onInvalidProfile);
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
        const transferSyntaxUid = transferSyntaxOf(bytes, uncompressedSize(format));
        const options = { table: colour.table, signal: readSignal };
        return access.codecs
          .decode(bytes, { ...format, transferSyntaxUid }, options)
          .catch((error: unknown) => {
            throw atFrame(error, sopInstanceUid, frame);
          });
      },
      absent,
    );
  };
  return {
    slide,
    colour,
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
