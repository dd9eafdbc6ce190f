/** An archive that is slow at single frames is queried for whole instances, which stay in the spool for a while. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { textOf } from '../../server/src/dicom/json-model.ts';
import { createTemporarySpool, openJobSpool } from '../../server/src/spool/spool.ts';
import { delay, type FaultProxy, hang, isInstance, startFaultProxy } from '../support/fault-proxy.ts';
import { testUid } from '../support/make-slide.ts';
import { IDENTITY } from '../support/normalize.ts';
import { frameOf, jsonOf, seriesIn, serveNormalized } from '../support/normalized.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';
import { tissueSlide } from '../support/tissue-slide.ts';

const isFrames = ({ url }: { url?: string | undefined }): boolean => /\/frames\//.test(url ?? '');
/** More than an archive may take for a frame. */
const SLOW_MS = 800;

let archive: ServedArchive;
let proxy: FaultProxy;
beforeAll(async () => {
  archive = await serveArchive();
  await mkdir(join(archive.folder, 'slide'));
  await writeFile(join(archive.folder, 'slide/1.dcm'), tissueSlide('slow').bytes);
  await archive.archive.rescan();
  proxy = await startFaultProxy(archive.url);
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await archive[Symbol.asyncDispose]();
});

async function frames(root: string, name = 'slow'): Promise<string> {
  const study = testUid(`${name} study`);
  const [series] = await seriesIn(root, study);
  const path = `${root}/studies/${study}/series/${series}`;
  const [instance] = await jsonOf(`${path}/instances`);
  return `${path}/instances/${textOf(instance!, '00080018')}/frames`;
}

it('returns the same frames from the instance from then on', { timeout: 60_000 }, async () => {
  await using quick = await serveNormalized(proxy.url);
  const expected = await frameOf(`${await frames(quick.root())}/5`);
  await using service = await serveNormalized(proxy.url, { sourceBytes: 1e9 });
  const slow = proxy.inject(isFrames, delay(SLOW_MS));
  const whole = proxy.inject(isInstance, ({ ask, pass }) => ask().then(pass));
  const all = await frames(service.root());
  expect((await frameOf(`${all}/5`)).equals(expected)).toBe(true);
  // Once for its header, once for its frames.
  await expect.poll(() => whole.met).toBe(2);
  await frameOf(`${all}/6`);
  const { met } = slow;
  for (const number of [7, 8, 9]) await frameOf(`${all}/${number}`);
  expect([slow.met, whole.met]).toEqual([met, 2]);
  proxy.heal();
  const { spool } = service.place;
  const kept = (await readdir(spool)).filter((name) => name.startsWith('temporary-'));
  expect(kept).toHaveLength(1);
});

it('requests frames if there is no room for the instance, and leaves nothing in the spool', {
  timeout: 60_000,
}, async () => {
  await using service = await serveNormalized(proxy.url, { sourceBytes: 1000 });
  const slow = proxy.inject(isFrames, delay(SLOW_MS));
  const all = await frames(service.root());
  await frameOf(`${all}/5`);
  const { met } = slow;
  await frameOf(`${all}/6`);
  expect(slow.met).toBe(met + 1);
  proxy.heal();
  const left = async (): Promise<string[]> =>
    (await readdir(service.place.spool)).filter((name) => name.startsWith('temporary-'));
  await expect.poll(left).toEqual([]);
});

it('does not wait for the instance again and again if it does not arrive', { timeout: 45_000 }, async () => {
  await using service = await serveNormalized(proxy.url, { sourceBytes: 1e9, waitMs: 8000 });
  const slow = proxy.inject(isFrames, delay(SLOW_MS));
  const all = await frames(service.root());
  // The first request of the instance is for its header.
  let instances = 0;
  proxy.inject(isInstance, (exchange) =>
    instances++ === 0 ? exchange.ask().then(exchange.pass) : hang(exchange),
  );
  // Each frame would wait, and the reads of the fit in sequence: longer than this test may take.
  for (const number of [5, 6, 7]) await frameOf(`${all}/${number}`);
  expect(slow.met).toBeGreaterThan(3);
  expect(instances).toBe(2);
  proxy.heal();
});

it('returns no frame of an instance that was replaced by another', { timeout: 60_000 }, async () => {
  const name = 'replaced';
  const file = join(archive.folder, 'slide/2.dcm');
  const darker = (rgb: Uint8Array): Uint8Array => rgb.map((value) => Math.max(0, value - 40));
  await writeFile(file, tissueSlide(name).bytes);
  await archive.archive.rescan();
  await using service = await serveNormalized(proxy.url, { sourceBytes: 1e9 });
  proxy.inject(isFrames, delay(SLOW_MS));
  const all = await frames(service.root(), name);
  await frameOf(`${all}/5`);
  const before = await frameOf(`${all}/6`);
  await writeFile(file, tissueSlide(name, { overrides: { PatientName: 'Corrected^A' } }, darker).bytes);
  await archive.archive.rescan();
  expect((await frameOf(`${all}/6`)).equals(before)).toBe(false);
  proxy.heal();
});

it('takes no room from a job that waits', { timeout: 60_000 }, async () => {
  await using service = await serveNormalized(proxy.url, { sourceBytes: 1e9 });
  const { spool } = service.place;
  const instance = tissueSlide('slow').bytes.length;
  const quotaBytes = 4 * instance;
  const job = await openJobSpool({ directory: spool, quotaBytes }, IDENTITY);
  await job.reserve({ minimum: 3.2 * instance, likely: 3.2 * instance });
  await writeFile(job.newFile('frames'), Buffer.alloc(Math.floor(3.2 * instance)));
  await job.take(Math.floor(3.2 * instance));
  await job.putDown('resting');
  await using temporary = await createTemporarySpool({ directory: spool, quotaBytes }, { onlyFree: true });
  await expect(temporary.reserve({ minimum: instance, likely: instance })).rejects.toMatchObject({
    code: 'SPOOL_FULL',
  });
  expect(await readdir(spool)).toContain(`job-${IDENTITY.seriesUuid}`);
  // It uses what is free.
  await temporary.reserve({ minimum: instance / 2, likely: instance / 2 });
});
