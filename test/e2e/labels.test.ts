/**
 * A label is true of what is under it. Pictures of the page are held against the label that it showed at the same moment,
 * with frames that come late or never, a worker that dies, a view that moves and templates that change on the way.
 */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PluginModel } from '../../extension/src/state.ts';
import {
  meanDifference,
  type Part,
  PICTURES,
  type Picture,
  pictureAtRest,
  takePicture,
} from '../support/pictures.ts';
import { browserMissing, type OpenPage } from '../support/viewer.ts';
import {
  button,
  holdFrames,
  type Label,
  labelsOf,
  noticesGone,
  PANEL,
  show as showSeries,
  slidePart,
  state,
  turnWheel,
  until,
} from './panel.ts';
import { sampleSuite } from './sample-suite.ts';

interface Moment {
  readonly labels: readonly Label[];
  readonly picture: Picture;
}

/** A picture with the labels that were there before and after it was taken. */
async function moment(page: Page, name?: string): Promise<Moment> {
  for (;;) {
    const before = await labelsOf(page);
    const picture = await takePicture(page, name && join(PICTURES, `label-${name}.png`));
    const labels = await labelsOf(page);
    if (JSON.stringify(labels) === JSON.stringify(before)) return { labels, picture };
  }
}

const SIDE = 16;

/** Of the places in which two pictures of a view differ: how many look like the one, the other, or neither. */
function likeness(picture: Picture, original: Picture, normalized: Picture, part: Part) {
  const counts = { original: 0, normalized: 0, neither: 0 };
  for (let y = part.y; y + SIDE <= part.y + part.height; y += SIDE)
    for (let x = part.x; x + SIDE <= part.x + part.width; x += SIDE) {
      const block = { x, y, width: SIDE, height: SIDE };
      if (meanDifference(original, normalized, block) < 12) continue;
      const [before, after] = [original, normalized].map((one) => meanDifference(picture, one, block));
      if (before! < 3) counts.original++;
      else if (after! < 3) counts.normalized++;
      else counts.neither++;
    }
  return counts;
}

/** Words of the panel, without those of its styles. */
const panelText = (page: Page): Promise<string> =>
  page
    .locator(`${PANEL} section`)
    .allInnerTexts()
    .then((texts) => texts.join('\n'));

const isWhole = ({ preview }: Awaited<ReturnType<typeof state>>): boolean => preview?.isWhole === true;

