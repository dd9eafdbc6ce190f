/** The original and three results in one view, told from pictures: each in its quarter, moved together, gone without a trace. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Services } from '../../extension/src/ohif/types.ts';
import {
  correlation,
  meanDifference,
  type Part,
  PICTURES,
  type Picture,
  pictureAtRest,
} from '../support/pictures.ts';
import { browserMissing } from '../support/viewer.ts';
import { seriousFindings } from './axe.ts';
import {
  button,
  drawLine,
  labelsOf,
  PANEL,
  show,
  slideBox,
  slidePart,
  state,
  turnWheel,
  until,
} from './panel.ts';
import { sampleSuite } from './sample-suite.ts';
import { near, stroke } from './stroke.ts';

describe.skipIf(browserMissing)('two by two', { timeout: 240_000 }, () => {
  const sample = sampleSuite([{ template: 'he-pink-violet' }]);
  /** The newest first, as the panel lists them. */
  const results = (): string[] => sample.results.toReversed();
  const violet = (): string => sample.results[1]!;

  const picture = (page: Page, name: string): Promise<Picture> =>
    pictureAtRest(page, join(PICTURES, `two-by-two-${name}.png`));

  const enter = async (page: Page): Promise<void> => {
    await sample.enter(page);
    await pictureAtRest(page);
    await turnWheel(page, 3, [0.35, 0.3]);
  };

  /** The panes in the order in which they are read, as far as the state tells. */
  const seen = async (page: Page): Promise<string[]> => {
    const { comparison } = await until(page, (now) => now.comparison?.mode === 'two-by-two');
    return [comparison!.normalized, ...comparison!.others].map(({ seriesInstanceUid }) => seriesInstanceUid);
  };

  test('is not offered with one result, and its key says why', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await enter(page);
    await button(page, 'Side by side').waitFor();
    expect(await button(page, 'Two by two').count()).toBe(0);
    await page.keyboard.press('q');
    const { error } = await until(page, (now) => now.error !== null);
    expect(error!.code).toBe('TOO_FEW_RESULTS');
    await page.locator(PANEL).getByRole('alert').getByText('at least two normalised series').waitFor();
    expect((await state(page)).comparison).toBeNull();
    expect(faults).toEqual([]);
  });

  describe('of several results', () => {
    beforeAll(async () => {
      await sample.normalize({ template: 'he-violet' });
      await sample.normalize({ template: 'he-magenta' });
      await sample.normalize({ template: 'he-magenta', transfer: 'paper' });
    }, 240_000);

    test('shows one place four times, moves as one, and leaves that place and nothing else', async () => {
      await using open = await sample.open();
      const { page, faults } = open;
      await enter(page);
      const before = await picture(page, 'before');
      const part = await slidePart(page);
      const whole = await slideBox(page);
      const parts = await things(page);
      await button(page, 'Two by two').click();
      expect(await seen(page)).toEqual(results().slice(0, 3));
      const opened = await picture(page, 'open');
      expect(await labelsOf(page)).toEqual([
        { role: 'original', text: 'Original' },
        ...[
          'Deep magenta\nAs published, series 5',
          'Deep magenta\nLinear, series 4',
          'Cool violet\nLinear, series 3',
        ].map((text) => ({ role: 'normalized', text: expect.stringContaining(text) })),
      ]);
      const quarters = quartersOf(whole);
      expectOnePlace(opened, quarters);
      // Each has its own colours.
      const colours = quarters.map((quarter) => meanColour(opened, quarter));
      for (const [at, one] of colours.entries())
        for (const other of colours.slice(at + 1))
          expect(Math.max(...one.map((value, c) => Math.abs(value - other[c]!)))).toBeGreaterThan(2);
      // What was in the middle is in the middle.
      const [first] = quarters;
      const middle = {
        ...first,
        x: first.x + Math.round(whole.width / 4),
        y: first.y + Math.round(whole.height / 4),
      };
      expect(correlation(before, middle, opened, first)).toBeGreaterThan(0.9);
      expect((await things(page)).viewers).toBe(4);
      expect(await page.locator('.ol-overviewmap:visible').count()).toBe(1);

      // Over one and another of them.
      await page.mouse.move(whole.x + whole.width * 0.8, whole.y + whole.height * 0.8);
      for (let turn = 0; turn < 2; turn++) await page.mouse.wheel(0, -240);
      await page.mouse.move(whole.x + whole.width - 2, whole.y + whole.height - 2);
      const closer = await picture(page, 'closer');
      for (const quarter of quarters) expect(meanDifference(opened, closer, quarter)).toBeGreaterThan(5);
      expectOnePlace(closer, quarters);
      await page.mouse.move(whole.x + whole.width * 0.3, whole.y + whole.height * 0.8);
      await page.mouse.down({ button: 'middle' });
      await page.mouse.move(whole.x + whole.width * 0.35, whole.y + whole.height * 0.7, { steps: 5 });
      await page.mouse.up({ button: 'middle' });
      await page.mouse.move(whole.x + whole.width - 2, whole.y + whole.height - 2);
      const panned = await picture(page, 'panned');
      for (const quarter of quarters) expect(meanDifference(closer, panned, quarter)).toBeGreaterThan(5);
      expectOnePlace(panned, quarters);

      await button(page, 'Back to original').click();
      await until(page, ({ comparison }) => comparison === null);
      const after = await picture(page, 'after');
      expect(correlation(after, middle, panned, first)).toBeGreaterThan(0.9);
      expect(await things(page)).toEqual(parts);

      // Where nobody moved, the picture is the one before.
      await page.keyboard.press('q');
      await seen(page);
      await pictureAtRest(page);
      await page.keyboard.press('x');
      await until(page, ({ comparison }) => comparison === null);
      expect(meanDifference(after, await pictureAtRest(page), part)).toBe(0);
      expect(await things(page)).toEqual(parts);
      expect(faults).toEqual([]);
    });

    test('from a result or a preview it is the same, and other ways to compare begin from it', async () => {
      await using open = await sample.open();
      const { page, faults } = open;
      await enter(page);
      await button(page, 'Preview').click();
      await until(page, ({ preview }) => preview?.isWhole === true);
      await button(page, 'Two by two').click();
      expect(await seen(page)).toEqual(results().slice(0, 3));
      expect((await state(page)).preview).toBeNull();
      const quarters = quartersOf(await slideBox(page));
      expectOnePlace(await picture(page, 'from-preview'), quarters);
      await page.keyboard.press('x');
      await until(page, ({ comparison }) => comparison === null);

      await show(page, violet());
      await pictureAtRest(page);
      await turnWheel(page, 3, [0.35, 0.3]);
      const alone = await picture(page, 'violet-alone');
      await page.keyboard.press('q');
      expect(await seen(page)).toEqual([violet(), results()[0], results()[1]]);
      const opened = await picture(page, 'from-violet');
      expectOnePlace(opened, quarters);
      expect((await labelsOf(page)).map(({ text }) => text.split('\n')[1] ?? text)).toEqual([
        'Original',
        'Template Cool violet',
        'Template Deep magenta',
        'Template Deep magenta',
      ]);
      // The next result comes to the top right, and the others stay.
      await page.keyboard.press('t');
      await expect.poll(() => seen(page)).toEqual([results()[3], violet(), results()[0]]);
      expect((await things(page)).viewers).toBe(4);

      // In a place that another has: they change places.
      await page.locator(PANEL).getByLabel('Bottom right').selectOption(violet());
      await expect.poll(() => seen(page)).toEqual([results()[3], results()[0], violet()]);
      await page.locator(PANEL).getByLabel('Top right').selectOption(results()[1]!);
      await expect.poll(() => seen(page)).toEqual([results()[1], results()[0], violet()]);
      expectOnePlace(await picture(page, 'chosen'), quarters);
      expect(await seriousFindings(page, [PANEL, '.stain-pane-label'])).toEqual([]);

      await button(page, 'Swipe').click();
      const { comparison } = await until(page, (now) => now.comparison?.mode === 'swipe');
      expect(comparison!.normalized.seriesInstanceUid).toBe(results()[1]);
      expect((await things(page)).viewers).toBe(2);
      const cover = await page.locator('.stain-second-viewer').elementHandle();
      await button(page, 'Blink').click();
      await until(page, (now) => now.comparison?.mode === 'blink');
      // What is there already is not fetched again.
      expect(await cover!.evaluate(({ isConnected }) => isConnected)).toBe(true);
      await page.keyboard.press('x');
      await until(page, ({ comparison, series }) => comparison === null && series?.derived === null);
      const original = await picture(page, 'source');
      const part = await slidePart(page);
      expect(meanDifference(alone, original, part)).toBeGreaterThan(2);
      expect(correlation(alone, part, original, part)).toBeGreaterThan(0.9);
      expect(faults).toEqual([]);
    });

    test('is the same for a colleague, who hears of what is gone', async () => {
      await using mine = await sample.open();
      await enter(mine.page);
      await button(mine.page, 'Two by two').click();
      await seen(mine.page);
      await mine.page.locator(PANEL).getByLabel('Bottom left').selectOption(results()[3]!);
      const wanted = [results()[0]!, results()[3]!, results()[2]!];
      await expect.poll(() => seen(mine.page)).toEqual(wanted);
      const sent = await picture(mine.page, 'sent');
      const also = `${results()[3]}_${results()[2]}`;
      await expect.poll(() => new URL(mine.page.url()).searchParams.get('compareAlso')).toBe(also);
      const address = mine.page.url();

      await using theirs = await sample.open();
      await theirs.page.goto(address);
      expect(await seen(theirs.page)).toEqual(wanted);
      const got = await picture(theirs.page, 'got');
      for (const quarter of quartersOf(await slideBox(mine.page))) {
        expect(meanDifference(sent, got, quarter)).toBeLessThan(0.5);
        expect(correlation(sent, quarter, got, quarter)).toBeGreaterThan(0.99);
      }
      await expect.poll(() => new URL(theirs.page.url()).searchParams.get('compareAlso')).toBe(also);
      await theirs.page.keyboard.press('s');
      await expect.poll(() => new URL(theirs.page.url()).searchParams.has('compareAlso')).toBe(false);

      for (const [gone, mode] of [
        [address.replace(results()[3]!, '1.2.3'), 'two-by-two'],
        [address.replace(also, '1.2.3'), 'side-by-side'],
        // The one that is there already, twice.
        [address.replace(also, `${results()[0]}_${results()[0]}`), 'side-by-side'],
      ] as const) {
        await theirs.page.goto('about:blank');
        await theirs.page.goto(gone);
        const told = theirs.page
          .locator('[data-sonner-toast]')
          .filter({ hasText: 'other series of two by two' });
        await told.waitFor();
        const { comparison, error } = await until(theirs.page, (now) => now.comparison !== null);
        expect([comparison!.mode, error]).toEqual([mode, null]);
      }
      expect([...mine.faults, ...theirs.faults]).toEqual([]);
    });

    test('an annotation that is drawn in one is seen, and removed, in all', async () => {
      await using open = await sample.open();
      const { page, faults } = open;
      await enter(page);
      await button(page, 'Two by two').click();
      await seen(page);
      await pictureAtRest(page);
      const quarters = quartersOf(await slideBox(page));
      await drawLine(page, quarters[3]);
      const { annotations } = await until(page, (now) => now.annotations.list.length === 1);
      expect(annotations.list[0]!.shown).toBe('Normalised, Template Cool violet, Linear, series 3');
      const drawn = await picture(page, 'annotated');
      const [first, ...others] = quarters.map((quarter) => stroke(drawn, quarter));
      expect(first!.width).toBeGreaterThan(30);
      for (const other of others) expect(other).toEqual(near(first!));
      await page.evaluate((uid) => {
        const { microscopyService } = (globalThis as unknown as { services: Services }).services;
        microscopyService!.removeAnnotation(microscopyService!.getAnnotation(uid)!);
      }, annotations.list[0]!.uid);
      await until(page, (now) => now.annotations.list.length === 0);
      const removed = await picture(page, 'unannotated');
      for (const quarter of quarters) expect(stroke(removed, quarter).width).toBe(-Infinity);

      // And one that was there before.
      await button(page, 'Back to original').click();
      await until(page, ({ comparison }) => comparison === null);
      await pictureAtRest(page);
      await drawLine(page, await slidePart(page));
      await until(page, (now) => now.annotations.list.length === 1);
      await button(page, 'Two by two').click();
      await seen(page);
      const again = await picture(page, 'annotated-before');
      const [top, ...rest] = quarters.map((quarter) => stroke(again, quarter));
      expect(top!.width).toBeGreaterThan(30);
      for (const one of rest) expect(one).toEqual(near(top!));
      expect(faults).toEqual([]);
    });
  });
});

