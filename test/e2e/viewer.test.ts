/** The pathologist's way through the product, in the real prebuilt OHIF, with each kind of archive. */
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Session } from '../../extension/src/session.ts';
import { orthancMissing, type RunningOrthanc, sendSample, startOrthanc } from '../support/orthanc.ts';
import { PICTURES, pictureAtRest, slidesDrawn, takePicture } from '../support/pictures.ts';
import { suiteResources } from '../support/suite-resources.ts';
import {
  browserMissing,
  launchBrowser,
  type OpenPage,
  openPage,
  type RunningService,
  startService,
} from '../support/viewer.ts';
import { seriousFindings } from './axe.ts';
import { button, PANEL, state, studyOf, until, watchStages } from './panel.ts';

/** Our part of the page. */
const OURS = [PANEL, '.stain-pane-label', '[role="slider"]'];

/** Where each of the two maps has its centre, its scale and its rotation, and where it draws one and the same point. */
function views(page: Page) {
  return page.evaluate((panel) => {
    const { maps } = (document.querySelector(panel) as unknown as { model: Session }).model.comparison!;
    return [maps.against, maps.normalized].map((map) => {
      const view = map.getView();
      return {
        center: view.getCenter(),
        resolution: view.getResolution(),
        rotation: view.getRotation(),
        point: map.getPixelFromCoordinate([700, -900])!.map((value) => Math.round(value * 1000) / 1000),
      };
    });
  }, PANEL);
}

/** Times in which the page did not react, in milliseconds, since the last call. */
function longTasks(page: Page): Promise<number[]> {
  return page.evaluate(() => {
    const { tasks } = globalThis as unknown as { tasks: number[] };
    return tasks.splice(0).map(Math.round);
  });
}

async function expectSameView(page: Page) {
  await pictureAtRest(page);
  const [original, normalized] = await views(page);
  expect(normalized).toEqual(original);
  return original!;
}

const kinds = [
  { kind: 'the embedded archive', missing: browserMissing },
  { kind: 'Orthanc', missing: browserMissing ?? orthancMissing },
];

