/** Archives that do not know transfer-syntax=* decompress what they send: the pixels stay the same. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { WHITE } from '../../core/src/image/raster.ts';
import { chooseSeries } from '../../server/src/cli/choose-series.ts';
import { openSeries } from '../../server/src/pipeline/open-series.ts';
import { ProgressTracker } from '../../server/src/pipeline/progress.ts';
import { openRemoteSeries } from '../../server/src/pipeline/remote-series.ts';
import type { SlidePixels } from '../../server/src/pipeline/slide-pixels.ts';
import { encodeRle, encodeUntransformed } from '../codec/encoders.ts';
import { answer, type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { createWorkplace, type Workplace } from '../support/normalize.ts';
import { repository } from '../support/peers.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';
import { tilesOf } from '../support/tiles.ts';
import { tissue } from '../support/tissue.ts';
import { tissueSlide } from '../support/tissue-slide.ts';

const signal = new AbortController().signal;
let place: Workplace;
let archive: ServedArchive;
let proxy: FaultProxy;

beforeAll(async () => {
  place = await createWorkplace();
  const folder = await place.fill(
    'source',
    ...[1, 2, 3].map((level) => join(repository, `scripts/sample/level-${level}.dcm`)),
  );
  archive = await serveArchive({ folder });
  await archive.archive.rescan();
  proxy = await startFaultProxy(archive.url);
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await archive[Symbol.asyncDispose]();
  await place[Symbol.asyncDispose]();
});

afterEach(() => proxy.heal());

/** The slide of an archive, opened in the same way as for a preview and for a job. */
async function withSlide<T>(url: string, use: (...opened: SlidePixels[]) => Promise<T>): Promise<T> {
  await using location = await place.open(url);
  const environment = place.composition.environment({
    source: location.client,
    destination: location.client,
  });
  const series = await chooseSeries(location, {}, signal);
  const remote = await openRemoteSeries(series, environment, signal);
  await using fetched = await openSeries(series, environment, new ProgressTracker(() => {}), signal);
  return await use(remote, fetched);
}

const cornersOf = (url: string): Promise<Uint8Array[]> =>
  withSlide(url, async (...opened) => {
    const corners: Uint8Array[] = [];
    for (const slide of opened) {
      const { rgb } = await slide.base(WHITE).read({ x: 100, y: 100, width: 300, height: 200 }, signal);
      corners.push(rgb);
    }
    return corners;
  });

it.each([
  ['frames', /\/frames\//],
  ['instances', /\/instances\/[\d.]+$/],
  ['frames and instances', /./],
])('%s of which no transfer syntax may be named show the same', async (_, path) => {
  const refusal = proxy.inject(
    ({ url, headers }) => path.test(url!) && /transfer-syntax/.test(headers.accept ?? ''),
    answer(406),
  );
  const expected = await cornersOf(archive.url);
  const found = await cornersOf(proxy.url);
  expect(refusal.met).toBeGreaterThan(0);
  for (const [i, rgb] of found.entries()) {
    const maxError = rgb.reduce(
      (worst, value, at) => Math.max(worst, Math.abs(value - expected[i]![at]!)),
      0,
    );
    expect(maxError).toBeLessThanOrEqual(3);
  }
});

it('a damaged frame does not hide the others if their colours must be found, and is named when it is read', async () => {
  const frames = tilesOf(tissue(512, 512, { part: 0.7 }), 128).map(encodeRle);
  frames[3] = frames[3]!.subarray(0, 300);
  const labelled = { transferSyntaxUid: '1.2.840.10008.1.2.5', photometricInterpretation: 'YBR_FULL_422' };
  const slide = tissueSlide('damaged', { ...labelled, frames });
  const folder = join(place.folder, 'damaged');
  await mkdir(folder);
  await writeFile(join(folder, 'slide.dcm'), slide.bytes);
  await withSlide(folder, async (...opened) => {
    for (const { base } of opened) {
      const tile = (x: number) => base(WHITE).read({ x, y: 0, width: 128, height: 128 }, signal);
      const { rgb } = await tile(0);
      expect(rgb).toEqual(tilesOf(tissue(512, 512, { part: 0.7 }), 128)[0]);
      await expect(tile(384)).rejects.toMatchObject({
        code: 'FRAME_INVALID',
        data: { sopInstanceUid: slide.sopInstanceUid, frame: 4 },
      });
    }
  });
});

it('JPEG 2000 named after a colour transform that its codestreams lack shows its true colours', async () => {
  const tiles = tilesOf(tissue(512, 512, { part: 0.7 }), 128);
  const frames = await Promise.all(tiles.map((rgb) => encodeUntransformed(rgb, 128, 128)));
  const labelled = { transferSyntaxUid: '1.2.840.10008.1.2.4.201', photometricInterpretation: 'YBR_RCT' };
  const folder = join(place.folder, 'untransformed');
  await mkdir(folder);
  await writeFile(join(folder, 'slide.dcm'), tissueSlide('untransformed', { ...labelled, frames }).bytes);
  await withSlide(folder, async (...opened) => {
    for (const { base } of opened) {
      const { rgb } = await base(WHITE).read({ x: 0, y: 0, width: 128, height: 128 }, signal);
      expect(rgb).toEqual(tiles[0]);
    }
  });
});
