/** Makes large slides for the benchmarks from the real pixels of the sample slide. */
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { blankRaster, type Raster, WHITE } from '../core/src/image/raster.ts';
import { LazyList } from '../core/src/lazy-list.ts';
import { densityAt } from '../core/src/stain/optical-density.ts';
import { chooseSeries } from '../server/src/cli/choose-series.ts';
import type { CodecPool } from '../server/src/codec/codec-pool.ts';
import { EncapsulatedInstance } from '../server/src/derived/encapsulated-instance.ts';
import type { Attributes, DataSet } from '../server/src/dicom/dataset.ts';
import { newUuid, uidFromUuid } from '../server/src/dicom/uid.ts';
import { LevelBuilder } from '../server/src/pipeline/build-levels.ts';
import { type OpenSeries, openSeries } from '../server/src/pipeline/open-series.ts';
import { ProgressTracker } from '../server/src/pipeline/progress.ts';
import type { Level } from '../server/src/slide/types.ts';
import { createTemporarySpool } from '../server/src/spool/spool.ts';
import { type ArchiveLocation, openArchiveLocation } from '../server/src/wiring/archive-location.ts';
import type { Composition } from '../server/src/wiring/composition.ts';

export interface BenchSlide {
  readonly columns: number;
  readonly rows: number;
  /** Fraction of the tiles that show tissue, from the top; the others are glass. */
  readonly tissue: number;
  /** A scanner's profile; if undefined, the pixels count as sRGB. */
  readonly iccProfile?: Uint8Array | undefined;
  /** Number of levels, each reduced by two. Default those of the sample, four. */
  readonly levels?: number | undefined;
}

const TILE = 256;
/** Fraction of tissue pixels from which on a tile of the sample counts as tissue. */
const TISSUE_TILE = 0.5;
/** Optical density from which on a pixel of the sample counts as tissue. */
const TISSUE_DENSITY = 0.13;
export const SAMPLE = fileURLToPath(new URL('sample', import.meta.url));

/** Opens the only slide of an archive. */
export async function openOnly(composition: Composition, archive: ArchiveLocation): Promise<OpenSeries> {
  const signal = new AbortController().signal;
  const series = await chooseSeries(archive, {}, signal);
  const environment = composition.environment({ source: archive.client, destination: archive.client });
  return openSeries(series, environment, new ProgressTracker(() => {}), signal);
}

/** Opens the sample slide, passes it to `work`, and closes it. */
export async function withSample<Result>(
  composition: Composition,
  work: (sample: OpenSeries) => Promise<Result>,
): Promise<Result> {
  await using archive = await openArchiveLocation(SAMPLE, composition.config, { create: false });
  await using sample = await openOnly(composition, archive);
  return await work(sample);
}

/** `makeBenchSlide` with the sample slide of the checkout. */
export function makeBenchSlideOfSample(
  folder: string,
  slide: BenchSlide,
  composition: Composition,
): Promise<void> {
  return withSample(composition, (sample) => makeBenchSlide(folder, slide, sample, composition.codecs));
}

