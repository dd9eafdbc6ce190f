/** "My slide": the slide under every template, in pictures that are those of the result. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Job } from '../../core/src/contract/index.ts';
import { ciede2000, labOf } from '../../core/src/stain/ciede2000.ts';
import type { SlideSeries } from '../../extension/src/state.ts';
import { repository } from '../support/peers.ts';
import { browserMissing, type OpenPage } from '../support/viewer.ts';
import { button, PANEL, until } from './panel.ts';
import { sampleSuite } from './sample-suite.ts';

describe.skipIf(browserMissing)('my slide under every template', () => {
  const sample = sampleSuite();
  let opened: OpenPage;
  let page: Page;

  beforeAll(async () => {
    opened = await sample.open();
    page = opened.page;
    await page.goto(`${sample.url}stain?StudyInstanceUIDs=${sample.study}`);
    await until(page, ({ series, templates, stain }) =>
      Boolean(series && templates.state === 'ready' && stain.state === 'ready'),
    );
  }, 240_000);

  const pictures = () => page.locator(`${PANEL} .templates img`);
  const snapshot = (name: string) => page.screenshot({ path: join(repository, 'e2e-output', `${name}.png`) });

  test('shows what a job makes of the slide, under each template', async () => {
    await button(page, 'My slide').click();
    const {
      source,
      templates,
      pictures: shown,
    } = await until(
      page,
      (state) =>
        state.templates.state === 'ready' &&
        state.templates.value.every(({ id }) => state.pictures.urls[id] !== undefined),
    );
    // Turned as the viewer turns the sample.
    expect(shown.turns).toBe(2);
    await snapshot('my-slide');
    expect(await pictures().count()).toBe(templates.state === 'ready' ? templates.value.length : 0);
    for (const [template, url] of Object.entries(shown.urls)) {
      const stored = await storedPicture(sample.url, source!, template);
      expect(await difference(Buffer.from(url.split(',')[1]!, 'base64'), stored), template).toBeLessThan(1);
    }
    expect(opened.faults).toEqual([]);
  }, 240_000);

  test('shows what is in view, at the transfer that is chosen', async () => {
    await button(page, 'What I see').click();
    const linear = await until(
      page,
      ({ pictures: { of, urls } }) => of === 'view' && Object.keys(urls).length >= 3,
    );
    await page.locator(PANEL).getByLabel('Transfer').selectOption('paper');
    const paper = await until(
      page,
      ({ transfer, pictures: { of, urls } }) =>
        transfer === 'paper' && of === 'view' && Object.keys(urls).length >= 3,
    );
    await snapshot('my-view-paper');
    for (const [template, url] of Object.entries(paper.pictures.urls))
      expect(url).not.toBe(linear.pictures.urls[template]);
    await button(page, 'Templates').click();
    await until(page, ({ pictures: { of } }) => of === 'template');
  }, 240_000);

  test('shows the templates again, and the reason, where the service cannot make the pictures', async () => {
    await page.route('**/api/preview', (route) => route.abort());
    await button(page, 'My slide').click();
    const { pictures: shown } = await until(page, ({ error }) => error !== null);
    expect(shown.of).toBe('template');
    await page.locator(PANEL).getByRole('alert').waitFor();
  }, 60_000);
});

interface Instance {
  readonly '00080018': { readonly Value: [string] };
  readonly '00280010': { readonly Value: [number] };
  readonly '00280011': { readonly Value: [number] };
  readonly '00480006': { readonly Value: [number] };
  readonly '00480007': { readonly Value: [number] };
}

async function json<T>(address: URL, init?: RequestInit): Promise<T> {
  const answer = await fetch(address, init);
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
}

/** What a job stores of the slide under a template: its coarsest level, put together of the frames that the archive renders. */
async function storedPicture(root: string, source: SlideSeries, template: string): Promise<Buffer> {
  const { studyInstanceUid: study, seriesInstanceUid } = source;
  const { id } = await json<{ id: string }>(new URL('api/normalizations', root), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ studyInstanceUid: study, seriesInstanceUid, template }),
  });
  const ended = async (): Promise<string> => {
    const { state, result, error } = await json<Job>(new URL(`api/normalizations/${id}`, root));
    if (state === 'FAILED') throw new Error(JSON.stringify(error));
    return result?.seriesInstanceUid ?? '';
  };
  await expect.poll(ended, { timeout: 60_000 }).not.toBe('');
  const series = new URL(`dicom-web/studies/${study}/series/${await ended()}/`, root);
  const levels = await json<Instance[]>(new URL('metadata', series));
  const level = levels.toSorted((a, b) => a['00480006'].Value[0] - b['00480006'].Value[0])[0]!;
  const [sop, rows, columns, width, height] = (
    ['00080018', '00280010', '00280011', '00480006', '00480007'] as const
  ).map((tag) => level[tag].Value[0]) as [string, number, number, number, number];
  const across = Math.ceil(width / columns);
  const frames = across * Math.ceil(height / rows);
  const tiles = await Promise.all(
    Array.from({ length: frames }, async (_, i) => {
      const address = new URL(`instances/${sop}/frames/${i + 1}/rendered`, series);
      const answer = await fetch(address, { headers: { Accept: 'image/png' } });
      const input = Buffer.from(await answer.arrayBuffer());
      return { input, left: (i % across) * columns, top: Math.floor(i / across) * rows };
    }),
  );
  const whole = { width: across * columns, height: (frames / across) * rows };
  const picture = sharp({ create: { ...whole, channels: 3, background: 'white' } })
    .composite(tiles)
    .png();
  return sharp(await picture.toBuffer())
    .extract({ left: 0, top: 0, width, height })
    .png()
    .toBuffer();
}

/** Mean CIEDE2000 of two pictures of one thing at one size: what scaling and JPEG make of single pixels is evened out. */
async function difference(a: Buffer, b: Buffer): Promise<number> {
  const [width, height] = [64, 86];
  const [one, other] = await Promise.all(
    [a, b].map((picture) =>
      sharp(picture).removeAlpha().resize(width, height, { fit: 'fill' }).raw().toBuffer(),
    ),
  );
  let sum = 0;
  for (let at = 0; at < one!.length; at += 3)
    sum += ciede2000(
      labOf(one![at]!, one![at + 1]!, one![at + 2]!),
      labOf(other![at]!, other![at + 1]!, other![at + 2]!),
    );
  return sum / (width * height);
}
