/** The ways that lead to the panel can be found and can be read. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { meanDifference, PICTURES, pictureAtRest } from '../support/pictures.ts';
import { browserMissing } from '../support/viewer.ts';
import { PANEL, until } from './panel.ts';
import { sampleSuite } from './sample-suite.ts';

describe.skipIf(browserMissing)('the ways to the panel', { timeout: 120_000 }, () => {
  const sample = sampleSuite();

  test.each(['stain', 'microscopy'])('the toolbar opens it again in /%s when it was closed', async (mode) => {
    await using open = await sample.open();
    const { page, faults } = open;
    await page.goto(`${sample.url}${mode}?StudyInstanceUIDs=${sample.study}`);
    await page.locator('.stain-pane-label').first().waitFor({ timeout: 60_000 });
    const tool = page.locator('[data-cy="StainNormalize"]').first();
    await tool.click();
    await until(page, ({ stain, templates }) => stain.state === 'ready' && templates.state === 'ready');
    const opened = await pictureAtRest(page, join(PICTURES, `open-${mode}.png`));
    await page.locator('[data-cy="side-panel-header-right"]').click();
    await page.locator(PANEL).waitFor({ state: 'hidden', timeout: 10_000 });
    const closed = await pictureAtRest(page, join(PICTURES, `closed-${mode}.png`));
    await tool.click();
    await page.locator(PANEL).waitFor({ timeout: 10_000 });
    const again = await pictureAtRest(page, join(PICTURES, `open-again-${mode}.png`));
    const panel = { x: 960, y: 120, width: 300, height: 560 };
    expect(meanDifference(opened, closed, panel)).toBeGreaterThan(5);
    expect(meanDifference(opened, again, panel)).toBeLessThan(1);
    expect(faults).toEqual([]);
  });

  test('the tab has no name of an icon', async () => {
    await using open = await sample.open();
    const { page } = open;
    await page.goto(`${sample.url}stain?StudyInstanceUIDs=${sample.study}`);
    const tab = page.locator('[data-cy="stain-normalization-btn"]');
    await tab.waitFor({ timeout: 60_000 });
    expect((await tab.locator('title').allTextContents()).filter((title) => title !== '')).toEqual([]);
    await tab.hover();
    await page.getByRole('tooltip').filter({ hasText: 'Stain normalization' }).waitFor();
  });

  test('the button in the study list can be read whole', async () => {
    await using open = await sample.open();
    const { page } = open;
    await page.goto(sample.url);
    await page.getByText(/2009/).first().click();
    const words = page.getByText('Normalize stain', { exact: true }).first();
    await words.waitFor();
    await pictureAtRest(page, join(PICTURES, 'open-study-list.png'));
    // Some part of the button or of what lies in it cuts off what is too long.
    const cut = await words.evaluate((element) => {
      const button = element.closest('button')!;
      return [button, ...button.querySelectorAll('*')]
        .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
        .map(({ className }) => className);
    });
    expect(cut).toEqual([]);
  });
});
