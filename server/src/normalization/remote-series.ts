/**
 * A series whose pixels stay in the archive: frames are fetched when they are read, those of one read in one request.
 * For what looks at a small part of a slide; a job fetches the whole first (open-series.ts).
 */
import { join } from 'node:path';
import { transferSyntaxOf } from '../codec/codestream-syntax.ts';
import { LevelSource, type PixelSource } from '../slide/pixel-source.ts';
import type { Rgb } from '../slide/raster.ts';
import type { Level, Slide } from '../slide/types.ts';
import { type Colour, colourOf } from './colour.ts';
import { FrameBatches } from './frame-batches.ts';
import {
  fetchInstance,
  inspectSeries,
  overviewLevel,
  type SeriesAccess,
  type SeriesReference,
} from './open-series.ts';
import { createSpool } from './spool.ts';

export interface RemoteSeries {
  readonly slide: Slide;
  readonly colour: Colour;
  /** Pixels of a level in sRGB; `absent` is the colour where the slide has no tile. */
  pixels(level: Level, absent: Rgb): PixelSource;
  base(absent: Rgb): PixelSource;
  overview(absent: Rgb): PixelSource;
}

/** @param signal ends what is under way; also that of later reads @throws what `inspectSeries` and `colourOf` refuse */
export async function openRemoteSeries(
  series: SeriesReference,
  access: SeriesAccess,
  signal: AbortSignal,
): Promise<RemoteSeries> {
  const slide = await inspectSeries(series, access, signal);
  const colour = await colourOf(
    await withWholeHeader(slide.levels.at(-1)!, series, access, signal),
    access.onInvalidProfile,
  );
  const batches = new FrameBatches(access.source, series, signal);
  const pixels = (level: Level, absent: Rgb): PixelSource => {
    const { rows, columns } = level;
    const formats = level.instances.map(({ dataset }) => ({
      rows,
      columns,
      photometricInterpretation: dataset.string('PhotometricInterpretation') ?? 'RGB',
      planarConfiguration: dataset.number('PlanarConfiguration') ?? 0,
    }));
    return new LevelSource(
      level,
      async ({ instance, frame }, readSignal) => {
        const bytes = await batches.frame(level.instances[instance]!.sopInstanceUid, frame + 1);
        const transferSyntaxUid = transferSyntaxOf(bytes, rows * columns * 3);
        return access.codecs.decode(
          bytes,
          { ...formats[instance]!, transferSyntaxUid },
          { table: colour.table, signal: readSignal },
        );
      },
      absent,
    );
  };
  return {
    slide,
    colour,
    pixels,
    base: (absent) => pixels(slide.levels[0]!, absent),
    overview: (absent) => pixels(overviewLevel(slide), absent),
  };
}

/**
 * The smallest level with the header of its first instance as stored: archives leave the ICC profile, which all levels
 * share, out of the metadata.
 */
async function withWholeHeader(
  level: Level,
  series: SeriesReference,
  access: SeriesAccess,
  signal: AbortSignal,
): Promise<Level> {
  await using spool = await createSpool(access.spoolDirectory);
  const [first, ...others] = level.instances;
  await using file = await fetchInstance(
    series,
    first!.sopInstanceUid,
    join(spool.directory, 'source.dcm'),
    access,
    signal,
  );
  return { ...level, instances: [{ ...first!, dataset: file.dataset }, ...others] };
}
