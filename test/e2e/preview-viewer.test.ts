/**
 * The preview of the linear transfer, which is a slide viewer of its own: place and zoom stay, templates change without a flash,
 * and what is seen is what a job stores. With each kind of archive.
 */
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { isBrief } from '../support/brief.ts';
import {
  installedOrthanc,
  orthancMissing,
  type RunningOrthanc,
  sendSample,
  startOrthanc,
} from '../support/orthanc.ts';
import {
  colourDifference,
  correlation,
  meanDifference,
  PICTURES,
  type Picture,
  pictureAtRest,
  pictureOf,
} from '../support/pictures.ts';
import { suiteResources } from '../support/suite-resources.ts';
import {
  browserMissing,
  launchBrowser,
  type OpenPage,
  openPage,
  type RunningService,
  startService,
} from '../support/viewer.ts';
import {
  button,
  enterStain,
  holdFrames,
  labelsOf,
  normalizeSample,
  noticesGone,
  PANEL,
  slidePart,
  state,
  studyOf,
  turnWheel,
  until,
} from './panel.ts';

const kinds = [
  { kind: 'the embedded archive', missing: browserMissing },
  ...(isBrief ? [] : [{ kind: installedOrthanc.name, missing: browserMissing ?? orthancMissing }]),
];

for (const { kind, missing } of kinds)
  describe.skipIf(missing)(
    `a preview with ${kind}${missing ? ` (${missing})` : ''}`,
    { timeout: 240_000 },
    () => {
      const shared = suiteResources();
      let orthanc: RunningOrthanc | undefined;
      let service: RunningService;
      let browser: Browser;
      let study: string;
      let open: OpenPage;
      let page: Page;
      let original: Picture;
      /** Results without loss and as JPEG, and how much a preview may differ from them. */
      let stored: { readonly uid: string; readonly side: number; readonly most: number }[];

      beforeAll(async () => {
        if (kind === installedOrthanc.name) {
          orthanc = shared.use(await startOrthanc());
          await sendSample(orthanc);
        }
        service = shared.use(await startService(orthanc ? { STAIN_DICOMWEB_URL: orthanc.url } : {}));
        const root = new URL(service.url).origin;
        study = await studyOf(root);
        stored = [
          { uid: await normalizeSample(root, study, { encoding: 'jpeg2000' }), side: 1, most: 0.1 },
          { uid: await normalizeSample(root, study), side: 4, most: 1 },
        ];
        browser = shared.use(await launchBrowser());
      }, 180_000);

      beforeEach(async () => {
        open = await openPage(browser);
        page = open.page;
        await enterStain(
          page,
          service.url,
          study,
          ({ results, stain }) => results.length === stored.length && stain.state === 'ready',
        );
        await pictureAtRest(page);
        // Off the middle, where nothing that begins anew would look.
        await turnWheel(page, 2, [0.35, 0.3]);
        original = await pictureAtRest(page);
      }, 120_000);

      afterEach(() => open[Symbol.asyncDispose]());

      const picture = (name: string): Promise<Picture> =>
        pictureAtRest(page, join(PICTURES, `preview-viewer-${kind.replace(/\W+/g, '-')}-${name}.png`));

      const isOn = (template: string) =>
        until(
          page,
          ({ preview }) => preview?.state === 'on' && !preview.isChanging && preview.template === template,
        );

      const templates = async (): Promise<readonly string[]> => {
        const { templates } = await state(page);
        return templates.state === 'ready' ? templates.value.map(({ id }) => id) : [];
      };

      const choose = (at: number) => page.locator(PANEL).getByRole('radio').nth(at).check({ force: true });

      test('shows at every zoom what a job stores, where one looked before', async () => {
        const [first] = await templates();
        const part = await slidePart(page);
        // As entered, between two levels, and farther away: scaled as the result is.
        for (const [at, turns] of [0, 1, -3].entries()) {
          await turnWheel(page, turns, [0.35, 0.3]);
          const before = await pictureAtRest(page);
          await button(page, 'Preview').click();
          await isOn(first!);
          const preview = await picture(`alone-${at}`);
          expect(correlation(before, part, preview, part)).toBeGreaterThan(0.9);
          expect(meanDifference(before, preview, part)).toBeGreaterThan(2);
          expect(await labelsOf(page)).toEqual([
            { role: 'normalized', text: expect.stringMatching(/^Preview, normalised\nTemplate /) },
          ]);
          await button(page, 'Stop preview').click();
          for (const [i, { uid, side, most }] of stored.entries()) {
            await page.locator(PANEL).getByLabel('Normalised series').selectOption(uid);
            await until(page, ({ comparison }) => comparison?.normalized.seriesInstanceUid === uid);
            await button(page, 'Blink').click();
            await until(page, ({ comparison }) => comparison?.mode === 'blink');
            const result = await picture(`stored-${at}-${i}`);
            const difference = colourDifference(preview, result, part, side);
            const ofPixels = colourDifference(preview, result, part);
            console.log(
              `${kind}, ${turns} turns, result ${i}: mean CIEDE2000 ${difference.toFixed(3)}, by pixel ${ofPixels.toFixed(3)}`,
            );
            expect(difference).toBeLessThan(most);
          }
          await button(page, 'Back to original').click();
          expect(meanDifference(before, await pictureAtRest(page), part)).toBe(0);
        }
        expect(open.faults).toEqual([]);
      });

      test('the picture stays until that of the next template is there', async () => {
        const [first, second] = await templates();
        await noticesGone(page);
        await button(page, 'Preview').click();
        await isOn(first!);
        const before = await picture('first');
        const part = await slidePart(page);
        const cast = await screencast(page);
        await choose(1);
        await isOn(second!);
        const after = await picture('second');
        const seen = await cast.end();
        expect(seen.length).toBeGreaterThan(0);
        // No blank moment, and nothing of the original between the two.
        for (const one of seen) {
          expect(correlation(before, part, one, part)).toBeGreaterThan(0.9);
          expect(Math.min(...[before, after].map((of) => meanDifference(of, one, part)))).toBeLessThan(
            meanDifference(original, one, part),
          );
        }
        expect(meanDifference(before, after, part)).toBeGreaterThan(2);

        // Of a place that is on its way: the label is true of what is seen until then.
        const frames = await holdFrames(page);
        // Away from the slide: closer, nearly all of the frames may be there already.
        await turnWheel(page, -3, [0.35, 0.3]);
        await choose(0);
        await until(page, ({ preview }) => preview?.isChanging === true);
        await expect.poll(() => frames.count()).toBeGreaterThan(0);
        expect((await labelsOf(page))[0]!.text).toContain((await state(page)).preview!.templateName);
        expect((await state(page)).preview!.template).toBe(second);
        await frames.end();
        const there = await isOn(first!);
        await picture('first-farther');
        expect((await labelsOf(page))[0]!.text).toContain(there.preview!.templateName);
        expect(open.faults).toEqual([]);
      });

      test('is put against the original in every way, and keeps that when the template changes', async () => {
        const [first, second] = await templates();
        await button(page, 'Preview').click();
        await isOn(first!);
        const alone = await picture('to-compare');
        const part = { ...(await slidePart(page)) };
        await button(page, 'Swipe').click();
        const divider = page.getByRole('slider', { name: /divider/i });
        await divider.press('Home');
        part.width -= 32; // the divider's handle
        expect(meanDifference(alone, await picture('swipe-normalised'), part)).toBe(0);
        await divider.press('End');
        expect(meanDifference(original, await picture('swipe-original'), part)).toBe(0);
        expect(await labelsOf(page)).toMatchObject([{ role: 'original' }]);
        await button(page, 'Blink').click();
        expect(meanDifference(alone, await picture('blink'), part)).toBe(0);
        await page.keyboard.down('o');
        expect(meanDifference(original, await picture('blink-held'), part)).toBe(0);
        await page.keyboard.up('o');
        await button(page, 'Difference').click();
        await expect
          .poll(async () => (await labelsOf(page))[0]?.text, { timeout: 60_000 })
          .toMatch(/^Difference of original and normalised/);
        const difference = await picture('difference');
        expect(meanDifference(original, difference, part)).toBeGreaterThan(20);
        await button(page, 'Side by side').click();
        await choose(1);
        await isOn(second!);
        expect((await state(page)).preview).toMatchObject({ mode: 'side-by-side' });
        await picture('side-by-side');
        expect(await labelsOf(page)).toMatchObject([{ role: 'original' }, { role: 'normalized' }]);
        expect(await page.locator('.stain-second-viewer').count()).toBe(1);
        await choose(0);
        await isOn(first!);
        await button(page, 'Preview only').click();
        part.width += 32;
        expect(meanDifference(alone, await picture('alone-again'), part)).toBe(0);
        await page.keyboard.down('o');
        expect(meanDifference(original, await picture('alone-held'), part)).toBe(0);
        expect(await labelsOf(page)).toMatchObject([{ role: 'original' }]);
        await page.keyboard.up('o');
        expect(await labelsOf(page)).toMatchObject([{ role: 'normalized' }]);
        await button(page, 'Stop preview').click();
        expect(meanDifference(original, await picture('stopped'), part)).toBe(0);
        expect(open.faults).toEqual([]);
      });

      test('frames that are refused end it, and the label says why; the next one is whole', async () => {
        const [first] = await templates();
        await button(page, 'Preview').click();
        await isOn(first!);
        const frames = await holdFrames(page);
        await turnWheel(page, 2, [0.35, 0.3]);
        await expect.poll(() => frames.count(), { timeout: 60_000 }).toBeGreaterThan(0);
        await frames.refuse();
        const { previewError } = await until(page, (now) => now.previewError !== null);
        expect(previewError!.code).toBe('PREVIEW_FAILED');
        expect((await labelsOf(page))[0]!.text).toMatch(/^Original \(preview failed: .+\)$/);
        expect(await page.locator('.stain-second-viewer').count()).toBe(0);
        await frames.end();
        await button(page, 'Preview').click();
        await isOn(first!);
        expect((await state(page)).previewError).toBeNull();
      });
    },
  );

/** What is on the screen from now on, picture by picture. */
async function screencast(page: Page) {
  const session = await page.context().newCDPSession(page);
  const pictures: Buffer[] = [];
  session.on('Page.screencastFrame', ({ data, sessionId }) => {
    pictures.push(Buffer.from(data, 'base64'));
    session.send('Page.screencastFrameAck', { sessionId }).catch(() => {});
  });
  await session.send('Page.startScreencast', { format: 'png' });
  return {
    async end(): Promise<Picture[]> {
      await session.send('Page.stopScreencast');
      await session.detach();
      return Promise.all(pictures.map((png) => pictureOf(png)));
    },
  };
}
