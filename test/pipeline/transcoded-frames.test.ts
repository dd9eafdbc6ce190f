/** Archives that do not know transfer-syntax=* decompress what they send: the pixels stay the same. */
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { WHITE } from '../../core/src/image/raster.ts';
import { chooseSeries } from '../../server/src/cli/choose-series.ts';
import { openSeries } from '../../server/src/pipeline/open-series.ts';
import { ProgressTracker } from '../../server/src/pipeline/progress.ts';
import { openRemoteSeries } from '../../server/src/pipeline/remote-series.ts';
import type { PixelSource } from '../../server/src/slide/pixel-source.ts';
import { answer, type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { createWorkplace, type Workplace } from '../support/normalize.ts';
import { repository } from '../support/peers.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';

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

/** The same corner of the slide through an archive, in the same way as a preview and as a job. */
async function cornersOf(url: string): Promise<Uint8Array[]> {
  await using location = await place.open(url);
  const environment = place.composition.environment({
    source: location.client,
    destination: location.client,
  });
  const series = await chooseSeries(location, {}, signal);
  const corner = (source: PixelSource) => source.read({ x: 100, y: 100, width: 300, height: 200 }, signal);
  const remote = await openRemoteSeries(series, environment, signal);
  await using fetched = await openSeries(series, environment, new ProgressTracker(() => {}), signal);
  const rasters = [await corner(remote.base(WHITE)), await corner(fetched.base(WHITE))];
  return rasters.map(({ rgb }) => rgb);
}

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