/** Writes a pyramid into the folder; every tile is a real tissue tile of the sample, or glass. */
export async function makeBenchSlide(
  folder: string,
  { columns, rows, tissue, iccProfile, levels: count }: BenchSlide,
  sample: OpenSeries,
  codecs: CodecPool,
): Promise<void> {
  const signal = new AbortController().signal;
  await mkdir(folder, { recursive: true });
  const tiles = await sampleTiles(sample, signal);
  const study = uidFromUuid(newUuid());
  const series = uidFromUuid(newUuid());
  const own = sample.slide.levels;
  /** What the sample has for a level; beyond its last one, that. */
  const like = <T>(list: readonly T[], i: number): T => list[Math.min(i, list.length - 1)]!;
  const levels: Level[] = Array.from({ length: count ?? own.length }, (_, i) => {
    const level = like(own, i);
    const [totalColumns, totalRows] = [Math.floor(columns / 2 ** i), Math.floor(rows / 2 ** i)];
    const across = Math.ceil(totalColumns / TILE);
    const frames = new LazyList(across * Math.ceil(totalRows / TILE), (f) => ({
      instance: 0,
      frame: f,
      x: (f % across) * TILE,
      y: Math.floor(f / across) * TILE,
    }));
    const content = { columns: totalColumns, rows: totalRows };
    const reduction = { across: 2 ** i, down: 2 ** i };
    return { ...level, totalColumns, totalRows, frames, placement: { reduction, content } };
  });
  const tissueFrames = Math.ceil(tissue * levels[0]!.frames.length);
  const glassFrames = await Promise.all(
    tiles.glass.map((ofLevel) =>
      Promise.all(
        ofLevel.map(({ rgb }) =>
          codecs.encode(rgb.slice(), { rows: TILE, columns: TILE, encoding: 'jpeg', quality: 90 }, signal),
        ),
      ),
    ),
  );
  await using spool = await createTemporarySpool({ directory: folder });
  await using builder = await LevelBuilder.create(levels, {
    encoding: 'jpeg',
    quality: 90,
    codecs,
    spool,
    signal,
    concurrency: 4,
    padding: WHITE,
    // Glass tiles are made only once, so that slides of gigapixels take seconds.
    glass: {
      map: {
        isGlass: ({ x, y }) => (y / TILE) * Math.ceil(columns / TILE) + x / TILE >= tissueFrames,
      },
      absent: WHITE,
      pixels: async (level) => like(tiles.glass, levels.indexOf(level))[0]!,
      frame: async (level, { frame }) => {
        const ofLevel = like(glassFrames, levels.indexOf(level));
        return ofLevel[frame % ofLevel.length]!.slice();
      },
    },
  });
  for (const [f, { x, y }] of levels[0]!.frames.entries()) {
    if (f >= tissueFrames) break;
    const tile = tiles.tissue[f % tiles.tissue.length]!;
    await builder.add(cropped(tile, Math.min(TILE, columns - x), Math.min(TILE, rows - y)), { x, y });
  }
  await builder.finish();
  for (const [i, level] of levels.entries()) {
    const { dataset: ofSample } = like(own, i).instances[0]!;
    const [path, ...otherPaths] = ofSample.items('OpticalPathSequence');
    const dataset = ofSample.with({
      ...(iccProfile && { OpticalPathSequence: [path!.with({ ICCProfile: iccProfile }), ...otherPaths] }),
      StudyInstanceUID: study,
      SeriesInstanceUID: series,
      SOPInstanceUID: uidFromUuid(newUuid()),
      ...coarser(ofSample, 2 ** Math.max(0, i - own.length + 1)),
      TotalPixelMatrixColumns: level.totalColumns,
      TotalPixelMatrixRows: level.totalRows,
      NumberOfFrames: level.frames.length,
    });
    const instance = new EncapsulatedInstance({
      dataset,
      transferSyntaxUid: '1.2.840.10008.1.2.4.50',
      spool: builder.spools[i]!,
    });
    await pipeline(Readable.from(instance.stream(signal)), createWriteStream(join(folder, `level-${i}.dcm`)));
  }
}

/** The Pixel Spacing of a header, so many times as large. */
function coarser(header: DataSet, times: number): Attributes {
  const [shared] = header.items('SharedFunctionalGroupsSequence');
  const [measures] = shared!.items('PixelMeasuresSequence');
  const PixelSpacing = measures!.numbers('PixelSpacing').map((spacing) => spacing * times);
  return {
    SharedFunctionalGroupsSequence: [
      shared!.with({ PixelMeasuresSequence: [measures!.with({ PixelSpacing })] }),
    ],
  };
}

async function sampleTiles(
  sample: OpenSeries,
  signal: AbortSignal,
): Promise<{ tissue: Raster[]; glass: Raster[][] }> {
  const base = sample.base(WHITE);
  const tissue: Raster[] = [];
  for (let y = 0; y + TILE <= base.height; y += TILE)
    for (let x = 0; x + TILE <= base.width; x += TILE) {
      const tile = await base.read({ x, y, width: TILE, height: TILE }, signal);
      if (tissueOf(tile) >= TISSUE_TILE) tissue.push(tile);
    }
  const glass = NOISE.map((noise) =>
    Array.from({ length: GLASS_TILES }, (_, seed) => noisyGlass(seed + 1, noise)),
  );
  return { tissue, glass };
}

/** Number of different glass tiles, so that no two neighbours have the same bytes. */
const GLASS_TILES = 64;
/** Sensor noise of a scanner on each level, in grey levels, either way: averaging four pixels halves it. */
const NOISE = [3, 2, 1, 1];

function noisyGlass(seed: number, noise: number): Raster {
  const raster = blankRaster(TILE, TILE, [243, 242, 243]);
  let state = seed * 48271;
  for (let i = 0; i < raster.rgb.length; i++) {
    state = (state * 48271) % 2147483647;
    raster.rgb[i]! += (state % (2 * noise + 1)) - noise;
  }
  return raster;
}

function tissueOf({ width, height, rgb }: Raster): number {
  let pixels = 0;
  for (let i = 0; i < width * height; i++) if (densityAt(rgb, i) > TISSUE_DENSITY) pixels++;
  return pixels / (width * height);
}

function cropped(tile: Raster, width: number, height: number): Raster {
  if (width === tile.width && height === tile.height) return tile;
  const raster = blankRaster(width, height);
  for (let y = 0; y < height; y++)
    raster.rgb.set(tile.rgb.subarray(y * tile.width * 3, (y * tile.width + width) * 3), y * width * 3);
  return raster;
}

/** Display P3, standing in for a scanner with its own primaries. */
export async function scannerProfile(): Promise<Uint8Array> {
  const pixel = sharp({ create: { width: 1, height: 1, channels: 3, background: '#000' } });
  const png = await pixel.withIccProfile('p3').png().toBuffer();
  return (await sharp(png).metadata()).icc!;
}
