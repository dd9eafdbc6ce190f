/** What the main way through the viewer does not touch: other modes, templates, a service that is away, a sub-path. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  browserMissing,
  launchBrowser,
  openPage,
  type RunningService,
  startService,
} from '../support/viewer.ts';
import { button, PANEL, state, studyOf, until } from './panel.ts';

describe.skipIf(browserMissing)('the panel', { timeout: 120_000 }, () => {
  let service: RunningService;
  let browser: Browser;
  let study: string;

  beforeAll(async () => {
    // The service under a path of its own, as behind a hospital's proxy.
    service = await startService({ STAIN_SERVER_BASE_PATH: '/stain-normalization' });
    browser = await launchBrowser();
    study = await studyOf(`${service.url}stain-normalization`);
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    await service?.[Symbol.asyncDispose]();
  });

  const openMode = async (page: Page, mode: string): Promise<void> => {
    await page.goto(`${service.url}${mode}?StudyInstanceUIDs=${study}`);
    await page.getByText('Original').first().waitFor({ timeout: 60_000 });
  };

  test('in OHIF’s own microscopy mode the toolbar opens it', async () => {
    await using open = await openPage(browser);
    const { page, faults } = open;
    await openMode(page, 'microscopy');
    await page.locator('[data-cy="StainNormalize"]').first().click();
    await until(page, ({ series, templates }) => series !== null && templates.state === 'ready');
    expect(faults).toEqual([]);
  });

  test('a region becomes a template, is chosen, and can be removed', async () => {
    await using open = await openPage(browser);
    const { page, faults } = open;
    await openMode(page, 'stain');
    await until(page, ({ stain }) => stain.state === 'ready');
    await page.waitForTimeout(1000);
    await button(page, 'Use a region as template').click();
    const pad = page.locator('.stain-region-pad');
    const { x, y, width, height } = (await pad.boundingBox())!;
    await page.mouse.move(x + width * 0.4, y + height * 0.2);
    await page.mouse.down();
    await page.mouse.move(x + width * 0.6, y + height * 0.5, { steps: 5 });
    await page.mouse.up();
    await page.locator(PANEL).getByRole('textbox').fill('Our laboratory');
    await button(page, /^(Create|Make)/).click();
    const made = await until(
      page,
      ({ makingTemplate, templates }) =>
        makingTemplate === null &&
        templates.state === 'ready' &&
        templates.value.some(({ name }) => name === 'Our laboratory'),
    );
    const own = made.templates.state === 'ready' ? made.templates.value.find(({ own }) => own) : undefined;
    expect(own).toMatchObject({ name: 'Our laboratory', thumbnail: expect.stringMatching(/^data:image\//) });
    expect(made.template).toBe(own?.id);
    // Removing asks first; a user who changes their mind keeps it.
    const question = page.locator(PANEL).getByRole('alertdialog');
    await button(page, /Our laboratory/).click();
    await question.getByText('Series that were made with it stay as they are').waitFor();
    await question.getByRole('button', { name: 'Never mind' }).click();
    await question.waitFor({ state: 'detached' });
    expect((await state(page)).template).toBe(own?.id);
    await button(page, /Our laboratory/).click();
    await question.getByRole('button', { name: 'Remove it' }).click();
    await until(
      page,
      ({ templates }) => templates.state === 'ready' && templates.value.every(({ own }) => !own),
    );
    expect((await state(page)).error).toBeNull();
    expect(faults).toEqual([]);
  });

  test('the transfer that is chosen goes with the job, and its result names it', async () => {
    await using open = await openPage(browser);
    const { page, faults } = open;
    await openMode(page, 'stain');
    await until(page, ({ stain }) => stain.state === 'ready');
    await page.locator(PANEL).getByLabel('Transfer').selectOption('As published');
    await button(page, 'Normalize').click();
    const { job, results } = await until(page, (now) => now.job?.result != null && now.results.length > 0);
    expect(job).toMatchObject({ request: { transfer: 'paper' }, result: { transfer: 'paper' } });
    expect(results[0]!.derived).toMatchObject({ transfer: 'class by class, as published' });
    expect(faults).toEqual([]);
  });

  test('with the stain of the slide out of reach, a preview fits what is visible', async () => {
    await using open = await openPage(browser);
    const { page } = open;
    await page.route('**/series/*/stain?*', (route) => route.abort());
    await openMode(page, 'stain');
    await until(page, ({ stain, templates }) => stain.state === 'failed' && templates.state === 'ready');
    await button(page, 'Preview').click();
    const { preview } = await until(page, (now) => now.preview?.firstTileMs != null);
    expect(preview!.statistics).toBe('visible');
  });
});
