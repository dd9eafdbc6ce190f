/** The normalised archive as a data source of the real prebuilt OHIF: what a pathologist sees is what a job would store. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { isFinal, type Job } from '../../core/src/contract/index.ts';
import { textOf } from '../../server/src/dicom/json-model.ts';
import { copySample } from '../support/copy-slide.ts';
import { type FaultProxy, hang, startFaultProxy } from '../support/fault-proxy.ts';
import { jsonOf } from '../support/normalized.ts';
import { meanColour, meanDifference, PICTURES, type Picture, pictureAtRest } from '../support/pictures.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';
import { suiteResources } from '../support/suite-resources.ts';
import {
  browserMissing,
  launchBrowser,
  type OpenPage,
  openPage,
  type RunningService,
  startService,
} from '../support/viewer.ts';
import { slidePart, studyOf, until } from './panel.ts';

const TEMPLATE = 'he-magenta';

describe.skipIf(browserMissing)(
  `OHIF with the normalised archive${browserMissing ? ` (${browserMissing})` : ''}`,
  { timeout: 240_000 },
  () => {
    let archive: ServedArchive;
    let proxy: FaultProxy;
    const shared = suiteResources();
    let service: RunningService;
    let browser: Browser;
    let open: OpenPage;
    let page: Page;
    let root: string;
    let study: string;

    beforeAll(async () => {
      archive = shared.use(await serveArchive());
      const { files } = await copySample('seen in OHIF', [0, 1, 2, 3]);
      await mkdir(join(archive.folder, 'slide'));
      for (const [i, file] of files.entries())
        await writeFile(join(archive.folder, 'slide', `${i}.dcm`), file);
      await archive.archive.rescan();
      proxy = shared.use(await startFaultProxy(archive.url));
      service = shared.use(await startService({ STAIN_DICOMWEB_URL: proxy.url }));
      root = new URL(service.url).origin;
      study = await studyOf(root);
      browser = shared.use(await launchBrowser());
      open = await openPage(browser);
      page = open.page;
    }, 180_000);

    const picture = (name: string): Promise<Picture> =>
      pictureAtRest(page, join(PICTURES, `normalised-archive-${name}.png`));

    test('its study list leads to the normalised slide', async () => {
      await page.goto(`${root}/?datasources=normalized-${TEMPLATE}`);
      await page.getByText('Stain normalization sample').first().waitFor();
      const asked = page.waitForResponse(
        (response) =>
          response.url().includes(`/normalized/${TEMPLATE}/dicom-web/`) && /\/frames\//.test(response.url()),
      );
      await page.goto(`${root}/stain/normalized-${TEMPLATE}?StudyInstanceUIDs=${study}`);
      const { series } = await until(page, (state) => state.series !== null);
      expect(series).toMatchObject({ totalColumns: 2220, totalRows: 2967, derived: { template: TEMPLATE } });
      expect((await asked).status()).toBe(200);
      await page.getByText('Not for primary diagnosis').first().waitFor();
    });

    test('it shows, pixel for pixel, what a job stores under the same name', async () => {
      const computed = await picture('computed');
      const [row] = await jsonOf(`${root}/normalized/${TEMPLATE}/dicom-web/studies/${study}/series`);
      const series = textOf(row!, '0020000E')!;
      const [source] = await jsonOf(`${root}/dicom-web/studies/${study}/series`);
      const answer = await fetch(`${root}/api/normalizations`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({
          studyInstanceUid: study,
          seriesInstanceUid: textOf(source!, '0020000E'),
          template: TEMPLATE,
        }),
      });
      let job = (await answer.json()) as Job;
      while (!isFinal(job.state)) {
        await pause(200);
        job = (await (await fetch(`${root}/api/normalizations/${job.id}`)).json()) as Job;
      }
      expect(job.result!.seriesInstanceUid).toBe(series);
      await page.goto(`${root}/stain?StudyInstanceUIDs=${study}&SeriesInstanceUIDs=${series}`);
      await until(page, (state) => state.series?.seriesInstanceUid === series);
      const stored = await picture('stored');
      // Without the overview, and without the label, which are not the slide.
      const part = await slidePart(page);
      expect(meanDifference(stored, computed, part)).toBeLessThan(0.01);
      // Tissue in pink and violet, and not a black viewport.
      const [red, green] = meanColour(computed, part);
      expect(green).toBeGreaterThan(60);
      expect(red - green).toBeGreaterThan(10);
    });

    test('whoever leaves lets go of the work', async () => {
      const under = new Set<unknown>();
      proxy.inject(
        ({ url }) => /\/frames\//.test(url ?? ''),
        (exchange) => {
          under.add(exchange);
          exchange.response.once('close', () => under.delete(exchange));
          return hang(exchange);
        },
      );
      await page.goto(`${root}/stain/normalized-he-pink-violet?StudyInstanceUIDs=${study}`);
      await expect.poll(() => under.size, { timeout: 60_000 }).toBeGreaterThan(0);
      await page.goto('about:blank');
      await expect.poll(() => under.size, { timeout: 30_000 }).toBe(0);
      proxy.heal();
    });

    test('nothing went wrong on the way', () => {
      expect(open.faults.filter((fault) => !fault.includes('normalized-he-pink-violet'))).toEqual([]);
    });
  },
);
