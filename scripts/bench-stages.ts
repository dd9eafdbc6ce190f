/** The stages of the pipeline one at a time, without overlap, and the network by itself. */

import { createWriteStream } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { StoredFrame } from '../core/src/codec/frame-format.ts';
import { Pyramid } from '../core/src/image/pyramid.ts';
import { WHITE } from '../core/src/image/raster.ts';
import { windowsOf } from '../core/src/image/windows.ts';
import type { LinearTables } from '../core/src/stain/linear-tables.ts';
import { paperCoefficients } from '../core/src/stain/paper.ts';
import { chooseSeries } from '../server/src/cli/choose-series.ts';
import { colourMap } from '../server/src/codec/colour-map.ts';
import { textOf } from '../server/src/dicom/json-model.ts';
import type { OpenSeries } from '../server/src/pipeline/open-series.ts';
import { mapAtOnce } from '../server/src/sharing/map-at-once.ts';
import { contentGrid } from '../server/src/slide/placement.ts';
import { FrameSpool } from '../server/src/spool/frame-spool.ts';
import { openArchiveLocation } from '../server/src/wiring/archive-location.ts';
import { type Place, type Row, signal, TEMPLATE, timed } from './bench-run.ts';
import { openOnly } from './bench-slide.ts';

/** Runs only the network on the slide's own windows, which are read beforehand. */
export async function bareLoop(
  place: Place,
  open: OpenSeries,
  model: string,
  count: number,
): Promise<number> {
  const network = await place.composition.network(model);
  const template = await place.composition.templates.get(TEMPLATE);
  const base = open.base(WHITE);
  const { halo, alignment, classNames } = network.model;
  const windows = [
    ...windowsOf(base.width, base.height, { halo, alignment, coreSize: network.coreSize }),
  ].slice(0, count);
  const rasters = [];
  for (const window of windows) rasters.push(await base.read(window, signal));
  const coefficients = paperCoefficients({ ...template, glassDensity: 0.03 }, template, classNames);
  const pixels = windows.reduce((sum, { core }) => sum + core.width * core.height, 0);
  const start = performance.now();
  // All at once: the network takes as many at a time as its device can.
  await Promise.all(
    rasters.map(({ width, height, rgb }) =>
      network.apply({ tile: rgb, width, height, coefficients }, signal),
    ),
  );
  return pixels / 1e3 / (performance.now() - start);
}

/** Number of 256 x 256 frames that go to a thread together, as in the pipeline. */
const BATCH = 16;

/**
 * Only decodes, maps with tables and encodes the slide's own frames, whose stored bytes are read beforehand, with as
 * many frames at once as the pipeline.
 * @returns megapixels per second
 */
export async function bareMap(
  place: Place,
  open: OpenSeries,
  transfer: LinearTables,
  count: number,
): Promise<number> {
  const { codecs } = place.composition;
  const level = open.slide.levels[0]!;
  const { rows, columns } = level;
  const chosen = Array.from(
    { length: count },
    (_, i) => level.frames.at(Math.floor((i * level.frames.length) / count))!,
  );
  const stored: StoredFrame[] = [];
  for (const position of chosen) stored.push(await open.storedFrame(level, position, signal));
  const output = { rows, columns, encoding: 'jpeg', quality: 90 } as const;
  const colours = colourMap(open.colour.table, transfer);
  const batches = Array.from({ length: Math.ceil(count / BATCH) }, (_, i) =>
    stored.slice(i * BATCH, (i + 1) * BATCH),
  );
  const start = performance.now();
  await mapAtOnce(batches, 2 * availableParallelism(), (batch) =>
    codecs.map(
      batch.map(({ bytes }) => ({ bytes, extent: { x: 0, y: 0, width: columns, height: rows } })),
      batch[0]!.format,
      { colours, output, signal },
    ),
  );
  return (count * rows * columns) / 1e3 / (performance.now() - start);
}

export async function stages(place: Place, source: string): Promise<Row[]> {
  const { composition } = place;
  await using archive = await openArchiveLocation(source, composition.config, { create: false });
  const series = await chooseSeries(archive, {}, signal);
  const instances = await archive.client.searchInstances(
    { StudyInstanceUID: series.studyInstanceUid, SeriesInstanceUID: series.seriesInstanceUid },
    signal,
  );
  await using open = await openOnly(composition, archive);
  const level = open.slide.levels[0]!;
  const megapixels = (level.totalColumns * level.totalRows) / 1e6;
  const rows: Row[] = [];
  rows.push(
    await timed('fetch (all levels, DICOMweb to disk)', megapixels, async () => {
      for (const [i, instance] of instances.entries()) {
        const uid = String(textOf(instance, '00080018'));
        await pipeline(
          archive.client.retrieveInstance(series.studyInstanceUid, series.seriesInstanceUid, uid, signal),
          createWriteStream(join(place.folder, `fetch-${i}`)),
        );
      }
    }),
  );
  const base = open.base(WHITE);
  const bands = Array.from({ length: Math.ceil(base.height / 1024) }, (_, i) => ({
    x: 0,
    y: i * 1024,
    width: base.width,
    height: Math.min(1024, base.height - i * 1024),
  }));
  rows.push(
    await timed('decode (codec threads)', megapixels, async () => {
      for (const band of bands) await base.read(band, signal);
    }),
  );
  const band = await base.read(bands[0]!, signal);
  rows.push(
    await timed('average (all levels)', megapixels, async () => {
      const pyramid = new Pyramid(open.slide.levels.map(contentGrid), async () => {});
      for (const { y, height } of bands)
        await pyramid.add(
          { ...band, height, rgb: band.rgb.subarray(0, band.width * height * 3) },
          { x: 0, y },
        );
    }),
  );
  const { rows: tileRows, columns: tileColumns } = level;
  const tile = (await base.read({ x: 0, y: 0, width: tileColumns, height: tileRows }, signal)).rgb;
  const frames = Math.floor((megapixels * 1e6) / (tileRows * tileColumns));
  const encoded: Uint8Array[] = [];
  rows.push(
    await timed('encode (codec threads)', megapixels, async () => {
      for (let i = 0; i < frames; i += 8)
        encoded.push(
          ...(await Promise.all(
            Array.from({ length: Math.min(8, frames - i) }, () =>
              composition.codecs.encode(
                tile.slice(),
                { rows: tileRows, columns: tileColumns, encoding: 'jpeg', quality: 90 },
                signal,
              ),
            ),
          )),
        );
    }),
  );
  rows.push(
    await timed('write (frame spool)', megapixels, async () => {
      await using spool = await FrameSpool.create(join(place.folder, 'bench-frames'), encoded.length);
      for (const [i, bytes] of encoded.entries()) await spool.append(i, bytes);
    }),
  );
  return rows;
}
