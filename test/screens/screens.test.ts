/**
 * The viewer on screens of three sizes, state by state: nothing is cut off or covered, and a picture of each is kept to be
 * looked at (e2e-output/screens-*.png). Part of `.ci/full`.
 */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { button, noticesGone, PANEL, until } from '../e2e/panel.ts';
import { sampleSuite } from '../e2e/sample-suite.ts';
import { PICTURES, pictureAtRest } from '../support/pictures.ts';
import { browserMissing } from '../support/viewer.ts';

const SIZES = [
  { width: 1280, height: 720 },
  { width: 1920, height: 1080 },
  { width: 3840, height: 2160 },
];

describe.skipIf(browserMissing)('the viewer', { timeout: 600_000 }, () => {
  const sample = sampleSuite([{ template: 'he-magenta' }, { template: 'he-violet' }]);

  test.each(SIZES)('at $width x $height', async (viewport) => {
    await using open = await sample.open({ viewport });
    const { page } = open;
    const seen = async (state: string): Promise<void> => {
      await noticesGone(page);
      await pictureAtRest(page, join(PICTURES, `screens-${viewport.width}-${state}.png`));
      expect(await cutOff(page), state).toEqual([]);
      // The slide is what one came for.
      const { width, height } = (await page.locator('[data-cy="viewport-grid"]').boundingBox())!;
      expect(width * height, state).toBeGreaterThan(0.4 * viewport.width * viewport.height);
    };
    await sample.enter(page, ({ stain }) => stain.state === 'ready');
    await seen('slide');
    await button(page, 'My slide').click();
    await until(page, ({ pictures, templates }) =>
      templates.state === 'ready'
        ? Object.keys(pictures.urls).length === templates.value.filter(({ usable }) => usable).length
        : false,
    );
    await seen('my-slide');
    await button(page, 'Preview').click();
    await until(page, ({ preview }) => preview?.isWhole === true);
    await seen('preview');
    for (const [name, mode] of [
      ['Side by side', 'side-by-side'],
      ['Swipe', 'swipe'],
      ['Blink', 'blink'],
      ['Difference', 'difference'],
    ] as const) {
      await button(page, name).click();
      await until(page, ({ preview }) => preview?.mode === mode);
      await seen(`preview-${mode}`);
    }
    await button(page, 'Stop preview').click();
    await button(page, 'Side by side').click();
    await until(page, ({ comparison }) => comparison?.mode === 'side-by-side');
    await seen('compared');
    await page.locator(PANEL).getByText('Measure the colour').click();
    await page
      .locator(PANEL)
      .getByRole('group', { name: 'Measure the colour' })
      .getByRole('button', { name: 'What I see' })
      .click();
    await until(page, ({ measurement }) => measurement?.against != null);
    await seen('measured');
    // On a small screen, what was measured would lie below the edge.
    const table = (await page.locator(PANEL).getByRole('table').boundingBox())!;
    expect(table.y + table.height).toBeLessThanOrEqual(viewport.height);
    await button(page, 'Two by two').click();
    await until(page, ({ comparison }) => comparison?.mode === 'two-by-two');
    await seen('two-by-two');
    await button(page, 'Back to original').click();
    await page.locator(PANEL).getByText('Keyboard shortcuts').click();
    await page.getByRole('dialog').waitFor();
    await pictureAtRest(page, join(PICTURES, `screens-${viewport.width}-shortcuts.png`));
    expect(open.faults).toEqual([]);
  });
});

/** Our labels, buttons and numbers whose text does not fit, that stick out of the panel, or that lie beyond the screen. */
function cutOff(page: Page): Promise<string[]> {
  return page.evaluate((selector) => {
    const panel = document.querySelector(selector)!;
    const edges = panel.getBoundingClientRect();
    const found: string[] = [];
    for (const element of panel.shadowRoot!.querySelectorAll<HTMLElement>(
      'button, select, h2, label, summary',
    )) {
      const { left, right, width } = element.getBoundingClientRect();
      if (width === 0) continue;
      const isClipped =
        element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflow !== 'visible';
      if (isClipped || left < edges.left - 1 || right > edges.right + 1)
        found.push(`${element.localName}: ${element.textContent!.trim().slice(0, 40)}`);
    }
    for (const cell of panel.shadowRoot!.querySelectorAll('td')) {
      const text = document.createRange();
      text.selectNodeContents(cell);
      const lines = new Set([...text.getClientRects()].map(({ top }) => Math.round(top)));
      if (lines.size > cell.textContent!.split('\n').length) found.push(`wrapped: ${cell.textContent}`);
    }
    for (const label of document.querySelectorAll<HTMLElement>('.stain-pane-label')) {
      const { left, right, top, bottom } = label.getBoundingClientRect();
      if (left < 0 || top < 0 || right > innerWidth || bottom > innerHeight)
        found.push(`label: ${label.textContent}`);
    }
    return found;
  }, PANEL);
}