for (const { kind, missing } of kinds)
  describe.skipIf(missing)(`OHIF with ${kind}${missing ? ` (${missing})` : ''}`, { timeout: 240_000 }, () => {
    let orthanc: RunningOrthanc | undefined;
    const shared = suiteResources();
    let service: RunningService;
    let browser: Browser;
    let open: OpenPage;
    let page: Page;

    beforeAll(async () => {
      if (kind === 'Orthanc') {
        orthanc = shared.use(await startOrthanc());
        await sendSample(orthanc);
      }
      service = shared.use(await startService(orthanc ? { STAIN_DICOMWEB_URL: orthanc.url } : {}));
      browser = shared.use(await launchBrowser());
      open = await openPage(browser);
      page = open.page;
      await page.addInitScript(() => {
        const tasks: number[] = [];
        Object.assign(globalThis, { tasks });
        new PerformanceObserver((list) => {
          tasks.push(...list.getEntries().map(({ duration }) => duration));
        }).observe({ type: 'longtask' });
      });
    }, 180_000);

    const pictureFile = (name: string): string => join(PICTURES, `${kind.replace(/ /g, '-')}-${name}.png`);
    const picture = (name: string) => pictureAtRest(page, pictureFile(name));

    test('the study list leads to the slide', async () => {
      await page.goto(service.url);
      await page.getByText(/2009/).first().click();
      await picture('study-list');
      const study = await studyOf(new URL(service.url).origin);
      await page.goto(`${service.url}stain?StudyInstanceUIDs=${study}`);
      const shown = await until(
        page,
        ({ series, templates }) => series !== null && templates.state === 'ready',
      );
      expect(shown.series).toMatchObject({ totalColumns: 2220, totalRows: 2967, derived: null });
      await page.getByText('Original').first().waitFor();
      await until(page, ({ stain }) => stain.state === 'ready');
      await picture('slide');
    });

    test('a preview follows the view', async () => {
      expect(await seriousFindings(page, OURS)).toEqual([]);
      // Loading the viewer takes some: what the observer says below is worth something.
      expect((await longTasks(page)).length).toBeGreaterThan(0);
      const { x, y, width, height } = (await page.locator('.DicomMicroscopyViewer').first().boundingBox())!;
      const zoom = async (): Promise<void> => {
        // Back from the panel's buttons: the wheel goes to what is under the pointer.
        await page.mouse.move(x + width / 2, y + height / 3);
        for (let turn = 0; turn < 4; turn++) {
          await page.mouse.wheel(0, -240);
          await slidesDrawn(page);
        }
      };
      await zoom();
      await pictureAtRest(page);
      const without = await longTasks(page);
      for (let turn = 0; turn < 6; turn++) await page.mouse.wheel(0, 240);
      await pictureAtRest(page);
      await longTasks(page);
      await button(page, 'Preview').click();
      const first = await until(page, ({ preview }) => preview?.firstTileMs != null);
      console.log(`first normalised tile after ${Math.round(first.preview!.firstTileMs!)} ms`);
      expect(first.preview).toMatchObject({ statistics: 'service' });
      const finished = ({ preview }: Awaited<ReturnType<typeof state>>): boolean =>
        preview !== null && preview.tilesTotal > 0 && preview.tilesDone === preview.tilesTotal;
      await until(page, finished);
      await picture('preview');
      const still = await longTasks(page);
      await zoom();
      await pictureAtRest(page);
      await until(page, finished);
      await picture('preview-closer');
      const tasks = await longTasks(page);
      const said = (name: string, found: number[]): string =>
        `${name} ${found.length}, longest ${Math.max(0, ...found)} ms`;
      console.log(
        `tasks above 50 ms (goal: none above 100): ${said('preview at rest', still)}; ${said('zoomed with a preview', tasks)}; ${said('zoomed without one', without)}`,
      );
      await button(page, 'Stop preview').click();
      expect((await until(page, ({ preview }) => preview === null)).previewError).toBeNull();
    });

    test('normalise: progress, then the new series side by side', async () => {
      const stages = await watchStages(page);
      await button(page, /^Normali[sz]e/).click();
      await until(page, ({ job }) => job !== null);
      await takePicture(page, pictureFile('progress'));
      const done = await until(page, ({ comparison }) => comparison !== null);
      expect(await stages()).toContain('normalize');
      expect(done.job?.state).toBe('COMPLETED');
      expect(done.comparison?.mode).toBe('side-by-side');
      expect(done.results).toHaveLength(1);
      expect(done.results[0]!.derived?.sourceSeriesInstanceUid).toBe(done.series!.seriesInstanceUid);
      await page.getByText('Not for primary diagnosis').first().waitFor();
    });

    test('both sides keep one view, whichever is moved', async () => {
      const start = await expectSameView(page);
      const { x, y, width, height } = (await page.locator('.DicomMicroscopyViewer').first().boundingBox())!;
      const sides = [0.25, 0.75].map((part) => [x + width * part, y + height / 2] as const);
      let before = start;
      for (const [cx, cy] of sides) {
        await page.mouse.move(cx, cy);
        await page.mouse.wheel(0, -240);
        const zoomed = await expectSameView(page);
        expect(zoomed.resolution).not.toBe(before.resolution);
        await page.mouse.down({ button: 'middle' });
        await page.mouse.move(cx + 40, cy + 30, { steps: 5 });
        await page.mouse.up({ button: 'middle' });
        const panned = await expectSameView(page);
        expect(panned.center).not.toEqual(zoomed.center);
        before = panned;
      }
      await picture('side-by-side');
    });

    test('swipe, blink and difference', async () => {
      await button(page, 'Swipe').click();
      await until(page, ({ comparison }) => comparison?.mode === 'swipe');
      const divider = page.getByRole('slider', { name: /divider/i });
      const box = (await divider.boundingBox())!;
      await page.mouse.move(box.x + 12, box.y + 200);
      await page.mouse.down();
      await page.mouse.move(box.x - 100, box.y + 200, { steps: 4 });
      await page.mouse.up();
      expect(Number(await divider.getAttribute('aria-valuenow'))).toBeLessThan(50);
      await divider.press('Home');
      expect(await divider.getAttribute('aria-valuenow')).toBe('0');
      for (let i = 0; i < 25; i++) await divider.press('ArrowRight');
      await picture('swipe');
      expect(await seriousFindings(page, OURS)).toEqual([]);

      await button(page, /^Blink/).click();
      const shown = page.locator('.stain-pane-label');
      await expect.poll(() => shown.getAttribute('data-role')).toBe('normalized');
      await page.keyboard.down('o');
      await expect.poll(() => shown.getAttribute('data-role')).toBe('original');
      await page.keyboard.up('o');
      await expect.poll(() => shown.getAttribute('data-role')).toBe('normalized');

      await button(page, 'Difference').click();
      await page
        .getByText(/CIEDE2000/)
        .first()
        .waitFor();
      await picture('difference');
      await button(page, 'Back to original').click();
      expect((await until(page, ({ comparison }) => comparison === null)).error).toBeNull();
    });

    test('a second job is cancelled', async () => {
      // By the slow model: a job of the fast one is done before a hand could cancel it.
      await page.route('**/api/normalizations', (route) => {
        const wanted: unknown =
          route.request().method() === 'POST' ? route.request().postDataJSON() : undefined;
        return route.continue(
          wanted ? { postData: JSON.stringify({ ...(wanted as object), model: 'reference' }) } : {},
        );
      });
      await page.locator(PANEL).getByRole('radio').nth(1).check({ force: true });
      await button(page, /^Normali[sz]e/).click();
      await until(page, ({ job }) => job?.state === 'IN PROGRESS');
      await button(page, /^Cancel/)
        .first()
        .click();
      await until(page, ({ job }) => job?.state === 'CANCELED');
      expect((await state(page)).results).toHaveLength(1);
    });

    test('a job is found again after a reload', async () => {
      await button(page, /^Normali[sz]e/).click();
      await until(page, ({ job }) => job?.state === 'IN PROGRESS');
      const { job } = await state(page);
      await page.reload();
      const found = await until(page, (now) => now.job?.id === job!.id);
      expect(found.job!.id).toBe(job!.id);
      // This page does not know that it was asked for by the one before.
      const notice = page.locator('[data-sonner-toast]').filter({ hasText: 'is in the study' });
      await notice.getByRole('button', { name: 'Open' }).click({ timeout: 120_000 });
      const done = await until(page, ({ comparison }) => comparison !== null);
      expect(done.results).toHaveLength(2);
    });

    test('an address opens the comparison', async () => {
      const { comparison } = await state(page);
      const { studyInstanceUid, seriesInstanceUid } = comparison!.normalized;
      await page.goto(
        `${service.url}stain?StudyInstanceUIDs=${studyInstanceUid}&compare=${seriesInstanceUid}`,
      );
      const opened = await until(page, (now) => now.comparison !== null);
      expect(opened.comparison).toMatchObject({ mode: 'side-by-side', normalized: { seriesInstanceUid } });
      await expectSameView(page);
      await picture('address');
    });

    test('nothing went wrong on the way', () => {
      expect(open.faults).toEqual([]);
    });
  });
