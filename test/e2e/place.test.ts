/** Where one looks is kept, and both sides of a comparison show it: told from pictures, not from the numbers of a view. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import {
  correlation,
  meanDifference,
  type Part,
  PICTURES,
  type Picture,
  pictureAtRest,
} from '../support/pictures.ts';
import { browserMissing } from '../support/viewer.ts';
import {
  backToOriginal,
  button,
  keepUnfinished,
  PANEL,
  show,
  slidePart,
  state,
  turnWheel,
  until,
} from './panel.ts';
import { sampleSuite } from './sample-suite.ts';

describe.skipIf(browserMissing)('the place on the slide', { timeout: 240_000 }, () => {
  const sample = sampleSuite([{}]);

  const picture = (page: Page, name: string): Promise<Picture> =>
    pictureAtRest(page, join(PICTURES, `place-${name}.png`));

  test('is kept by every comparison and after it, and the slide goes on to zoom', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await sample.enter(page);
    await pictureAtRest(page);
    // Off the middle, where nothing that begins anew would look.
    await turnWheel(page, 3, [0.35, 0.3]);
    const before = await picture(page, 'before');
    const part = await slidePart(page);

    await button(page, 'Swipe').click();
    await until(page, ({ comparison }) => comparison?.mode === 'swipe');
    const divider = page.getByRole('slider', { name: /divider/i });
    await divider.press('End');
    const original = { ...part, width: part.width - 32 }; // the divider's handle
    expect(meanDifference(before, await picture(page, 'swipe-original'), original)).toBe(0);
    await divider.press('Home');
    const normalized = await picture(page, 'swipe-normalised');
    expect(meanDifference(before, normalized, part)).toBeGreaterThan(2);
    expect(correlation(before, part, normalized, part)).toBeGreaterThan(0.9);
    expect(await overviews(page)).toBe(1);

    await button(page, 'Back to original').click();
    expect(meanDifference(before, await picture(page, 'after'), part)).toBe(0);
    await turnWheel(page, 2, [0.35, 0.3]);
    const closer = await picture(page, 'after-closer');
    expect(meanDifference(before, closer, part)).toBeGreaterThan(5);

    await button(page, 'Side by side').click();
    await until(page, ({ comparison }) => comparison?.mode === 'side-by-side');
    const beside = await picture(page, 'side-by-side');
    const [left, right] = await halves(page);
    expect(await overviews(page)).toBe(1);
    expect(correlation(beside, left, beside, right)).toBeGreaterThan(0.9);
    await turnWheel(page, -2, [0.7, 0.3]);
    const farther = await picture(page, 'side-by-side-farther');
    expect(meanDifference(beside, farther, left)).toBeGreaterThan(5);
    expect(correlation(farther, left, farther, right)).toBeGreaterThan(0.9);

    await button(page, 'Back to original').click();
    await turnWheel(page, 1, [0.35, 0.3]);
    expect(meanDifference(before, await picture(page, 'second-after'), part)).toBeGreaterThan(5);
    expect(faults).toEqual([]);
  });

  test('is kept on the way between a derived series and its source', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await sample.enter(page);
    await show(page, sample.results[0]!);
    await pictureAtRest(page);
    await turnWheel(page, 3, [0.35, 0.3]);
    const normalized = await picture(page, 'derived');
    const part = await slidePart(page);
    await backToOriginal(page);
    const original = await picture(page, 'source');
    expect(meanDifference(normalized, original, part)).toBeGreaterThan(2);
    expect(correlation(normalized, part, original, part)).toBeGreaterThan(0.9);

    // Compared from the derived side: that viewer stays, and the original is put beside it.
    await show(page, sample.results[0]!);
    await pictureAtRest(page);
    await turnWheel(page, 3, [0.35, 0.3]);
    const again = await picture(page, 'derived-again');
    await button(page, 'Blink').click();
    await until(page, ({ comparison }) => comparison?.mode === 'blink');
    expect(meanDifference(again, await picture(page, 'derived-blink'), part)).toBe(0);
    await page.keyboard.down('o');
    const held = await picture(page, 'derived-blink-held');
    expect(meanDifference(again, held, part)).toBeGreaterThan(2);
    expect(correlation(again, part, held, part)).toBeGreaterThan(0.9);
    await page.keyboard.up('o');
    await backToOriginal(page);
    expect(meanDifference(held, await picture(page, 'derived-back'), part)).toBe(0);
    expect(faults).toEqual([]);
  });

  test('is kept when a job ends that was asked for here, and its result is put beside', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await sample.enter(page);
    await pictureAtRest(page);
    await turnWheel(page, 3, [0.35, 0.3]);
    const before = await picture(page, 'job-before');
    const whole = (await page.locator('.DicomMicroscopyViewer').first().boundingBox())!;
    await page.locator(PANEL).getByRole('radio').nth(1).check({ force: true });
    await button(page, 'Normalize').click();
    await until(page, ({ comparison }) => comparison?.mode === 'side-by-side');
    const after = await picture(page, 'job-after');
    const [left, right] = await halves(page);
    // The middle stays in the middle: half of what was to be seen there is to be seen on either side.
    const seen = { ...left, x: left.x + Math.round(whole.width / 4) };
    expect(correlation(before, seen, after, left)).toBeGreaterThan(0.9);
    expect(correlation(before, seen, after, right)).toBeGreaterThan(0.9);
    expect(faults).toEqual([]);
  });

  test('is left alone when somebody else’s job ends, which is told with a way to its result', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    const uid = await sample.normalize({ template: 'he-violet' });
    // For this page it is on its way still, until the test lets it hear of the end.
    const end = await keepUnfinished(page, (route) => route.continue());
    await sample.enter(page);
    await until(page, ({ job }) => job?.state === 'IN PROGRESS');
    await pictureAtRest(page);
    await turnWheel(page, 3, [0.35, 0.3]);
    const before = await picture(page, 'other-before');
    const part = await slidePart(page);
    end();
    const notice = page.locator('[data-sonner-toast]').filter({ hasText: 'is in the study' });
    await notice.waitFor();
    await until(page, ({ job }) => job?.state === 'COMPLETED');
    const after = await picture(page, 'other-after');
    // The notice, which has come up by now, lies over the lower part of the slide.
    const above = { ...part, height: Math.floor((await notice.boundingBox())!.y) - 16 - part.y };
    expect(meanDifference(before, after, above)).toBe(0);
    expect((await state(page)).comparison).toBeNull();
    await notice.getByRole('button', { name: 'Open' }).click();
    const opened = await until(page, ({ comparison }) => comparison !== null);
    expect(opened.comparison!.normalized.seriesInstanceUid).toBe(uid);
    expect(faults).toEqual([]);
  });
});

/** How many overviews can be seen. */
function overviews(page: Page): Promise<number> {
  return page.evaluate(
    () =>
      [...document.querySelectorAll('.ol-overviewmap')].filter((overview) => {
        const { x, y, width, height } = overview.getBoundingClientRect();
        const top = document.elementFromPoint(x + width / 2, y + height / 2);
        return top !== null && overview.contains(top);
      }).length,
  );
}

/** The same part of either side, above the overview and below the labels. */
async function halves(page: Page): Promise<readonly [Part, Part]> {
  const { y, width, height } = (await page.locator('.stain-second-viewer').boundingBox())!;
  const part = (left: number): Part => ({
    x: Math.round(left) + 20,
    y: Math.round(y) + 90,
    width: Math.floor(width) - 40,
    height: Math.floor(height * 0.5) - 90,
  });
  const sides = await Promise.all(
    ['.DicomMicroscopyViewer', '.stain-second-viewer'].map((side) =>
      page.locator(side).first().boundingBox(),
    ),
  );
  return [part(sides[0]!.x), part(sides[1]!.x)];
}
