/** Our keys among OHIF's: what they do, that they are the user's to change, and that they are nowhere but in our mode. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { meanDifference, PICTURES, pictureAtRest } from '../support/pictures.ts';
import { browserMissing } from '../support/viewer.ts';
import { seriousFindings } from './axe.ts';
import { button, slidePart, state, until } from './panel.ts';
import { sampleSuite } from './sample-suite.ts';

const CARD = 'stain-normalization-shortcuts';
const SOON = 20_000;

/** What OHIF's preferences show: every key by the words beside it. */
async function preferences(page: Page): Promise<Map<string, string>> {
  await page.locator('button[aria-haspopup="menu"]:visible').last().click();
  await page.getByRole('menuitem', { name: 'Preferences' }).click();
  await page.getByText('Hotkeys', { exact: true }).waitFor();
  const rows = await page.evaluate(() =>
    [...document.querySelectorAll('[role="dialog"] label')].map((label) => [
      label.textContent ?? '',
      label.parentElement?.querySelector('input')?.value ?? '',
    ]),
  );
  return new Map(rows as [string, string][]);
}

describe.skipIf(browserMissing)('keyboard shortcuts', { timeout: 240_000 }, () => {
  const sample = sampleSuite([{}, { template: 'he-violet' }]);

  test('step through the templates, preview, and hold the original', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await sample.enter(page);
    const { template, templates } = await state(page);
    const ids = templates.state === 'ready' ? templates.value.map(({ id }) => id) : [];
    expect(template).toBe(ids[0]);
    await page.keyboard.press('t');
    await until(page, (now) => now.template === ids[1], SOON);
    await page.keyboard.press('Shift+T');
    await page.keyboard.press('Shift+T');
    await until(page, (now) => now.template === ids.at(-1), SOON);

    const original = await pictureAtRest(page);
    const part = await slidePart(page);
    await page.keyboard.press('p');
    await until(page, ({ preview }) => preview?.isWhole === true);
    const preview = await pictureAtRest(page);
    expect(meanDifference(original, preview, part)).toBeGreaterThan(2);
    await page.keyboard.down('o');
    await until(page, ({ isOriginalHeld }) => isOriginalHeld, SOON);
    expect(await page.locator('.stain-pane-label').getAttribute('data-role')).toBe('original');
    expect(meanDifference(original, await pictureAtRest(page), part)).toBe(0);
    await page.keyboard.up('o');
    await until(page, ({ isOriginalHeld }) => !isOriginalHeld, SOON);
    expect(meanDifference(preview, await pictureAtRest(page), part)).toBe(0);
    await page.keyboard.press('p');
    await until(page, (now) => now.preview === null, SOON);
    expect(faults).toEqual([]);
  });

  test('open, change and close a comparison, and step through the results', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await sample.enter(page);
    for (const [key, mode] of [
      ['s', 'side-by-side'],
      ['w', 'swipe'],
      ['d', 'difference'],
      ['q', 'two-by-two'],
      ['k', 'blink'],
    ] as const) {
      await page.keyboard.press(key);
      await until(page, ({ comparison }) => comparison?.mode === mode, SOON);
    }
    const normalized = await pictureAtRest(page);
    const part = await slidePart(page);
    // With the mouse, for whoever has no key.
    const hold = (await button(page, /^Hold/).boundingBox())!;
    await page.mouse.move(hold.x + 5, hold.y + 5);
    await page.mouse.down();
    await until(page, ({ isOriginalHeld }) => isOriginalHeld, SOON);
    const held = await pictureAtRest(page, join(PICTURES, 'shortcuts-held.png'));
    expect(meanDifference(normalized, held, part)).toBeGreaterThan(2);
    await page.mouse.up();
    await until(page, ({ isOriginalHeld }) => !isOriginalHeld, SOON);

    const [first, second] = (await state(page)).results;
    await page.keyboard.press('t');
    const next = await until(
      page,
      ({ comparison }) => comparison?.normalized.seriesInstanceUid === second!.seriesInstanceUid,
    );
    expect(next.comparison!.mode).toBe('blink');
    expect(meanDifference(normalized, await pictureAtRest(page), part)).toBeGreaterThan(2);
    await page.keyboard.press('t');
    await until(
      page,
      ({ comparison }) => comparison?.normalized.seriesInstanceUid === first!.seriesInstanceUid,
    );
    await page.keyboard.press('x');
    await until(page, ({ comparison }) => comparison === null, SOON);
    expect(faults).toEqual([]);
  });

  test('are on a card, which keeps the focus and gives it back', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await sample.enter(page);
    const { template } = await state(page);
    await button(page, 'Keyboard shortcuts').focus();
    await page.keyboard.press('?');
    const dialog = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
    await dialog.waitFor();
    await pictureAtRest(page, join(PICTURES, 'shortcuts-card.png'));
    expect(await seriousFindings(page, [CARD])).toEqual([]);
    const inside = (): Promise<boolean> =>
      page.evaluate((card) => document.activeElement?.localName === card, CARD);
    expect(await dialog.getByRole('row').allInnerTexts()).toContain('Shift + T\tPrevious stain template');
    // Neither the slide's nor the page's: Tab goes from the card to the browser, and back.
    for (let i = 0; i < 4; i++) {
      await page.keyboard.press('Tab');
      expect(
        await page.evaluate((card) => [card, 'body'].includes(document.activeElement!.localName), CARD),
      ).toBe(true);
    }
    await dialog.getByRole('button').focus();
    expect(await inside()).toBe(true);
    await page.keyboard.press('t');
    await page.keyboard.press('?');
    expect(await page.locator(CARD).count()).toBe(1);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    expect((await state(page)).template).toBe(template);
    await expect
      .poll(() => button(page, 'Keyboard shortcuts').evaluate((element) => element.matches(':focus')))
      .toBe(true);
    await page.keyboard.press('Enter');
    await dialog.waitFor();
    // Opened again before the browser has told the card that it was closed.
    await button(page, 'Keyboard shortcuts').evaluate((element, card) => {
      document.querySelector(card)!.shadowRoot!.querySelector('dialog')!.close();
      (element as HTMLButtonElement).click();
    }, CARD);
    await expect.poll(() => page.locator(CARD).count()).toBe(1);
    await dialog.getByRole('button', { name: 'Close' }).click();
    await dialog.waitFor({ state: 'detached' });
    expect(faults).toEqual([]);
  });

  test('are seen and changed in OHIF’s preferences, and none is one of OHIF’s own', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await sample.enter(page);
    const shown = await preferences(page);
    await page.screenshot({ path: join(PICTURES, 'shortcuts-preferences.png') });
    expect(shown.get('Next stain template')).toBe('T');
    const keys = [...shown.values()].filter((key) => key !== '');
    expect(keys.length).toBeGreaterThan(40);
    expect(keys.filter((key, at) => keys.indexOf(key) !== at)).toEqual([]);

    const field = page
      .locator('[role="dialog"] label', { hasText: 'Next stain template' })
      .locator('..')
      .locator('input');
    await field.click();
    await page.keyboard.press('j');
    await expect.poll(() => field.inputValue()).toBe('J');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Hotkeys', { exact: true }).waitFor({ state: 'detached' });
    const { template } = await state(page);
    await page.keyboard.press('t');
    await page.keyboard.press('j');
    const stepped = await until(page, (now) => now.template !== template, SOON);
    await page.keyboard.press('Shift+T');
    await until(page, (now) => now.template === template, SOON);

    await page.reload();
    await until(page, ({ templates, results }) => templates.state === 'ready' && results.length > 1);
    const before = await state(page);
    await page.keyboard.press('j');
    await until(page, (now) => now.template !== before.template, SOON);
    await page.keyboard.press('?');
    const rows = await page
      .getByRole('dialog', { name: 'Keyboard shortcuts' })
      .getByRole('row')
      .allInnerTexts();
    expect(rows).toContain('J\tNext stain template');
    expect(stepped.template).not.toBe(template);
    expect(faults).toEqual([]);
  });

  test('are nowhere but in our mode', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await sample.enter(page);
    await page.goto(`${sample.url}microscopy?StudyInstanceUIDs=${sample.study}`);
    await page.locator('.stain-pane-label').waitFor();
    for (const key of ['t', 'p', 's', '?']) await page.keyboard.press(key);
    expect([...(await preferences(page)).keys()].filter((label) => /stain|compar/i.test(label))).toEqual([]);
    expect(await page.locator(`${CARD}, .stain-second-viewer, .stain-surface`).count()).toBe(0);
    expect(faults).toEqual([]);
  });
});
