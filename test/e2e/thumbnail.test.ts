/** The list of series shows what a job has made, as it does when the page is loaded anew. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { meanDifference, type Part, PICTURES, type Picture, pictureAtRest } from '../support/pictures.ts';
import { browserMissing } from '../support/viewer.ts';
import { button, state, until } from './panel.ts';
import { sampleSuite } from './sample-suite.ts';

describe.skipIf(browserMissing)('the list of series', { timeout: 240_000 }, () => {
  const sample = sampleSuite();

  /** Where the picture of a series is, without its frame. */
  async function partOf(page: Page, index: number): Promise<Part> {
    const box = (await page.locator('[data-cy="study-browser-thumbnail"]').nth(index).boundingBox())!;
    return {
      x: Math.ceil(box.x) + 20,
      y: Math.ceil(box.y) + 10,
      width: Math.floor(box.width) - 40,
      height: 80,
    };
  }

  const black = ({ width, height }: Picture): Picture => ({
    width,
    height,
    rgb: new Uint8Array(width * height * 3),
  });

  test('shows the new series as soon as it is there', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await sample.enter(page, ({ series }) => series !== null);
    await button(page, /^Normali[sz]e/).click();
    await until(page, ({ comparison }) => comparison !== null);
    const image = page.locator('[data-cy="study-browser-thumbnail"]').nth(1).locator('img');
    await image.waitFor();
    const added = await pictureAtRest(page, join(PICTURES, 'thumbnail.png'));
    const part = await partOf(page, 1);
    expect(meanDifference(added, black(added), part)).toBeGreaterThan(50);
    // The new series comes first, and is still the second.
    const { series, results } = await state(page);
    const first = page.waitForResponse(`**/series/${results[0]!.seriesInstanceUid}/metadata`);
    await page.route(`**/series/${series!.seriesInstanceUid}/metadata`, async (route) => {
      await (await first).finished();
      await route.fallback();
    });
    await page.reload();
    await until(page, ({ results }) => results.length === 1);
    await image.waitFor();
    const loaded = await pictureAtRest(page);
    expect(meanDifference(added, loaded, await partOf(page, 1))).toBeLessThan(1);
    // It is the picture of the result: the original's has other colours.
    const { width, height } = part;
    const original = await partOf(page, 0);
    expect(meanDifference(cut(added, part), cut(added, { ...original, width, height }))).toBeGreaterThan(3);
    expect(faults).toEqual([]);
  });
});

function cut(picture: Picture, { x, y, width, height }: Part): Picture {
  const rows = Array.from({ length: height }, (_, row) =>
    picture.rgb.subarray(((y + row) * picture.width + x) * 3, ((y + row) * picture.width + x + width) * 3),
  );
  return { width, height, rgb: new Uint8Array(Buffer.concat(rows)) };
}
