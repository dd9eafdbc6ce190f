/** The panel by keyboard alone: OHIF has hotkeys of its own, and what is pressed may go away with what it did. */
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { browserMissing } from '../support/viewer.ts';
import { button, PANEL, state, until } from './panel.ts';
import { sampleSuite } from './sample-suite.ts';

const SOON = 20_000;

/** What has the focus: an element of the panel by its words, or another by its name. */
function focused(page: Page): Promise<string> {
  return page.evaluate((panel) => {
    const root = document.querySelector(panel)!.shadowRoot!;
    const inside = root.activeElement;
    if (inside instanceof HTMLElement)
      return inside.localName === 'section' ? 'card' : inside.innerText.trim();
    return document.activeElement!.localName;
  }, PANEL);
}

describe.skipIf(browserMissing)('the panel by keyboard', { timeout: 240_000 }, () => {
  const sample = sampleSuite([{}]);

  const enter = (page: Page): Promise<void> => sample.enter(page, ({ stain }) => stain.state === 'ready');

  test('Enter and Space press its buttons, and the focus stays', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await enter(page);
    await button(page, 'Preview').focus();
    await page.keyboard.press('Enter');
    await until(page, ({ preview }) => preview !== null, SOON);
    await expect.poll(() => focused(page)).toBe('Stop preview');
    await page.keyboard.press('Space');
    await until(page, ({ preview }) => preview === null, SOON);
    await expect.poll(() => focused(page)).toBe('Preview');

    await button(page, 'Blink').focus();
    await page.keyboard.press('Space');
    await until(page, ({ comparison }) => comparison?.mode === 'blink', SOON);
    expect(await focused(page)).toBe('Blink');
    await button(page, 'Back to original').focus();
    await page.keyboard.press('Enter');
    await until(page, ({ comparison }) => comparison === null, SOON);
    // The button is gone: its card is where one was.
    await expect.poll(() => focused(page)).toBe('card');

    await page.locator(PANEL).getByRole('radio').first().focus();
    await page.keyboard.press('ArrowRight');
    await until(page, ({ template }) => template === 'he-pink-violet', SOON);
    await button(page, 'Normalize').focus();
    await page.keyboard.press('Enter');
    await until(page, ({ job }) => job !== null && job.state !== 'COMPLETED');
    expect(await focused(page)).not.toBe('body');
    await until(page, ({ job }) => job?.state === 'COMPLETED');
    expect(await focused(page)).not.toBe('body');
    expect(faults).toEqual([]);
  });

  test('what is typed into it is no hotkey, and what it has no use for still is', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await enter(page);
    await button(page, 'Blink').click();
    await until(page, ({ comparison }) => comparison?.mode === 'blink', SOON);
    await button(page, 'Template from series').focus();
    await page.keyboard.press('Enter');
    await until(page, ({ makingTemplate }) => makingTemplate === 'naming', SOON);
    // The next step has what was pressed: it is where one goes on.
    const name = page.locator(PANEL).getByRole('textbox');
    await expect.poll(() => name.evaluate((box) => box.matches(':focus'))).toBe(true);
    await page.keyboard.type('too TT? spw kdx v h +- laboratory');
    expect(await name.inputValue()).toBe('too TT? spw kdx v h +- laboratory');
    await page.keyboard.press('Enter');
    await until(
      page,
      ({ templates }) => templates.state === 'ready' && templates.value.some(({ own }) => own),
    );
    expect(await focused(page)).not.toBe('body');
    await button(page, /^Remove template/).focus();
    await page.keyboard.press('Enter');
    await expect.poll(() => focused(page)).toBe('Never mind');
    await page.keyboard.press('Space');
    await until(page, ({ removingTemplate }) => removingTemplate === null, SOON);
    await expect.poll(() => focused(page)).toBe('card');
    // From a button of the panel the key of the comparison reaches it.
    await button(page, 'Blink').focus();
    const label = page.locator('.stain-pane-label');
    await page.keyboard.down('o');
    await expect.poll(() => label.getAttribute('data-role')).toBe('original');
    await page.keyboard.up('o');
    await expect.poll(() => label.getAttribute('data-role')).toBe('normalized');
    expect((await state(page)).comparison?.mode).toBe('blink');
    expect(faults).toEqual([]);
  });
});
