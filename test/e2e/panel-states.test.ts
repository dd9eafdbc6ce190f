/** What the panel says and where it can be seen, in states that the main way only passes through. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { PICTURES, pictureAtRest } from '../support/pictures.ts';
import { browserMissing } from '../support/viewer.ts';
import { button, keepUnfinished, PANEL, state, until } from './panel.ts';
import { sampleSuite } from './sample-suite.ts';

const SOON = 20_000;

describe.skipIf(browserMissing)('the panel', { timeout: 120_000 }, () => {
  const sample = sampleSuite([{ template: 'he-magenta' }, { template: 'he-violet' }]);

  const enter = (page: Page): Promise<void> => sample.enter(page, ({ stain }) => stain.state === 'ready');

  test('at 1280 x 720 the ways to compare are in sight, and the legend of the difference is not over the overview', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await enter(page);
    for (const mode of [
      'Side by side',
      'Swipe',
      'Blink',
      'Difference',
      'Two by two',
      'Preview',
      'Normalize',
    ]) {
      const box = (await button(page, mode).boundingBox())!;
      expect(box.y + box.height, mode).toBeLessThan(720);
    }
    // The newest first, whatever came first.
    expect((await state(page)).results.map(({ seriesInstanceUid }) => seriesInstanceUid)).toEqual(
      sample.results.toReversed(),
    );
    await button(page, 'Difference').click();
    await page.locator('.stain-legend').waitFor();
    await pictureAtRest(page, join(PICTURES, 'panel-difference.png'));
    const [legend, overview, scale] = await Promise.all(
      [page.locator('.stain-legend'), page.locator('.ol-overviewmap'), page.getByText(/^\d+ [μµ]m$/)].map(
        (part) => part.first().boundingBox({ timeout: SOON }),
      ),
    );
    for (const other of [overview!, scale!])
      expect(
        legend!.x >= other.x + other.width ||
          legend!.x + legend!.width <= other.x ||
          legend!.y + legend!.height <= other.y,
      ).toBe(true);
    expect(faults).toEqual([]);
  });

  test('a job that runs says to which template, which stays chosen when the page is loaded anew', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    const leave = await keepUnfinished(page, (route) => route.abort());
    await enter(page);
    await until(page, ({ job }) => job !== null);
    await page.locator(PANEL).getByText('Cool violet, Linear', { exact: true }).waitFor({ timeout: SOON });
    expect((await state(page)).template).toBe('he-violet');
    await pictureAtRest(page, join(PICTURES, 'panel-job.png'));
    leave();
    expect(faults).toEqual([]);
  });

  test('an error is in sight wherever the panel is scrolled to, and is taken back by the next thing that is asked for', async () => {
    await using open = await sample.open();
    const { page } = open;
    await enter(page);
    await page.route('**/api/normalizations', (route) => route.abort());
    const normalize = button(page, 'Normalize');
    await normalize.scrollIntoViewIfNeeded();
    await normalize.click();
    const alert = page.locator(PANEL).getByRole('alert');
    await alert.waitFor();
    await pictureAtRest(page, join(PICTURES, 'panel-error.png'));
    const [box, panel] = [(await alert.boundingBox())!, (await page.locator(PANEL).boundingBox())!];
    expect(box.y).toBeGreaterThanOrEqual(panel.y);
    expect(box.y + box.height).toBeLessThan(720);
    await button(page, 'Swipe').click();
    await alert.waitFor({ state: 'detached', timeout: SOON });
    expect((await state(page)).error).toBeNull();
  });

  test('a preview that shows nothing for two minutes is given up', async () => {
    await using open = await sample.open();
    const { page } = open;
    await page.clock.install();
    await enter(page);
    const frames = Promise.withResolvers<void>();
    await page.route('**/frames/*', async (route) => {
      await frames.promise;
      await route.abort();
    });
    await button(page, 'Preview').click();
    await until(page, ({ preview }) => preview !== null, SOON);
    await page.clock.fastForward(110_000);
    expect((await state(page)).preview).not.toBeNull();
    await page.clock.fastForward(20_000);
    const { previewError } = await until(page, (now) => now.previewError !== null, SOON);
    expect(previewError!.code).toBe('PREVIEW_LATE');
    expect((await state(page)).preview).toBeNull();
    frames.resolve();
  });

  test('none of a developer’s words is among its own', async () => {
    const { en } = await import('../../extension/src/strings/en.ts');
    for (const [key, text] of Object.entries(en))
      expect(text, key).not.toMatch(/\b(tiles?|wasm|ECONN\w*|provider|windows?|Mpx)\b(?!\})/i);
  });
});
