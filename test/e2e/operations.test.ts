/** The operator's page in Chromium: read at two widths, printed, and used. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Batch, BatchReport } from '../../core/src/contract/index.ts';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import { copySample } from '../support/copy-slide.ts';
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

const sample = fileURLToPath(new URL('../../scripts/sample/', import.meta.url));
const SOON = { timeout: 120_000 };

describe.skipIf(browserMissing)("the operator's page", { timeout: 240_000 }, () => {
  const shared = suiteResources();
  let folder: string;
  let service: RunningService;
  let browser: Browser;
  let batch: Batch;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'operations-'));
    shared.defer(() => rm(folder, { recursive: true, force: true }));
    await cp(sample, folder, { recursive: true, filter: (path) => !path.endsWith('.md') });
    // Its header says that it is not H&E.
    const other = await copySample('other', [1, 2, 3], () => ({
      SpecimenDescriptionSequence: [stainedWith('255808002', 'periodic acid-Schiff')],
    }));
    for (const [i, file] of other.files.entries()) await writeFile(join(folder, `other-${i}.dcm`), file);
    const rules = join(folder, 'rules.json');
    await writeFile(
      rules,
      JSON.stringify({
        rules: [{ name: 'night', template: 'he-violet', match: { StationName: 'NONE' }, outcome: 'fit' }],
      }),
    );
    service = shared.use(
      await startService({
        STAIN_ARCHIVE_FOLDER: folder,
        STAIN_RULES_FILE: rules,
        STAIN_AUDIT_FILE: join(folder, 'audit.jsonl'),
        STAIN_JOBS_STABLE_SECONDS: '0',
      }),
    );
    browser = shared.use(await launchBrowser());
    const answer = await fetch(`${service.url}api/batches`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ query: {}, template: 'he-violet' }),
    });
    batch = (await answer.json()) as Batch;
  }, 240_000);

  const report = async () =>
    (await (await fetch(`${service.url}api/batches/${batch.id}`)).json()) as BatchReport;
  const address = () => `${service.url}api/operations.html`;
  const picture = (page: Page, name: string) =>
    page.screenshot({ path: join(PICTURES, `operations-${name}.png`) });
  const wholePicture = (page: Page, name: string) =>
    page.screenshot({ path: join(PICTURES, `operations-${name}.png`), fullPage: true });

  test('shows first what needs a look, and tries it again', async () => {
    await using open = await openPage(browser);
    const { page, faults } = open;
    await expect.poll(async () => (await report()).counts, SOON).toEqual({ COMPLETED: 1, REFUSED: 1 });
    await page.goto(address());
    await picture(page, '1280');
    await wholePicture(page, 'whole');
    expect(await seriousFindings(page, ['body'])).toEqual([]);
    expect(await widthOf(page)).toBeLessThanOrEqual(1280);
    const look = page.getByRole('region', { name: 'Needs a look first' });
    await look.getByText('STAIN_NOT_HE').waitFor();
    await look.getByRole('button', { name: /^Try again/ }).click();
    await page.getByRole('status').getByText('One slide is tried again.').waitFor();
    expect(new URL(page.url()).search).toBe('?retried=1');
    await expect.poll(async () => (await report()).counts, SOON).toEqual({ COMPLETED: 1, REFUSED: 1 });
    await page.getByRole('link', { name: 'Load again' }).click();
    await look.getByText('STAIN_NOT_HE').waitFor();
    expect(await page.getByRole('status').count()).toBe(0);
    await page
      .getByRole('region', { name: 'Batches' })
      .getByRole('button', { name: /^Try again/ })
      .click();
    await page.getByRole('status').getByText('One slide is tried again.').waitFor();
    // Its pictures are there.
    const first = page.getByRole('region', { name: 'Templates' }).getByRole('img').first();
    await first.scrollIntoViewIfNeeded();
    await expect
      .poll(() => first.evaluate((img) => (img as HTMLImageElement).naturalWidth))
      .toBeGreaterThan(0);
    await picture(page, 'templates');
    expect(faults).toEqual([]);
  });

  test('exports the audit trail, in which both attempts are', async () => {
    await using open = await openPage(browser);
    const { page } = open;
    await page.goto(address());
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: /^Export the audit trail/ }).click(),
    ]);
    const text = await readFile((await download.path())!, 'utf8');
    expect(text.match(/"code":"batch-retried"/g)).toHaveLength(2);
    expect(text.endsWith('\n')).toBe(true);
  });

  test('leads to the quality report of a batch, with pictures before and after, and its CSV', async () => {
    await using open = await openPage(browser);
    const { page, faults } = open;
    await expect.poll(async () => (await report()).counts, SOON).toEqual({ COMPLETED: 1, REFUSED: 1 });
    await page.goto(address());
    await page
      .getByRole('region', { name: 'Batches' })
      .getByRole('link', { name: /^Quality/ })
      .click();
    await page.getByRole('heading', { name: 'Quality report' }).waitFor();
    const rows = page.getByRole('row');
    expect(await rows.nth(1).innerText()).toContain('STAIN_NOT_HE');
    const pictures = rows.nth(2).getByRole('img');
    expect(await pictures.count()).toBe(2);
    for (const picture of await page.getByRole('img').all())
      await expect
        .poll(() => picture.evaluate((img) => (img as HTMLImageElement).naturalWidth))
        .toBeGreaterThan(0);
    await picture(page, 'quality');
    expect(await seriousFindings(page, ['body'])).toEqual([]);
    expect(await widthOf(page)).toBeLessThanOrEqual(1280);
    // The linear transfer brings the sample closer to its template.
    const [before, after] = await rows
      .nth(2)
      .getByRole('cell')
      .evaluateAll((cells) =>
        cells
          .filter(({ dataset }) => ['CIEDE2000 before', 'CIEDE2000 after'].includes(dataset['label'] ?? ''))
          .map(({ textContent }) => Number(textContent)),
      );
    expect(after).toBeLessThan(before!);
    await page.emulateMedia({ media: 'print' });
    await picture(page, 'quality-print');
    await page.emulateMedia({ media: 'screen' });
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'As CSV' }).click(),
    ]);
    const csv = await readFile((await download.path())!, 'utf8');
    expect(csv.split('\r\n')).toHaveLength(4);
    await page.setViewportSize({ width: 400, height: 800 });
    await picture(page, 'quality-400');
    expect(await widthOf(page)).toBeLessThanOrEqual(400);
    expect(faults).toEqual([]);
  });

  test('fits a narrow screen and paper', async () => {
    await using open = await openPage(browser, { viewport: { width: 400, height: 800 } });
    const { page, faults } = open;
    await page.goto(address());
    await picture(page, '400');
    await wholePicture(page, '400-whole');
    expect(await widthOf(page)).toBeLessThanOrEqual(400);
    expect(await seriousFindings(page, ['body'])).toEqual([]);
    // As a list, it is still a table to whoever does not see it.
    expect(await page.getByRole('region', { name: 'Batches' }).getByRole('cell').count()).toBeGreaterThan(0);
    await page.setViewportSize({ width: 1000, height: 800 });
    await page.emulateMedia({ media: 'print' });
    await wholePicture(page, 'print');
    expect(await page.getByRole('button').count()).toBe(0);
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe(
      'rgb(255, 255, 255)',
    );
    expect(faults).toEqual([]);
  });
});

/** Item of Specimen Description Sequence (PS3.16 TID 8003), with a SNOMED CT code of the stain. */
function stainedWith(value: string, meaning: string): DataSet {
  const stain = DataSet.of({
    ConceptCodeSequence: [
      DataSet.of({ CodeValue: value, CodingSchemeDesignator: 'SCT', CodeMeaning: meaning }),
    ],
  });
  return DataSet.of({
    SpecimenPreparationSequence: [DataSet.of({ SpecimenPreparationStepContentItemSequence: [stain] })],
  });
}

/** How wide the page is, with what is beyond the window. */
function widthOf(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth);
}
