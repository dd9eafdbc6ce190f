/** An address is sent to a colleague, who sees the same: told from the pictures of both. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { correlation, meanDifference, PICTURES, type Picture, pictureAtRest } from '../support/pictures.ts';
import { browserMissing } from '../support/viewer.ts';
import { button, PANEL, show, slidePart, state, turnWheel, until } from './panel.ts';
import { sampleSuite } from './sample-suite.ts';

/** Grey levels, on average: two screens draw with the same numbers, to a thousandth of a pixel. */
const SAME = 0.5;

describe.skipIf(browserMissing)('the address of a comparison', { timeout: 240_000 }, () => {
  const sample = sampleSuite([{}, { template: 'he-violet' }]);

  /** The address once it says what is shown now: it follows with a delay. */
  const addressOf = async (page: Page, mode: string | null): Promise<string> => {
    const url = (): URL => new URL(page.url());
    await expect.poll(() => url().searchParams.get('stainMode')).toBe(mode);
    for (let last = page.url(); ; last = page.url()) {
      await page.waitForTimeout(1000);
      if (page.url() === last) return last;
    }
  };

  test.each([
    ['Side by side', 'side-by-side'],
    ['Swipe', 'swipe'],
    ['Blink', 'blink'],
    ['Difference', 'difference'],
  ] as const)('%s is the same for a colleague', async (name, mode) => {
    await using mine = await sample.open();
    await sample.enter(mine.page);
    await pictureAtRest(mine.page);
    await turnWheel(mine.page, 3, [0.35, 0.3]);
    await button(mine.page, name).click();
    await until(mine.page, ({ comparison }) => comparison?.mode === mode);
    const sent = await pictureAtRest(mine.page, join(PICTURES, `link-${mode}-sent.png`));
    const part = await slidePart(mine.page);
    const address = await addressOf(mine.page, mode);

    await using theirs = await sample.open();
    await theirs.page.goto(address);
    const opened = await until(theirs.page, ({ comparison }) => comparison?.mode === mode);
    expect(opened.comparison!.normalized.seriesInstanceUid).toBe(sample.results[1]);
    expect(opened.template).toBe('he-violet');
    const got = await pictureAtRest(theirs.page, join(PICTURES, `link-${mode}-got.png`));
    expectSame(sent, got, part);
    expect(await addressOf(theirs.page, mode)).toBe(address);
    // And goes on from there.
    await turnWheel(theirs.page, 1, [0.35, 0.3]);
    expect(meanDifference(got, await pictureAtRest(theirs.page), part)).toBeGreaterThan(2);
    expect([...mine.faults, ...theirs.faults]).toEqual([]);
  });

  test('a preview, and a derived series alone, are the same for a colleague and after a reload', async () => {
    await using mine = await sample.open();
    const { page, faults } = mine;
    await sample.enter(page);
    await pictureAtRest(page);
    await turnWheel(page, 3, [0.35, 0.3]);
    await page.locator(PANEL).getByRole('radio').nth(1).check({ force: true });
    await button(page, 'Preview').click();
    await until(page, ({ preview }) => preview?.isWhole === true);
    const part = await slidePart(page);
    const preview = await pictureAtRest(page, join(PICTURES, 'link-preview-sent.png'));
    const address = await addressOf(page, 'preview');

    await using theirs = await sample.open();
    await theirs.page.goto(address);
    const opened = await until(theirs.page, (now) => now.preview?.isWhole === true);
    expect(opened.template).toBe((await state(page)).template);
    expectSame(preview, await pictureAtRest(theirs.page, join(PICTURES, 'link-preview-got.png')), part);

    await button(page, 'Swipe').click();
    await expect.poll(() => new URL(page.url()).searchParams.get('stainPreview')).toBe('swipe');
    await page.reload();
    await until(page, (now) => now.preview?.mode === 'swipe');

    await button(page, 'Stop preview').click();
    await show(page, sample.results[1]!);
    const alone = await pictureAtRest(page, join(PICTURES, 'link-derived-sent.png'));
    await addressOf(page, null);
    await page.reload();
    await until(page, ({ series }) => series?.seriesInstanceUid === sample.results[1]);
    await expect
      .poll(async () => meanDifference(alone, await pictureAtRest(page), part), { timeout: 60_000 })
      .toBeLessThan(SAME);
    expect([...faults, ...theirs.faults]).toEqual([]);
  });

  test('what is wrong or gone is told, and the slide is shown all the same', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await page.goto(
      `${sample.url}stain?StudyInstanceUIDs=${sample.study}&compare=1.2.3&stainMode=swipe&stainTemplate=gone` +
        '&stainTransfer=best&stainSlide=x&stainAt=1e9_0_2',
    );
    const notice = page.locator('[data-sonner-toast]').filter({ hasText: 'cannot be shown' });
    await notice.waitFor();
    await page.screenshot({ path: join(PICTURES, 'link-lost.png') });
    const told = await notice.innerText();
    // In sight, all of it.
    expect((await notice.boundingBox())!.x).toBeGreaterThanOrEqual(0);
    for (const part of ['compared series', 'template', 'transfer', 'the slide', 'place'])
      expect(told).toContain(part);
    expect(await state(page)).toMatchObject({
      comparison: null,
      preview: null,
      error: null,
      template: 'he-magenta',
    });
    await page.locator('.stain-pane-label').getByText('Original').waitFor();
    await button(page, 'Swipe').click();
    await until(page, ({ comparison }) => comparison?.mode === 'swipe');
    expect(faults).toEqual([]);
  });

  test('is copied with a button, and says nothing of the patient', async () => {
    const context = {
      viewport: { width: 1280, height: 720 },
      permissions: ['clipboard-read', 'clipboard-write'],
    };
    await using open = await sample.open(context);
    const { page, faults } = open;
    await page.goto(`${sample.url}stain?StudyInstanceUIDs=${sample.study}&mrn=12345`);
    await until(page, ({ results, templates }) => results.length > 1 && templates.state === 'ready');
    await button(page, 'Blink').click();
    await until(page, ({ comparison }) => comparison?.mode === 'blink');
    await button(page, 'Copy link').click();
    await page.locator('[data-sonner-toast]').filter({ hasText: 'A link to this view was copied' }).waitFor();
    await page.screenshot({ path: join(PICTURES, 'link-copied.png') });
    const copied = new URL(await page.evaluate(() => navigator.clipboard.readText()));
    expect([...copied.searchParams.keys()].sort()).toEqual([
      'StudyInstanceUIDs',
      'compare',
      'stainAt',
      'stainMode',
      'stainTemplate',
      'stainTransfer',
    ]);
    expect(Object.fromEntries(copied.searchParams)).toMatchObject({
      StudyInstanceUIDs: sample.study,
      compare: sample.results[1]!,
      stainMode: 'blink',
      stainTemplate: 'he-violet',
      stainTransfer: 'linear',
    });

    // A page without TLS has no clipboard.
    await page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
    await button(page, 'Copy link').click();
    const field = page.locator(PANEL).getByRole('textbox', { name: 'Copy this link' });
    await expect
      .poll(() => field.evaluate((box: HTMLInputElement) => box.selectionEnd))
      .toBe(copied.href.length);
    expect(await field.inputValue()).toBe(copied.href);
    await page.screenshot({ path: join(PICTURES, 'link-by-hand.png') });
    await button(page, 'Swipe').click();
    await field.waitFor({ state: 'detached' });
    expect(faults).toEqual([]);
  });
});

function expectSame(sent: Picture, got: Picture, part: Parameters<typeof correlation>[1]): void {
  expect(meanDifference(sent, got, part)).toBeLessThan(SAME);
  expect(correlation(sent, part, got, part)).toBeGreaterThan(0.99);
}
