/** A region normalised immediately, from frames fetched for it, compared with what a job stores. */
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BlockMean } from '../../core/src/image/block-mean.ts';
import type { Raster } from '../../core/src/image/raster.ts';
import { blankRaster, copyOverlap, WHITE } from '../../core/src/image/raster.ts';
import { chooseSeries } from '../../server/src/cli/choose-series.ts';
import { srgbProfile } from '../../server/src/codec/icc.ts';
import type { Frame } from '../../server/src/dicomweb/retrieve-frames.ts';
import { openSeries } from '../../server/src/pipeline/open-series.ts';
import { previewRegion } from '../../server/src/pipeline/preview-region.ts';
import { ProgressTracker } from '../../server/src/pipeline/progress.ts';
import { openRemoteSeries } from '../../server/src/pipeline/remote-series.ts';
import type { SeriesReference } from '../../server/src/pipeline/series-reference.ts';
import { readSeriesStain } from '../../server/src/pipeline/series-stain.ts';
import type { ArchiveLocation } from '../../server/src/wiring/archive-location.ts';
import { testFrame } from '../codec/frames.ts';
import { EXPLICIT_LITTLE_ENDIAN, makeSlideInstance } from '../support/make-slide.ts';
import { createWorkplace, normalizeOnlySlide, TEMPLATE, type Workplace } from '../support/normalize.ts';
import { repository } from '../support/peers.ts';

const { signal } = new AbortController();
let place: Workplace;
let source: ArchiveLocation;
let series: SeriesReference;
beforeAll(async () => {
  place = await createWorkplace();
  source = await place.open(await place.fill('source', join(repository, 'scripts/sample')));
  series = await chooseSeries(source, {}, signal);
});
afterAll(async () => {
  await source[Symbol.asyncDispose]();
  await place[Symbol.asyncDispose]();
});

async function preview(
  wanted: Parameters<typeof previewRegion>[1],
  from: ArchiveLocation = source,
): Promise<Raster> {
  const access = place.composition.environment({ source: from.client, destination: from.client });
  const network = await place.composition.network('fast');
  const stain = await readSeriesStain(series, network, access, signal);
  const template = await place.composition.templates.get(TEMPLATE);
  return previewRegion(stain, wanted, template, network, signal);
}

describe('preview of a region', () => {
  it('shows on the base level exactly the pixels that a job stores', async () => {
    await using destination = await place.open(await place.fill('result'));
    const stored = await normalizeOnlySlide(place, source, destination, { model: 'fast', encoding: 'htj2k' });
    const access = place.composition.environment({
      source: destination.client,
      destination: destination.client,
    });
    await using result = await openSeries(stored, access, new ProgressTracker(() => {}), signal);
    const region = { x: 301, y: 1205, width: 515, height: 333 };
    const expected = await result.base(WHITE).read(region, signal);
    const shown = await preview({ transfer: 'linear', region, size: 515 });
    expect([shown.width, shown.height]).toEqual([515, 333]);
    expect(Buffer.compare(shown.rgb, expected.rgb)).toBe(0);
  });

  it('is made from the coarsest level that has the requested number of pixels', async () => {
    const region = { x: 0, y: 0, width: 512, height: 256 };
    expect((await preview({ transfer: 'linear', region, size: 250 })).width).toBe(256);
    expect((await preview({ transfer: 'linear', region, size: 257 })).width).toBe(512);
    expect((await preview({ transfer: 'linear', region, size: 25 })).width).toBe(64);
  });

  it('is averaged where no level of the slide is small enough', async () => {
    const folder = await place.fill('base alone', join(repository, 'scripts/sample'));
    for (const file of await readdir(folder)) if (file !== 'level-0.dcm') await rm(join(folder, file));
    await using alone = await place.open(folder);
    const whole = { x: 0, y: 0, width: 2220, height: 2967 };
    const small = await preview({ transfer: 'linear', region: whole, size: 320 }, alone);
    expect([small.width, small.height]).toEqual([1110, 1484]);
    const part = { x: 400, y: 1200, width: 64, height: 64 };
    const full = await preview({ transfer: 'linear', region: part, size: 64 }, alone);
    const mean = new BlockMean(64, 64, 2);
    mean.add(full, 0, 0);
    const shown = blankRaster(32, 32);
    copyOverlap(small, { x: 0, y: 0 }, shown, { x: 200, y: 600 });
    expect(Buffer.compare(shown.rgb, mean.picture().rgb)).toBe(0);
    await expect(preview({ transfer: 'paper', region: whole, size: 320 }, alone)).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    });
  });

  it('fetches only the frames of the region, in few requests', async () => {
    const requests: number[] = [];
    const counting: ArchiveLocation = {
      ...source,
      client: {
        ...source.client,
        retrieveFrames: (study, of, sop, numbers, own): AsyncIterable<Frame> => {
          requests.push(numbers.length);
          return source.client.retrieveFrames(study, of, sop, numbers, own);
        },
      },
    };
    const access = place.composition.environment({ source: counting.client, destination: counting.client });
    const remote = await openRemoteSeries(series, access, signal);
    const raster = await remote.base(WHITE).read({ x: 600, y: 600, width: 400, height: 400 }, signal);
    expect(raster.width).toBe(400);
    expect(requests).toEqual([4]);
  });

  it('has the right colours if an archive decompressed frames but kept their old name', async () => {
    // Half glass: RGB samples under the name that JPEG had.
    const rgb = testFrame(256, 256);
    rgb.fill(243, 0, rgb.length / 2);
    const read = async (photometricInterpretation: string): Promise<Raster> => {
      const bytes = makeSlideInstance({
        rows: 256,
        columns: 256,
        totalRows: 512,
        totalColumns: 512,
        frames: [rgb, rgb, rgb, rgb],
        transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN,
        photometricInterpretation,
        iccProfile: await srgbProfile(),
      });
      const folder = await place.fill(photometricInterpretation);
      await writeFile(join(folder, 'slide.dcm'), bytes);
      await using archive = await place.open(folder);
      const { client } = archive;
      const access = place.composition.environment({ source: client, destination: client });
      const remote = await openRemoteSeries(await chooseSeries({ client }, {}, signal), access, signal);
      return await remote.base(WHITE).read({ x: 100, y: 100, width: 300, height: 300 }, signal);
    };
    const expected = await read('RGB');
    for (const named of ['YBR_FULL_422', 'YBR_FULL', 'YBR_ICT'])
      expect(Buffer.compare((await read(named)).rgb, expected.rgb)).toBe(0);
  });

  it('of a region beyond the slide is refused', async () => {
    await expect(
      preview({ transfer: 'linear', region: { x: 2000, y: 0, width: 500, height: 10 }, size: 100 }),
    ).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });
});
