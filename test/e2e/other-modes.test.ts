/**
 * The plugin beside OHIF's own modes: they look and work as without it. Each is entered first in a fresh page, because
 * what a mode loads stays loaded for those that come after it.
 */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { makeCtSeries } from '../support/make-ct.ts';
import { meanDifference, PICTURES, type Picture, pictureAtRest, takePicture } from '../support/pictures.ts';
import { suiteResources } from '../support/suite-resources.ts';
import {
  browserMissing,
  launchBrowser,
  openPage,
  type RunningService,
  startService,
} from '../support/viewer.ts';
import { button, PANEL, until } from './panel.ts';

const sample = fileURLToPath(new URL('../../scripts/sample/', import.meta.url));

/** Grey levels, on average: the edge of OHIF's scroll bar is drawn between two pixels. */
const SAME = 0.01;

/** Width of the study browser at the left. */
const STUDY_BROWSER = 286;
/** Below the toolbar and the tabs of panels, which do show that there is one panel more. */
const BELOW_THE_BARS = 92;

describe.skipIf(browserMissing)('other modes of OHIF', { timeout: 240_000 }, () => {
  const ct = makeCtSeries('volume');
  let folder: string;
  const shared = suiteResources();
  let service: RunningService;
  let browser: Browser;
  let slide: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'other-modes-'));
    shared.defer(() => rm(folder, { recursive: true, force: true }));
    await cp(sample, folder, { recursive: true, filter: (path) => !path.endsWith('.md') });
    for (const [i, file] of ct.files.entries()) await writeFile(join(folder, `ct-${i}.dcm`), file);
    service = shared.use(await startService({ STAIN_ARCHIVE_FOLDER: folder }));
    browser = shared.use(await launchBrowser());
    const answer = await fetch(`${service.url}dicom-web/studies`, {
      headers: { Accept: 'application/dicom+json' },
    });
    const studies = ((await answer.json()) as { '0020000D': { Value: [string] } }[]).map(
      (study) => study['0020000D'].Value[0],
    );
    slide = studies.find((uid) => uid !== ct.studyInstanceUid)!;
  }, 120_000);

  const address = (mode: string, study: string) => `/${mode}?StudyInstanceUIDs=${study}`;

  /** The same viewer whose configuration does not name the plugin. */
  const withoutPlugin = (page: Page) =>
    page.route('**/app-config.js', async (route) => {
      const answer = await route.fetch();
      const config = (await answer.text()).replace(/"(extensions|modes)": \[[^\]]*\]/g, '"$1": []');
      expect(config).not.toContain('plugins/');
      await route.fulfill({ response: answer, body: config });
    });

  const thumbnail = (page: Page): Promise<void> =>
    page.locator('img[src^="data:image/"], img[src^="blob:"]').first().waitFor({ timeout: 60_000 });

  /** The viewport is there, and OHIF's tour of the basic viewer, which comes when it likes, is gone. */
  const arrive = async (page: Page, mode: string): Promise<void> => {
    await page.locator('[data-cy="viewport-grid"]').waitFor({ timeout: 60_000 });
    // A busy machine is at rest before the slide is drawn, too: the viewport is black then.
    if (mode === 'microscopy')
      await expect
        .poll(async () => brightness(await takePicture(page), 0.55), { timeout: 60_000 })
        .toBeGreaterThan(80);
    if (mode !== 'viewer') return;
    await page.getByText('Skip all').click({ timeout: 60_000 });
    await thumbnail(page);
    await page.mouse.move(640, 715);
  };

  /** Brightness of a pixel at half the height. @param across part of the width */
  const brightness = ({ rgb, width, height }: Picture, across: number): number =>
    rgb[(Math.round(height / 2) * width + Math.round(width * across)) * 3]!;

  const shown = async (mode: string, study: string, plugin: 'with' | 'without'): Promise<Picture> => {
    await using open = await openPage(browser);
    const { page, faults } = open;
    if (plugin === 'without') await withoutPlugin(page);
    await page.goto(new URL(address(mode, study), service.url).href);
    await arrive(page, mode);
    const picture = await pictureAtRest(page, join(PICTURES, `mode-${mode}-${plugin}.png`));
    expect(faults, `${mode} ${plugin} the plugin`).toEqual([]);
    return picture;
  };

  test.each(['viewer', 'basic', 'segmentation', 'tmtv', 'dynamic-volume', 'usAnnotation'])(
    '/%s shows the same picture with the plugin as without it',
    async (mode) => {
      const [without, withIt] = [
        await shown(mode, ct.studyInstanceUid, 'without'),
        await shown(mode, ct.studyInstanceUid, 'with'),
      ];
      expect(meanDifference(without, withIt)).toBeLessThan(SAME);
    },
  );

  test('/viewer shows the volume at all', async () => {
    expect(brightness(await shown('viewer', ct.studyInstanceUid, 'with'), 0.6)).toBeGreaterThan(80);
  });

  test('/microscopy shows the same slide, with a label, a button and a panel more', async () => {
    const [without, withIt] = [
      await shown('microscopy', slide, 'without'),
      await shown('microscopy', slide, 'with'),
    ];
    const below = { x: 0, y: BELOW_THE_BARS, width: 990, height: without.height - BELOW_THE_BARS };
    expect(meanDifference(without, withIt, below)).toBeLessThan(SAME);
    expect(meanDifference(without, withIt)).toBeGreaterThan(0);
  });

  test('from /viewer into /stain, with a preview and a comparison, and back', async () => {
    const plain = await shown('viewer', ct.studyInstanceUid, 'without');
    await using open = await openPage(browser);
    const { page, faults } = open;
    const go = async (to: string): Promise<void> => {
      // As a link in OHIF does it: the page is not loaded anew.
      await page.evaluate((path) => {
        history.pushState({}, '', path);
        dispatchEvent(new PopStateEvent('popstate'));
      }, to);
    };
    await page.goto(new URL(address('viewer', ct.studyInstanceUid), service.url).href);
    await arrive(page, 'viewer');
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));

    for (const visit of [1, 2]) {
      await go(address('stain', slide));
      await until(page, ({ series, templates }) => series !== null && templates.state === 'ready');
      await page.getByText('Original').first().waitFor();
      if (visit === 2) {
        await button(page, 'Normalize').click();
        await until(page, ({ comparison }) => comparison !== null);
        await button(page, 'Difference').click();
        await page.locator('.stain-legend').waitFor();
      } else {
        await button(page, 'Preview').click();
        await until(page, ({ preview }) => preview?.firstTileMs != null);
      }
      expect(page.workers().some((worker) => worker.url().includes('preview-worker'))).toBe(true);
      asked.length = 0;
      await go(address('viewer', ct.studyInstanceUid));
      await page.locator(PANEL).waitFor({ state: 'detached' });
      await thumbnail(page);
      const after = await pictureAtRest(page, join(PICTURES, `mode-viewer-again-${visit}.png`));
      // After a series was added to an open study OHIF draws the small pictures of its study browser black.
      const left = visit === 1 ? 0 : STUDY_BROWSER;
      const part = { x: left, y: 0, width: after.width - left, height: after.height };
      expect(meanDifference(plain, after, part)).toBeLessThan(SAME);
      // Nothing of the plugin is left: no label, no layer, no worker, no question to the service.
      expect(await page.locator('[class^="stain-"]').count()).toBe(0);
      expect(page.workers().filter((worker) => worker.url().includes('preview-worker'))).toEqual([]);
      expect(asked.filter((path) => path.startsWith('/api') || path === '/health')).toEqual([]);
    }
    expect(faults).toEqual([]);
  });
});