describe.skipIf(browserMissing)('labels', { timeout: 240_000 }, () => {
  const sample = sampleSuite();
  let open: OpenPage;
  let page: Page;
  let original: Picture;

  beforeEach(async () => {
    open = await sample.open();
    page = open.page;
    await enter();
    original = await pictureAtRest(page);
  }, 120_000);

  afterEach(() => open[Symbol.asyncDispose]());

  const enter = async (): Promise<void> => {
    await page.goto(`${sample.url}stain?StudyInstanceUIDs=${sample.study}`);
    await until(
      page,
      ({ stain, templates, job }) =>
        stain.state === 'ready' && templates.state === 'ready' && job?.state !== 'IN PROGRESS',
    );
    await page.locator('.stain-pane-label').first().waitFor();
    await zoom(1);
  };

  const zoom = (turns: number): Promise<void> => turnWheel(page, turns, [1 / 2, 1 / 3]);

  const templates = async (): Promise<readonly { id: string; name: string }[]> => {
    const { templates } = await state(page);
    return templates.state === 'ready' ? templates.value : [];
  };

  const choose = (name: string) =>
    page.locator(PANEL).getByRole('radio', { name, exact: true }).check({ force: true });

  /** One that is drawn over the slide, tile by tile. */
  const startPreview = async (): Promise<void> => {
    await page.locator(PANEL).getByLabel('Transfer').selectOption('paper');
    await button(page, 'Preview').click();
  };

  test('while tiles come, what is not normalised is striped, and the label counts', async () => {
    const frames = await holdFrames(page);
    await startPreview();
    await expect.poll(() => frames.count(), { timeout: 60_000 }).toBeGreaterThan(0);
    const moments = [await moment(page, 'no-tile')];
    expect(moments[0]!.labels).toEqual([
      { role: 'partial', text: expect.stringMatching(/^Preview: 0 of \d+ parts\nTemplate .*\nStriped/) },
    ]);
    let done = 0;
    while (!isWhole(await state(page))) {
      await frames.go(3);
      await until(page, (now) => isWhole(now) || now.preview!.tilesDone > done || frames.count() > 0);
      done = (await state(page)).preview!.tilesDone;
      if (done > 0 && moments.length < 8) moments.push(await moment(page, `tiles-${moments.length}`));
    }
    await frames.end();
    const whole = await moment(page, 'whole');
    expect(whole.labels).toEqual([
      {
        role: 'normalized',
        text: expect.stringMatching(/^Preview, normalised\nTemplate .*\nNot for primary/),
      },
    ]);
    const part = await slidePart(page);
    expect(meanDifference(original, whole.picture, part)).toBeGreaterThan(5);
    const seen = moments.map(({ labels, picture }) => ({
      title: labels.map(({ text }) => text.split('\n')[0]),
      ...likeness(picture, original, whole.picture, part),
    }));
    console.log(seen.map((one) => JSON.stringify(one)).join('\n'));
    expect(seen[0]).toMatchObject({ original: 0, normalized: 0 });
    for (const one of seen) expect(one.original).toBe(0);
    expect(seen.some(({ neither, normalized }) => neither > 0 && normalized > 0)).toBe(true);
    expect(await page.locator('.stain-overview-caption').innerText()).toBe('Original');
    await button(page, 'Stop preview').click();
    const stopped = await moment(page);
    expect(stopped.labels).toEqual([{ role: 'original', text: 'Original' }]);
    expect(meanDifference(original, stopped.picture, part)).toBe(0);
  });

  test('frames that are refused on the way end the preview, and the label says why', async () => {
    const frames = await holdFrames(page);
    await startPreview();
    await frames.untilTile();
    await frames.refuse();
    const { previewError } = await until(page, (now) => now.previewError !== null);
    expect(previewError!.code).toBe('PREVIEW_FAILED');
    const after = await moment(page, 'refused');
    expect(after.labels).toEqual([
      { role: 'original', text: expect.stringMatching(/^Original \(preview failed: .+\)$/) },
    ]);
    expect(await page.locator('.stain-surface').count()).toBe(0);
    expect(meanDifference(original, after.picture, await slidePart(page))).toBe(0);
    // The next one is whole, and nothing of the failure is left.
    await frames.end();
    await startPreview();
    await until(page, isWhole);
    expect((await moment(page)).labels).toMatchObject([{ role: 'normalized' }]);
    expect((await state(page)).previewError).toBeNull();
  });

  test('a worker that dies ends the preview; the next has another', async () => {
    const frames = await holdFrames(page);
    await startPreview();
    await frames.untilTile();
    const worker = page.workers().find((one) => one.url().includes('preview-worker'))!;
    await worker.evaluate(() => {
      setTimeout(() => {
        throw new Error('killed by the test');
      });
    });
    await frames.end();
    await until(page, (now) => now.previewError !== null);
    const after = await moment(page, 'worker-died');
    expect(after.labels).toEqual([
      { role: 'original', text: expect.stringMatching(/^Original \(preview failed: .*killed by the test/) },
    ]);
    expect(meanDifference(original, after.picture, await slidePart(page))).toBe(0);
    await startPreview();
    await until(page, isWhole);
    expect((await moment(page)).labels).toMatchObject([{ role: 'normalized' }]);
  });

  test('a view that moves is partial in the same moment; a network that is lost ends the preview', async () => {
    await zoom(2);
    await pictureAtRest(page);
    await startPreview();
    await until(page, isWhole);
    const frames = await holdFrames(page);
    const { x, y, width, height } = (await page.locator('.DicomMicroscopyViewer').first().boundingBox())!;
    const moments: Moment[] = [];
    await page.mouse.move(x + width / 2, y + height - 20);
    await page.mouse.down({ button: 'middle' });
    for (const step of [1, 2, 3, 4]) {
      await page.mouse.move(x + width / 2, y + height - 20 - step * 120, { steps: 3 });
      moments.push(await moment(page, `panned-${step}`));
    }
    await page.mouse.up({ button: 'middle' });
    await page.mouse.move(x + width - 2, y + height - 2);
    await expect.poll(async () => (await labelsOf(page))[0]!.role).toBe('partial');
    await expect.poll(() => frames.count(), { timeout: 60_000 }).toBeGreaterThan(0);
    const panned = await moment(page, 'panned');
    await frames.end();
    await until(page, isWhole);
    const normalizedHere = await pictureAtRest(page);
    await button(page, 'Stop preview').click();
    const originalHere = await pictureAtRest(page);
    const seen = likeness(panned.picture, originalHere, normalizedHere, await slidePart(page));
    console.log(JSON.stringify({ labels: panned.labels, ...seen }));
    expect(seen.original).toBe(0);
    expect(seen.normalized).toBeGreaterThan(0);
    expect(seen.neither).toBeGreaterThan(0);
    // On the way the same holds: places where nothing is drawn yet are striped from the first moment.
    expect(moments.at(-1)!.labels).toMatchObject([{ role: 'partial' }]);
    for (const { labels } of moments) expect(labels).toHaveLength(1);

    await startPreview();
    await until(page, isWhole);
    await page.context().setOffline(true);
    await zoom(-2);
    await until(page, (now) => now.previewError !== null);
    const offline = await moment(page, 'offline');
    expect(offline.labels).toEqual([
      { role: 'original', text: expect.stringMatching(/^Original \(preview failed: .+\)$/) },
    ]);
    expect(await page.locator('.stain-surface').count()).toBe(0);
    await page.context().setOffline(false);
  });

  test('a template that is changed on the way: no tile of the old one under the new name', async () => {
    const [first, second] = await templates();
    await choose(first!.name);
    await startPreview();
    await until(page, isWhole);
    await pictureAtRest(page);
    const before = await moment(page);
    expect(before.labels[0]!.text).toContain(`Template ${first!.name}`);
    const frames = await holdFrames(page);
    await choose(second!.name);
    await expect.poll(() => frames.count(), { timeout: 60_000 }).toBeGreaterThan(0);
    const between = await moment(page, 'other-template');
    expect(between.labels).toMatchObject([
      { role: 'partial', text: expect.stringContaining(`Template ${second!.name}`) },
    ]);
    const part = await slidePart(page);
    expect(likeness(between.picture, original, before.picture, part)).toMatchObject({
      original: 0,
      normalized: 0,
    });
    await frames.end();
    await until(page, isWhole);
    const after = await moment(page, 'other-template-whole');
    expect(after.labels[0]!.text).toContain(`Template ${second!.name}`);
    expect(meanDifference(before.picture, after.picture, part)).toBeGreaterThan(2);
    // Changed faster than any preview begins.
    for (const { name } of [first!, second!, first!]) await choose(name);
    await until(page, (now) => isWhole(now) && now.preview!.template === first!.id);
    await pictureAtRest(page);
    const last = await moment(page);
    expect(last.labels[0]!.text).toContain(`Template ${first!.name}`);
    expect(meanDifference(before.picture, last.picture, part)).toBe(0);
    expect(await page.locator('.stain-surface').count()).toBe(1);
  });

  test('a preview that is stopped before it begins does not begin', async () => {
    await page.evaluate((panel) => {
      const { model } = document.querySelector(panel) as unknown as {
        model: { preview(): void; stopPreview(): void };
      };
      model.preview();
      model.stopPreview();
      model.preview();
      model.stopPreview();
    }, PANEL);
    await page.waitForLoadState('networkidle');
    const after = await moment(page);
    expect(after.labels).toEqual([{ role: 'original', text: 'Original' }]);
    expect(await page.locator('.stain-surface').count()).toBe(0);
    // Those that were stopped have not spoilt the next.
    await startPreview();
    await until(page, isWhole);
    expect(await page.locator('.stain-surface').count()).toBe(1);
    expect((await state(page)).previewError).toBeNull();
  });

  describe('of comparisons and derived series', () => {
    const normalize = async (name: string): Promise<string> => {
      await choose(name);
      const { job: before } = await state(page);
      await button(page, 'Normalize').click();
      const { job } = await until(
        page,
        ({ job, comparison }) => job?.id !== before?.id && job?.state === 'COMPLETED' && comparison !== null,
      );
      await noticesGone(page);
      return job!.result!.seriesInstanceUid;
    };

    const show = async (series: string): Promise<void> => {
      await showSeries(page, series);
      await expect.poll(async () => (await labelsOf(page)).length).toBe(1);
    };

    test('each part of each comparison says what it shows, and a derived series what its header says', async () => {
      const [first, second] = await templates();
      const derived = await normalize(second!.name);
      await button(page, 'Back to original').click();
      const newest = await normalize(first!.name);
      expect(newest).not.toBe(derived);
      const source = (await state(page)).source!.seriesInstanceUid;

      // Side by side of the older one: its own template, not that of the newest job.
      await page.locator(PANEL).getByLabel('Normalised series').selectOption(derived);
      await until(page, (now) => now.comparison?.normalized.seriesInstanceUid === derived);
      await pictureAtRest(page);
      const beside = await moment(page, 'side-by-side');
      expect(beside.labels).toEqual([
        { role: 'original', text: 'Original' },
        { role: 'normalized', text: expect.stringContaining(`Template ${second!.name}`) },
      ]);

      await button(page, 'Swipe').click();
      const divider = page.getByRole('slider', { name: /divider/i });
      await divider.press('Home');
      const allNormalized = await pictureAtRest(page, join(PICTURES, 'label-swipe-left.png'));
      expect(await labelsOf(page)).toMatchObject([{ role: 'normalized' }]);
      await divider.press('End');
      const allOriginal = await pictureAtRest(page, join(PICTURES, 'label-swipe-right.png'));
      expect(await labelsOf(page)).toMatchObject([{ role: 'original' }]);
      const part = { ...(await slidePart(page)) };
      part.width -= 32; // the divider's handle
      expect(likeness(allNormalized, allOriginal, allNormalized, part).normalized).toBeGreaterThan(20);

      await button(page, 'Blink').click();
      await pictureAtRest(page);
      const blinkOn = await moment(page, 'blink');
      expect(blinkOn.labels).toMatchObject([{ role: 'normalized' }]);
      expect(meanDifference(blinkOn.picture, allNormalized, part)).toBe(0);
      await page.keyboard.down('o');
      const blinkOff = await moment(page, 'blink-held');
      expect(blinkOff.labels).toMatchObject([{ role: 'original' }]);
      expect(meanDifference(blinkOff.picture, allOriginal, part)).toBe(0);
      await page.keyboard.up('o');

      const frames = await holdFrames(page);
      await button(page, 'Difference').click();
      await expect.poll(() => frames.count(), { timeout: 60_000 }).toBeGreaterThan(0);
      const none = await moment(page, 'difference-none');
      expect(none.labels).toEqual([
        {
          role: 'partial',
          text: expect.stringMatching(/^Difference: 0 of \d+ parts\nStriped: still the original/),
        },
      ]);
      expect(likeness(none.picture, allOriginal, allNormalized, part)).toMatchObject({
        original: 0,
        normalized: 0,
      });
      await frames.refuse();
      await until(page, (now) => now.error !== null);
      const failed = await moment(page, 'difference-failed');
      expect(failed.labels).toEqual([
        { role: 'original', text: expect.stringMatching(/^Original \(difference failed: .+\)$/) },
      ]);
      expect(meanDifference(failed.picture, allOriginal, part)).toBe(0);
      await frames.end();
      await button(page, 'Dismiss').click();
      await button(page, 'Difference').click();
      await expect
        .poll(async () => (await labelsOf(page))[0]?.text, { timeout: 60_000 })
        .toMatch(/^Difference of original and normalised/);
      await moment(page, 'difference');
      await button(page, 'Back to original').click();

      // The derived series alone.
      await show(derived);
      // The slide's viewer is made anew; this is the picture when its tiles have come.
      const middle = await slidePart(page);
      const nothing = { ...allOriginal, rgb: new Uint8Array(allOriginal.rgb.length) };
      await expect
        .poll(async () => meanDifference(nothing, await takePicture(page), middle), { timeout: 60_000 })
        .toBeGreaterThan(60);
      const alone = await pictureAtRest(page, join(PICTURES, 'label-derived.png'));
      expect(likeness(alone, allOriginal, allNormalized, part)).toMatchObject({ original: 0 });
      expect(await labelsOf(page)).toEqual([
        { role: 'normalized', text: `Normalised\nTemplate ${second!.name}\nNot for primary diagnosis` },
      ]);
      const said = await panelText(page);
      expect(said).toContain(second!.name);
      expect(said).not.toContain(`Template\n${first!.name}`);
      expect(said).toContain('Stain of its source');
      expect(said).not.toContain('Stain of this slide');
      expect(await button(page, 'Normalize').count()).toBe(0);
      expect(await button(page, 'Preview').count()).toBe(0);
      // By a command neither.
      await page.evaluate((panel) => {
        (document.querySelector(panel) as unknown as { model: { normalize(): void } }).model.normalize();
      }, PANEL);
      expect((await until(page, (now) => now.error !== null)).error!.code).toBe('ALREADY_NORMALIZED');
      await show(source);
      expect(await labelsOf(page)).toEqual([{ role: 'original', text: 'Original' }]);

      // An archive that strips what it does not know, and then one that leaves nothing but the scanner's attributes.
      const strip = (unwanted: (tag: string) => boolean) =>
        page.route(`**/series/*/metadata*`, async (route) => {
          const answer = await route.fetch();
          const all = (await answer.json()) as Record<string, unknown>[];
          const json = all.map((one) =>
            Object.fromEntries(Object.entries(one).filter(([tag]) => !unwanted(tag))),
          );
          await route.fulfill({ response: answer, json });
        });
      await strip((tag) => tag.startsWith('3401'));
      await enter();
      await show(derived);
      expect((await labelsOf(page))[0]!.text).toContain(`Template ${second!.name}`);
      await page.unroute('**/series/*/metadata*');
      // Derivation Description, Series Description, Related and Referenced Series.
      await strip((tag) => tag.startsWith('3401') || /^(00082111|0008103E|00081250|00081115)$/.test(tag));
      await enter();
      await show(derived);
      await pictureAtRest(page, join(PICTURES, 'label-derived-stripped.png'));
      expect((await labelsOf(page))[0]).toEqual({
        role: 'normalized',
        text: 'Normalised\nTemplate unknown\nNot for primary diagnosis',
      });
      const left = await panelText(page);
      expect(left).toMatch(/Made from\s+unknown/);
      expect(left).not.toContain('Stain of');
      expect((await state(page)).results).toEqual([]);
    });
  });

  test('a slide keeps its label where OHIF forgets the viewer that shows it', async () => {
    await button(page, 'Normalize').click();
    const { job } = await until(
      page,
      ({ job, comparison }) => job?.state === 'COMPLETED' && comparison !== null,
    );
    await button(page, 'Back to original').click();
    await showSeries(page, job!.result!.seriesInstanceUid);
    const shown = () => labelsOf(page).then((labels) => labels.map(({ role }) => role));
    await expect.poll(shown, { timeout: 30_000 }).toEqual(['normalized']);
    // As it does by itself if another series is shown before the first one is there.
    const left = await page.evaluate(async (panel) => {
      const { model } = document.querySelector(panel) as unknown as { model: PluginModel };
      const { services } = globalThis as unknown as {
        services: { microscopyService: { managedViewers: Set<unknown>; getAllManagedViewers(): unknown[] } };
      };
      const noticed = new Promise<void>((resolve) => {
        const stop = model.subscribe(() => {
          stop();
          resolve();
        });
      });
      services.microscopyService.managedViewers.clear();
      await noticed;
      return services.microscopyService.getAllManagedViewers().length;
    }, PANEL);
    expect(left).toBe(0);
    expect(await shown()).toEqual(['normalized']);
  });
});
