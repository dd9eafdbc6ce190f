/** A drag with the left button moves the slide from the first moment, and the tool that was chosen stays chosen: told from pictures. */
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { correlation, pictureAtRest } from '../support/pictures.ts';
import { browserMissing } from '../support/viewer.ts';
import { button, noticesGone, show, slidePart, state, turnWheel, until } from './panel.ts';
import { sampleSuite } from './sample-suite.ts';

/** Few pixels, so that several drags stay on the slide. */
const [LEFTWARDS, DOWNWARDS] = [40, 20];

describe.skipIf(browserMissing)('the left button on a slide', { timeout: 240_000 }, () => {
  const sample = sampleSuite([{}]);

  test('moves it where no tool was chosen, in a preview, in a comparison, and in another series', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await sample.enter(page);
    await turnWheel(page, 2, [0.5, 0.5]);
    expect(await agreesAfterDrag(page), 'no tool chosen').toBeGreaterThan(0.9);
    await button(page, /^Preview/).click();
    await page.getByText('Preview, normalised').first().waitFor();
    expect(await agreesAfterDrag(page), 'preview').toBeGreaterThan(0.9);
    await button(page, 'Stop preview').click();
    await until(page, ({ preview }) => preview === null);
    await button(page, 'Blink').click();
    await until(page, ({ comparison }) => comparison?.mode === 'blink');
    expect(await agreesAfterDrag(page), 'blink').toBeGreaterThan(0.9);
    await button(page, 'Back to original').click();
    await until(page, ({ comparison }) => comparison === null);
    await show(page, sample.results[0]!);
    await turnWheel(page, 2, [0.5, 0.5]);
    expect(await agreesAfterDrag(page), 'another series').toBeGreaterThan(0.9);
    expect(faults).toEqual([]);
  });

  test('draws with a tool that was chosen before another series was shown', async () => {
    await using open = await sample.open();
    const { page } = open;
    await sample.enter(page);
    await page.evaluate(() =>
      (
        globalThis as unknown as { commandsManager: { runCommand(...command: unknown[]): void } }
      ).commandsManager.runCommand('setToolActive', { toolName: 'freehandline' }, 'MICROSCOPY'),
    );
    await show(page, sample.results[0]!);
    await drag(page, async () => {});
    await expect.poll(async () => (await state(page)).annotations.list.length).toBe(1);
  });
});

/** @param held called before the button is let go: a slide that is let go while it moves goes on */
async function drag<T>(page: Page, held: () => Promise<T>): Promise<T> {
  const { x, y, width, height } = await slidePart(page);
  const [fromX, fromY] = [x + width / 2, y + height / 2];
  await page.mouse.move(fromX, fromY);
  await page.mouse.down();
  // The first step tells the viewer that this is a drag, and moves nothing.
  await page.mouse.move(fromX + 4, fromY);
  await page.mouse.move(fromX + 4 - LEFTWARDS, fromY + DOWNWARDS, { steps: 8 });
  const seen = await held();
  await page.mouse.up();
  return seen;
}

/** How far what was in the middle before a drag is where the pointer took it. */
async function agreesAfterDrag(page: Page): Promise<number> {
  await noticesGone(page);
  const before = await pictureAtRest(page);
  const after = await drag(page, () => pictureAtRest(page));
  const { x, y, width, height } = await slidePart(page);
  const part = { x: x + LEFTWARDS, y, width: width - LEFTWARDS, height: height - DOWNWARDS };
  const moved = { ...part, x: part.x - LEFTWARDS, y: part.y + DOWNWARDS };
  return correlation(before, part, after, moved);
}
