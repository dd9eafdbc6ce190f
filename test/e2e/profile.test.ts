/** The colour profile of a slide: named, applied, and taken off on both sides. Told from rendered pictures. */
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { ADOBE_RGB, matrixProfile } from '../codec/profiles.ts';
import { copySample } from '../support/copy-slide.ts';
import { repository } from '../support/peers.ts';
import { meanDifference, PICTURES, type Picture, pictureAtRest } from '../support/pictures.ts';
import { storeFiles } from '../support/store-files.ts';
import { suiteResources } from '../support/suite-resources.ts';
import {
  browserMissing,
  launchBrowser,
  openPage,
  type RunningService,
  startService,
} from '../support/viewer.ts';
import { button, enterStain, normalizeSample, PANEL, slidePart, until } from './panel.ts';

describe.skipIf(browserMissing)('a slide with the profile of a wide gamut', { timeout: 240_000 }, () => {
  const shared = suiteResources();
  let service: RunningService;
  let browser: Browser;
  let study: string;
  let unreadable: string;

  beforeAll(async () => {
    service = shared.use(await startService());
    const root = new URL(service.url).origin;
    await using base = await openPart10(join(repository, 'scripts/sample/level-0.dcm'));
    const [path] = base.dataset.items('OpticalPathSequence');
    const store = async (name: string, profile: Uint8Array): Promise<string> => {
      const slide = await copySample(name, [0, 1, 2, 3], () => ({
        OpticalPathSequence: [path!.with({ ICCProfile: profile })],
      }));
      await using folder = await mkdtempDisposable(join(tmpdir(), 'profile-'));
      const files = slide.files.map((_, level) => join(folder.path, `${level}.dcm`));
      for (const [level, bytes] of slide.files.entries()) await writeFile(files[level]!, bytes);
      expect((await storeFiles(`${root}/dicom-web`, files)).status).toBe(200);
      return slide.studyInstanceUid;
    };
    study = await store('wide gamut', matrixProfile(ADOBE_RGB, 2.2));
    // What a site's web server answers at an address that it does not know.
    unreadable = await store('no profile', Buffer.from('<!doctype html>'.padEnd(600)));
    await normalizeSample(root, study);
    browser = shared.use(await launchBrowser());
  }, 180_000);

  test('is shown by it, and as it is stored for as long as somebody wants that', async () => {
    await using open = await openPage(browser);
    const { page, faults } = open;
    await enterStain(page, service.url, study, ({ results }) => results.length > 0);
    await until(page, ({ profile }) => profile !== 'unreadable' && profile?.isApplied === true);
    await page.locator(PANEL).getByText('Colour profile: test').waitFor();
    const picture = (name: string): Promise<Picture> =>
      pictureAtRest(page, join(PICTURES, `profile-${name}.png`));
    const part = await slidePart(page);
    const applied = await picture('applied');

    const apply = button(page, 'Apply');
    await apply.click();
    expect(await apply.getAttribute('aria-pressed')).toBe('false');
    const stored = await picture('as-stored');
    expect(meanDifference(applied, stored, part)).toBeGreaterThan(1);

    await button(page, 'Swipe').click();
    await until(page, ({ comparison }) => comparison?.mode === 'swipe');
    const divider = page.getByRole('slider', { name: /divider/i });
    const sides = { ...part, width: part.width - 32 }; // the divider's handle
    const both = async (name: string): Promise<[original: Picture, normalized: Picture]> => {
      await divider.press('End');
      const original = await picture(`${name}-original`);
      await divider.press('Home');
      return [original, await picture(`${name}-normalised`)];
    };
    const [originalStored, normalizedStored] = await both('swipe-as-stored');
    expect(meanDifference(originalStored, stored, sides)).toBe(0);
    await apply.click();
    const [originalApplied, normalizedApplied] = await both('swipe-applied');
    expect(meanDifference(originalApplied, applied, sides)).toBe(0);
    // The result is sRGB: its profile changes nothing that could be seen.
    expect(meanDifference(normalizedStored, normalizedApplied, sides)).toBeLessThan(1);
    expect(faults).toEqual([]);
  });

  test('is not said to be shown by something that is no profile', async () => {
    await using open = await openPage(browser);
    const { page } = open;
    await enterStain(page, service.url, study, ({ profile }) => profile != null);
    await button(page, 'Apply').click();
    const part = await slidePart(page);
    const stored = await pictureAtRest(page, join(PICTURES, 'profile-as-stored.png'));

    await enterStain(page, service.url, unreadable, ({ profile }) => profile != null);
    await page.locator(PANEL).getByText('The colour profile cannot be read').waitFor();
    expect(await button(page, 'Apply').count()).toBe(0);
    const shown = await pictureAtRest(page, join(PICTURES, 'profile-unreadable.png'));
    expect(meanDifference(shown, stored, part)).toBe(0);
  });
});
