/** A region normalised at once, from frames that are fetched for it, against what a job stores. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ArchiveLocation } from '../../server/src/cli/archive-location.ts';
import { chooseSeries } from '../../server/src/cli/choose-series.ts';
import { srgbProfile } from '../../server/src/codec/icc.ts';
import type { Frame } from '../../server/src/dicomweb/retrieve-frames.ts';
import { openSeries, type SeriesReference } from '../../server/src/normalization/open-series.ts';
import { previewRegion } from '../../server/src/normalization/preview-region.ts';
import { ProgressTracker } from '../../server/src/normalization/progress.ts';
import { openRemoteSeries } from '../../server/src/normalization/remote-series.ts';
import { readSeriesStain } from '../../server/src/normalization/series-stain.ts';
import type { Raster } from '../../server/src/slide/raster.ts';
import { WHITE } from '../../server/src/slide/raster.ts';
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
  series = await chooseSeries(source.client, {}, signal);
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
  it('shows on the base level the very pixels that a job stores', async () => {
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

  it('is made of the coarsest level that has the pixels asked for', async () => {
    const region = { x: 0, y: 0, width: 2048, height: 1024 };
    expect((await preview({ transfer: 'linear', region, size: 1000 })).width).toBe(1024);
    expect((await preview({ transfer: 'linear', region, size: 1025 })).width).toBe(2048);
    expect((await preview({ transfer: 'linear', region, size: 100 })).width).toBe(256);
  });

  it('fetches frames of the region only, in few requests', async () => {
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

  it('has the colours of frames that an archive decompressed under their old name', async () => {
    // Half glass: RGB samples, with the name that JPEG had.
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
      const remote = await openRemoteSeries(await chooseSeries(client, {}, signal), access, signal);
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
