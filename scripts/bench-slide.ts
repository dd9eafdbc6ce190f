/** Makes large slides for the benchmark out of the real pixels of the sample slide. */
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { CodecPool } from '../server/src/codec/codec-pool.ts';
import { EncapsulatedInstance } from '../server/src/dicom/encapsulated-instance.ts';
import { newUuid, uidFromUuid } from '../server/src/dicom/uid.ts';
import { LevelBuilder } from '../server/src/normalization/build-levels.ts';
import type { OpenSeries } from '../server/src/normalization/open-series.ts';
import { createSpool } from '../server/src/normalization/spool.ts';
import { blankRaster, type Raster, WHITE } from '../server/src/slide/raster.ts';
import type { Level } from '../server/src/slide/types.ts';

export interface BenchSlide {
  readonly columns: number;
  readonly rows: number;
  /** Part of the tiles that show tissue, from the top; the others are glass. */
  readonly tissue: number;
}

const TILE = 256;

/** Writes a pyramid of four levels into the folder, every tile of it a real tile of the sample, or glass. */
export async function makeBenchSlide(
  folder: string,
  { columns, rows, tissue }: BenchSlide,
  sample: OpenSeries,
  codecs: CodecPool,
): Promise<void> {
  const signal = new AbortController().signal;
  await mkdir(folder, { recursive: true });
  const tiles = await sampleTiles(sample, signal);
  const study = uidFromUuid(newUuid());
  const series = uidFromUuid(newUuid());
  const levels: Level[] = sample.slide.levels.map((level, i) => {
    const [totalColumns, totalRows] = [Math.floor(columns / 2 ** i), Math.floor(rows / 2 ** i)];
    const across = Math.ceil(totalColumns / TILE);
    const frames = Array.from({ length: across * Math.ceil(totalRows / TILE) }, (_, f) => ({
      instance: 0,
      frame: f,
      x: (f % across) * TILE,
      y: Math.floor(f / across) * TILE,
    }));
    return { ...level, totalColumns, totalRows, frames };
  });
  await using spool = await createSpool(folder);
  await using builder = await LevelBuilder.create(levels, {
    encoding: 'jpeg',
    quality: 90,
    codecs,
    spool,
    signal,
    concurrency: 4,
  });
  const { frames } = levels[0]!;
  for (const [f, { x, y }] of frames.entries()) {
    const tile = f < tissue * frames.length ? tiles.tissue[f % tiles.tissue.length]! : tiles.glass;
    await builder.add(cropped(tile, Math.min(TILE, columns - x), Math.min(TILE, rows - y)), { x, y });
  }
  const spools = await builder.finish();
  for (const [i, level] of levels.entries()) {
    const dataset = sample.slide.levels[i]!.instances[0]!.dataset.with({
      StudyInstanceUID: study,
      SeriesInstanceUID: series,
      SOPInstanceUID: uidFromUuid(newUuid()),
      TotalPixelMatrixColumns: level.totalColumns,
      TotalPixelMatrixRows: level.totalRows,
      NumberOfFrames: level.frames.length,
    });
    const instance = new EncapsulatedInstance({
      dataset,
      transferSyntaxUid: '1.2.840.10008.1.2.4.50',
      spool: spools[i]!,
    });
    await pipeline(Readable.from(instance.stream(signal)), createWriteStream(join(folder, `level-${i}.dcm`)));
  }
}

async function sampleTiles(
  sample: OpenSeries,
  signal: AbortSignal,
): Promise<{ tissue: Raster[]; glass: Raster }> {
  const base = sample.base(WHITE);
  const tissue: Raster[] = [];
  for (let y = 0; y + TILE <= base.height; y += TILE)
    for (let x = 0; x + TILE <= base.width; x += TILE)
      tissue.push(await base.read({ x, y, width: TILE, height: TILE }, signal));
  return { tissue, glass: blankRaster(TILE, TILE, [243, 242, 243]) };
}

function cropped(tile: Raster, width: number, height: number): Raster {
  if (width === tile.width && height === tile.height) return tile;
  const raster = blankRaster(width, height);
  for (let y = 0; y < height; y++)
    raster.rgb.set(tile.rgb.subarray(y * tile.width * 3, (y * tile.width + width) * 3), y * width * 3);
  return raster;
}
