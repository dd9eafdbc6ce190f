/** Many slides at once, from OHIF's study list: chosen, normalised, reported, opened. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { copySample } from '../support/copy-slide.ts';
import { makeCtSeries } from '../support/make-ct.ts';
import { PICTURES } from '../support/pictures.ts';
import { suiteResources } from '../support/suite-resources.ts';
import {
  browserMissing,
  launchBrowser,
  openPage,
  type RunningService,
  startService,
} from '../support/viewer.ts';
import { seriousFindings } from './axe.ts';
import { until } from './panel.ts';
import { plainTexts, pseudoText, speakPseudo } from './pseudo-locale.ts';

const sample = fileURLToPath(new URL('../../scripts/sample/', import.meta.url));
const PAGE = 'stain-normalization-batches';
const SOON = { timeout: 60_000 };

describe.skipIf(browserMissing)('many slides at once', { timeout: 240_000 }, () => {
  const ct = makeCtSeries('volume');
  const shared = suiteResources();
  let folder: string;
  /** A study without a patient. */
  let nameless: string;
  let service: RunningService;
  let browser: Browser;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'batches-'));
    shared.defer(() => rm(folder, { recursive: true, force: true }));
    await cp(sample, folder, { recursive: true, filter: (path) => !path.endsWith('.md') });
    const copy = await copySample('batches', [0, 1, 2], () => ({ PatientName: '', PatientID: '' }));
    nameless = copy.studyInstanceUid;
    for (const [i, file] of copy.files.entries()) await writeFile(join(folder, `copy-${i}.dcm`), file);
    for (const [i, file] of ct.files.entries()) await writeFile(join(folder, `ct-${i}.dcm`), file);
    service = shared.use(
      await startService({
        STAIN_ARCHIVE_FOLDER: folder,
        // Time enough to cancel.
        STAIN_JOBS_STABLE_SECONDS: '10',
      }),
    );
    browser = shared.use(await launchBrowser());
  }, 180_000);

  const picture = (page: Page, name: string) =>
    page.screenshot({ path: join(PICTURES, `batches-${name}.png`) });
  const rows = (page: Page) => page.locator(PAGE).getByRole('row');

  test('are chosen in a list, normalised, and reported one by one, with a way to each', async () => {
    await using open = await openPage(browser);
    const { page, faults } = open;
    await page.goto(service.url);
    await page.getByRole('button', { name: 'Open settings' }).click();
    await picture(page, 'menu');
    await page.getByText('Normalize many slides').click();
    await page.waitForURL(/stain-batches/);
    // Two studies with slides and the head of the table; the CT is none.
    await expect.poll(() => rows(page).count(), SOON).toBe(3);
    await rows(page).getByText(nameless).waitFor();
    expect(await seriousFindings(page, [PAGE])).toEqual([]);
    await picture(page, 'list');

    const start = page.locator(PAGE).getByRole('button', { name: 'Normalize' });
    expect(await start.isDisabled()).toBe(true);
    await page.locator(PAGE).getByRole('textbox', { name: 'Description' }).fill('nothing like it');
    await page.keyboard.press('Enter');
    await page.getByText('No study with slides was found.').waitFor();
    await page.locator(PAGE).getByRole('textbox', { name: 'Description' }).fill('ormalization samp');
    await page.locator(PAGE).getByRole('button', { name: 'Search' }).click();
    await expect.poll(() => rows(page).count(), SOON).toBe(3);
    await page.locator(PAGE).getByRole('checkbox', { name: 'Select all on this page' }).check();
    await page.getByText('2 studies selected').waitFor();
    await page.locator(PAGE).getByRole('combobox', { name: 'Template' }).selectOption('he-violet');
    await picture(page, 'selected');

    await start.click();
    await page.getByText(/of 2 slides are finished/).waitFor();
    await picture(page, 'running');
    await page.getByText('2 of 2 slides are finished').waitFor({ timeout: 120_000 });
    expect(await rows(page).getByText('Done', { exact: true }).count()).toBe(2);
    expect(await seriousFindings(page, [PAGE])).toEqual([]);
    await picture(page, 'report');

    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.locator(PAGE).getByRole('button', { name: 'Report as CSV' }).click(),
    ]);
    const csv = await readFile((await download.path())!, 'utf8');
    expect(csv.match(/COMPLETED/g)).toHaveLength(2);

    // Loaded again, it is the same report, with the names of its studies.
    await page.reload();
    await page.getByText('2 of 2 slides are finished').waitFor();
    await expect.poll(() => rows(page).getByText('Stain normalization sample').count(), SOON).toBe(2);
    await rows(page).getByRole('link', { name: 'Compare' }).first().click();
    const opened = await until(page, ({ comparison }) => comparison !== null);
    expect(opened.comparison!.normalized.derived?.template).toBe('he-violet');
    await page.goto(`${service.url}stain-batches`);
    await page.locator(PAGE).getByText('2 of 2 slides are finished').waitFor();
    expect(faults).toEqual([]);
  });

  test('say why one of them was not normalised, and are cancelled', async () => {
    await using open = await openPage(browser);
    const { page, faults } = open;
    await page.goto(`${service.url}stain-batches`);
    await page
      .locator(PAGE)
      .getByRole('checkbox', { name: /Sample/ })
      .first()
      .check();
    await page.locator(PAGE).getByRole('button', { name: 'Normalize' }).click();
    // The slide waits, and what was made of it before is none.
    await page.locator(PAGE).getByRole('button', { name: 'Cancel the rest' }).click();
    await page.getByText('2 of 2 slides are finished (cancelled)').waitFor();
    await page.locator(PAGE).getByText('Skipped', { exact: true }).first().waitFor();
    await page.getByText('(ALREADY_NORMALIZED)').first().waitFor();
    await page
      .getByText(/\(CANCELLED\)/)
      .first()
      .waitFor();
    await page.getByText('CMU-1-Small-Region, H&E').first().waitFor();
    await picture(page, 'skipped');
    expect(faults).toEqual([]);

    await page.goto(`${service.url}stain-batches?batch=00000000-0000-4000-8000-000000000000`);
    await page.getByText('(BATCH_NOT_FOUND)').waitFor();
    await picture(page, 'missing');
  });

  test('speak the language of the viewer', async () => {
    await using open = await openPage(browser, { viewport: { width: 1280, height: 720 }, locale: 'de-DE' });
    const { page, faults } = open;
    await speakPseudo(page);
    const { templates } = (await (await fetch(`${service.url}api/templates`)).json()) as {
      templates: { name: string }[];
    };
    const data = [
      ...templates.map(({ name }) => name),
      'Sample, CMU-1 Small Region',
      'CMU-1-Small-Region, H&E',
      'Stain normalization sample',
      'CMU-1',
      'ALREADY_NORMALIZED',
      'CANCELLED',
    ];
    await page.goto(`${service.url}stain-batches`);
    await expect.poll(() => rows(page).count(), SOON).toBe(3);
    await page.getByRole('checkbox').nth(1).check();
    expect(await plainTexts(page, data, PAGE)).toEqual([]);
    await page
      .locator(PAGE)
      .getByRole('button', { name: pseudoText('action.normalize') })
      .click();
    await page
      .locator(PAGE)
      .getByRole('button', { name: pseudoText('batch.cancel') })
      .click();
    await page
      .getByText(/\(CANCELLED\)/)
      .first()
      .waitFor();
    await picture(page, 'pseudo');
    // What was made has its template's identifier in its description, which is data.
    const derived = await rows(page)
      .getByText(/Normalized he-/)
      .allInnerTexts();
    expect(await plainTexts(page, [...derived, ...data], PAGE)).toEqual([]);
    expect(faults).toEqual([]);
  });
});
