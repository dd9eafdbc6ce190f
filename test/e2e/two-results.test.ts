/** One normalised series against another of the same slide, in pictures: each is seen as it is alone. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { meanDifference, PICTURES, type Picture, pictureAtRest } from '../support/pictures.ts';
import { browserMissing } from '../support/viewer.ts';
import { button, labelsOf, PANEL, show, slidePart, until } from './panel.ts';
import { sampleSuite } from './sample-suite.ts';

describe.skipIf(browserMissing)('two results of a slide', { timeout: 240_000 }, () => {
  const sample = sampleSuite([{ template: 'he-magenta' }, { template: 'he-violet' }]);

  const picture = (page: Page, name: string): Promise<Picture> =>
    pictureAtRest(page, join(PICTURES, `two-results-${name}.png`));

  test('are put against each other in every way, named, measured, and in the address', async () => {
    await using open = await sample.open();
    const { page } = open;
    await sample.enter(page);
    const [magenta, violet] = sample.results as [string, string];
    await show(page, magenta);
    await pictureAtRest(page);
    const part = await slidePart(page);
    const magentaAlone = await picture(page, 'magenta');
    await show(page, violet);
    const violetAlone = await picture(page, 'violet');

    const panel = page.locator(PANEL);
    await panel.getByLabel('Compare with').selectOption(magenta);
    const isOpen = (mode: string) =>
      until(
        page,
        ({ comparison }) =>
          comparison?.mode === mode &&
          comparison.against.seriesInstanceUid === magenta &&
          comparison.normalized.seriesInstanceUid === violet,
      );
    await isOpen('side-by-side');
    expect(await labelsOf(page)).toEqual([
      { role: 'normalized', text: expect.stringContaining('Deep magenta') },
      { role: 'normalized', text: expect.stringContaining('Cool violet') },
    ]);
    await picture(page, 'side-by-side');
    await expect.poll(() => new URL(page.url()).searchParams.get('compareWith')).toBe(magenta);

    await button(page, 'Blink').click();
    await isOpen('blink');
    expect(meanDifference(violetAlone, await picture(page, 'blink'), part)).toBeLessThan(0.1);
    const hold = button(page, 'Hold down to see the other series');
    await hold.focus();
    await page.keyboard.down('Enter');
    expect(meanDifference(magentaAlone, await picture(page, 'blink-held'), part)).toBeLessThan(0.1);
    await page.keyboard.up('Enter');

    await button(page, 'Swipe').click();
    await isOpen('swipe');
    const divider = page.getByRole('slider', { name: /divider/i });
    const beside = { ...part, width: part.width - 32 }; // the divider's handle
    await divider.press('Home');
    expect(meanDifference(violetAlone, await picture(page, 'swipe-left'), beside)).toBeLessThan(0.1);

    await button(page, 'Difference').click();
    await isOpen('difference');
    await expect
      .poll(async () => (await labelsOf(page))[0]!.text)
      .toContain('Difference of two normalised series');
    // The colours of a scale, not those of a slide.
    expect(meanDifference(violetAlone, await picture(page, 'difference'), part)).toBeGreaterThan(5);

    await panel.getByText('Measure the colour').click();
    await button(page, 'What I see').click();
    await until(page, ({ measurement }) => measurement?.against != null && measurement.normalized !== null);
    for (const name of ['Deep magenta', 'Cool violet'])
      expect(await panel.getByRole('columnheader', { name }).count()).toBe(1);

    // A colleague, and then the original again.
    const address = page.url();
    await page.goto('about:blank');
    await page.goto(address);
    await isOpen('difference');
    await panel.getByLabel('Compare with').selectOption({ label: 'Original' });
    await until(page, ({ comparison }) => comparison?.against.derived === null);
    await expect.poll(() => new URL(page.url()).searchParams.has('compareWith')).toBe(false);
    expect(open.faults).toEqual([]);
  });
});