/** The same part of each quarter of the viewport, without label, overview and scale. */
function quartersOf({ x, y, width, height }: Part): readonly [Part, Part, Part, Part] {
  const [across, down] = [Math.round(width / 2), Math.round(height / 2)];
  const at = (column: number, row: number): Part => ({
    x: x + column * across + 12,
    y: y + row * down + 100,
    width: across - 24,
    height: Math.floor(down * 0.55) - 80,
  });
  return [at(0, 0), at(1, 0), at(0, 1), at(1, 1)];
}

function expectOnePlace(picture: Picture, [first, ...others]: readonly [Part, ...Part[]]): void {
  for (const other of others) expect(correlation(picture, first, picture, other)).toBeGreaterThan(0.9);
}

function meanColour({ rgb, width: row }: Picture, { x, y, width, height }: Part): readonly number[] {
  const sums = [0, 0, 0];
  for (let line = y; line < y + height; line++)
    for (let at = (line * row + x) * 3; at < (line * row + x + width) * 3; at++) sums[at % 3]! += rgb[at]!;
  return sums.map((sum) => sum / (width * height));
}

/** What a comparison could leave behind. */
function things(page: Page) {
  return page.evaluate(() => {
    const count = (selector: string): number => document.querySelectorAll(selector).length;
    const { services } = globalThis as unknown as { services: Services };
    const managed = services.microscopyService!.getAllManagedViewers();
    return {
      viewers: managed.length,
      covers: count('.stain-second-viewer'),
      labels: count('.stain-pane-label'),
      canvases: count('canvas'),
      elements: document.querySelector('.DicomMicroscopyViewer')!.children.length,
      style: managed[0]!.container.style.cssText,
    };
  });
}
