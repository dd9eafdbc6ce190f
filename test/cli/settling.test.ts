/** `normalize-all` waits for slides that are still being written or sent. */
import { cp, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chooseSeries } from '../../server/src/cli/choose-series.ts';
import { normalizeOnce } from '../../server/src/cli/normalize-once.ts';
import { Settling } from '../../server/src/cli/settling.ts';
import type { DicomWebClient } from '../../server/src/dicomweb/client.ts';
import { createWorkplace, TEMPLATE, type Workplace } from '../support/normalize.ts';
import { repository } from '../support/peers.ts';
import { serveArchive } from '../support/serve-archive.ts';

const SAMPLE = join(repository, 'scripts/sample');
const signal = new AbortController().signal;

let place: Workplace;
beforeAll(async () => {
  place = await createWorkplace();
});
afterAll(() => place[Symbol.asyncDispose]());

it('takes a slide of an archive whose instances have stayed the same, and no other', async () => {
  const folder = await place.fill('growing', join(SAMPLE, 'level-2.dcm'), join(SAMPLE, 'level-3.dcm'));
  await using served = await serveArchive({ folder });
  await using source = await place.open(served.url);
  const environment = place.composition.environment({ source: source.client, destination: source.client });
  const series = await chooseSeries(source, {}, signal);
  const settling = new Settling(source, environment, 0.2);
  const before = await settling.settled(series, signal);
  expect(before).toMatch(/^[0-9a-f]{64}$/);

  await cp(join(SAMPLE, 'level-1.dcm'), join(folder, 'level-1.dcm'));
  await served.archive.rescan();
  const request = {
    ...series,
    template: TEMPLATE,
    model: 'fast',
    transfer: 'linear',
    encoding: 'jpeg',
    quality: 90,
  } as const;
  const once = normalizeOnce(request, environment, { signal, expectedSource: before!, onProgress() {} });
  await expect(once).rejects.toMatchObject({ code: 'SERIES_ARRIVING' });

  settling.lookAt(series, signal);
  const after = await settling.settled(series, signal);
  expect(after).not.toBe(before);
});

it('sees files that arrive in a folder meanwhile, whatever their times, and stops waiting when none arrive', async () => {
  const folder = await place.fill('copied', join(SAMPLE, 'level-3.dcm'));
  // As copied with the times of the scanner.
  await utimes(join(folder, 'level-3.dcm'), 1e9, 1e9);
  await using source = await place.open(folder);
  const environment = place.composition.environment({ source: source.client, destination: source.client });
  const series = await chooseSeries(source, {}, signal);
  const settling = new Settling(source, environment, 1);
  const before = await settling.settled(series, signal);
  await cp(join(SAMPLE, 'level-2.dcm'), join(folder, 'level-2.dcm'));
  settling.lookAt(series, signal);
  expect(await settling.settled(series, signal)).not.toBe(before);
  const quiet = () => new Settling(source, environment, 1).settled(series, signal);
  await expect.poll(quiet, { timeout: 20_000 }).toBeUndefined();
});

it('reads no headers of a slide whose files have been there for a while', async () => {
  let read = 0;
  const source = { seriesMetadata: async () => void read++ } as unknown as DicomWebClient;
  const environment = place.composition.environment({ source, destination: source });
  const settling = new Settling({ changedAtMs: async () => 0 }, environment, 30);
  const slide = { studyInstanceUid: '1.2', seriesInstanceUid: '1.2.3' };
  settling.lookAt(slide, signal);
  expect(await settling.settled(slide, signal)).toBeUndefined();
  expect(read).toBe(0);
});
