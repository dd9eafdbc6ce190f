/** Colours that the panel measures are those of the pixels that the archive holds. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import type { Spread } from '../../core/src/stain/colour-reading.ts';
import { PICTURES, pictureAtRest } from '../support/pictures.ts';
import { browserMissing } from '../support/viewer.ts';
import { button, PANEL, slidePart, turnWheel, until } from './panel.ts';
import { sampleSuite } from './sample-suite.ts';

describe.skipIf(browserMissing)('measuring the colour', { timeout: 240_000 }, () => {
  const sample = sampleSuite([{}]);

  test('reads the same place of both slides under the pointer, in a region and in the view', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await sample.enter(page);
    await page.locator(PANEL).getByText('Measure the colour').click();
    // One pixel of the slide is many of the screen: what is seen at a place is its colour, whatever the filter.
    await turnWheel(page, 30, [0.5, 0.5]);
    await button(page, 'Swipe').click();
    await until(page, ({ comparison }) => comparison?.mode === 'swipe');
    await choice(page, 'Under the pointer').click();
    const seen = await pictureAtRest(page, join(PICTURES, 'colour-swipe.png'));
    const part = await slidePart(page);
    const colourSeen = (x: number, y: number): number[] => {
      const at = (Math.round(y) * seen.width + Math.round(x)) * 3;
      return [...seen.rgb.subarray(at, at + 3)];
    };
    // Left of the divider is the original, right of it the normalised slide.
    for (const [across, side] of [
      [0.1, 'against'],
      [0.9, 'normalized'],
    ] as const) {
      const [x, y] = [part.x + part.width * across, part.y + part.height * 0.4];
      await page.mouse.move(x, y);
      const { measurement } = await until(page, (now) => now.measurement?.against != null, 20_000);
      const { rgb } = measurement![side]!;
      expect(maxDifference(means(rgb), colourSeen(x, y))).toBeLessThanOrEqual(2);
    }
    await page.screenshot({ path: join(PICTURES, 'colour-pointer.png') });
    expect(await page.locator(PANEL).getByText('Difference (CIEDE2000): ').innerText()).toMatch(/: \d+\.\d$/);

    await button(page, 'Side by side').click();
    await until(page, ({ comparison }) => comparison?.mode === 'side-by-side');
    await turnWheel(page, -22, [0.5, 0.5]);
    await pictureAtRest(page);
    await choice(page, 'Region').press('Enter');
    await until(page, ({ measurement }) => measurement?.isChoosing === true);
    await page.keyboard.press('Escape');
    await until(page, ({ measurement }) => measurement === null);
    await measureRegion(page);
    const { measurement: region } = await until(page, (now) => (now.measurement?.against?.pixels ?? 0) > 1);
    expect(region!.normalized!.pixels).toBe(region!.against!.pixels);
    expect(means(region!.normalized!.lab)).not.toEqual(means(region!.against!.lab));
    await pictureAtRest(page, join(PICTURES, 'colour-region.png'));

    // With the keyboard alone.
    await choice(page, 'What I see').press('Enter');
    const { measurement: view } = await until(
      page,
      (now) => now.measurement?.of === 'view' && now.measurement.against !== null,
    );
    expect(view!.against!.pixels).toBeGreaterThan(1000);
    await page
      .locator(PANEL)
      .locator('figure')
      .screenshot({ path: join(PICTURES, 'colour-plot.png') });
    // The numbers are of what was seen, not of what is seen now.
    await turnWheel(page, 3, [0.5, 0.5]);
    await until(page, ({ measurement }) => measurement === null);
    expect(faults).toEqual([]);
  });
});

const choice = (page: Page, name: string) =>
  page.locator(PANEL).getByRole('group', { name: 'Measure the colour' }).getByRole('button', { name });

const means = (spreads: readonly Spread[]): number[] => spreads.map(({ mean }) => mean);

function maxDifference(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
}

/** Drags a rectangle on the right one of two slides. */
async function measureRegion(page: Page): Promise<void> {
  await choice(page, 'Region').click();
  await until(page, (now) => now.measurement?.isChoosing === true);
  const { x, y, width, height } = (await page.locator('.DicomMicroscopyViewer').first().boundingBox())!;
  await page.mouse.move(x + width * 0.7, y + height * 0.4);
  await page.mouse.down();
  await page.mouse.move(x + width * 0.8, y + height * 0.6, { steps: 3 });
  await page.mouse.up();
}
