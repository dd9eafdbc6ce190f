/** What the main way through the viewer does not touch: other modes, templates, a service that is away, a sub-path. */
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { PICTURES, pictureAtRest, slidesDrawn } from '../support/pictures.ts';
import { suiteResources } from '../support/suite-resources.ts';
import {
  browserMissing,
  launchBrowser,
  openPage,
  type RunningService,
  startService,
} from '../support/viewer.ts';
import { button, normalizeSample, PANEL, show, state, studyOf, until } from './panel.ts';

describe.skipIf(browserMissing)('the panel', { timeout: 120_000 }, () => {
  const shared = suiteResources();
  let service: RunningService;
  let browser: Browser;
  let study: string;

  beforeAll(async () => {
    // The service under a path of its own, as behind a hospital's proxy.
    service = shared.use(await startService({ STAIN_SERVER_BASE_PATH: '/stain-normalization' }));
    browser = shared.use(await launchBrowser());
    study = await studyOf(`${service.url}stain-normalization`);
  }, 120_000);

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
    await slidesDrawn(page);
    await button(page, 'Template from region').click();
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
    await question.getByText('Series that were made with it stay unchanged').waitFor();
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

  test('a derived series tells in full how it was made, with the service away too', async () => {
    const derived = await normalizeSample(`${service.url}stain-normalization`, study);
    await using open = await openPage(browser, {
      viewport: { width: 1280, height: 900 },
      locale: 'de-DE',
    });
    const { page } = open;
    await page.route('**/api/**', (route) => route.abort());
    await openMode(page, 'stain');
    const label = page.locator('.stain-pane-label');
    await label.filter({ hasText: 'Original' }).waitFor();
    await show(page, derived);
    await label.filter({ hasText: 'Template he-magenta' }).waitFor();
    await page.locator(PANEL).getByText('In full').click();
    const facts = await page.locator(`${PANEL} dl`).first().innerText();
    expect(facts).toMatch(
      /^Template\s+he-magenta\s+Model\s+Fast [\d.]+\s+Transfer\s+Linear\s+Made from\s+CMU/,
    );
    expect(facts).toMatch(/Measured\s+at \d+ places; \d+\s%\s+tissue/);
    expect(facts).toMatch(
      /Looks like\s+H&E\s+Stored as\s+JPEG, 90\s+Computed on\s+CPU\s+Made\s+\d\d\.\d\d\.\d{4}/,
    );
    const all = await page.locator(`${PANEL} section`).first().innerText();
    expect(all).toMatch(/Model \(SHA-256\)\s+[0-9a-f]{64}\s+Template \(SHA-256\)\s+[0-9a-f]{64}/);
    // Numbers as the browser is set.
    expect(all).toContain('2.220 × 2.967 pixels');
    await pictureAtRest(page, join(PICTURES, 'panel-provenance.png'));
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
