/** A preview lies where the stored result lies, and is as sharp, at every zoom. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import type { View } from '../../extension/src/microscopy/open-layers.ts';
import type { Services } from '../../extension/src/ohif/types.ts';
import { type Part, PICTURES, type Picture, pictureAtRest } from '../support/pictures.ts';
import { browserMissing } from '../support/viewer.ts';
import { button, show, until } from './panel.ts';
import { sampleSuite } from './sample-suite.ts';

/** Pixels of the base level per pixel of the screen: of each level but the coarsest, and in between. */
const ZOOMS = [1, 2.7, 4.4];

describe.skipIf(browserMissing)('a preview', { timeout: 240_000 }, () => {
  const sample = sampleSuite([{ encoding: 'jpeg2000' }]);

  async function zoomTo(page: Page, resolution: number): Promise<void> {
    await page.waitForFunction(
      () =>
        (globalThis as unknown as { services: Services }).services.microscopyService!.getAllManagedViewers()
          .length > 0,
    );
    await page.evaluate((wanted) => {
      const { services } = globalThis as unknown as { services: Services };
      const { viewer } = services.microscopyService!.getAllManagedViewers()[0]!;
      const symbol = Object.getOwnPropertySymbols(viewer).find(({ description }) => description === 'map')!;
      const view = (viewer as unknown as Record<symbol, { getView(): View }>)[symbol]!.getView();
      view.setRotation(0);
      view.setCenter([1110, -1480]);
      view.setResolution(wanted);
    }, resolution);
  }

  test.each(ZOOMS)('at %s pixels of the slide to one of the screen', async (zoom) => {
    await using open = await sample.open();
    const { page, faults } = open;
    await sample.enter(page, ({ stain }) => stain.state === 'ready');
    await zoomTo(page, zoom);
    await button(page, 'Preview').click();
    await until(
      page,
      ({ preview }) => Boolean(preview?.isWhole && preview.tilesDone === preview.tilesTotal),
      30_000,
    );
    const preview = await pictureAtRest(page, join(PICTURES, `preview-at-${zoom}.png`));
    await button(page, 'Stop preview').click();
    await show(page, sample.results[0]!);
    await page.locator('.stain-pane-label').filter({ hasText: 'Not for primary diagnosis' }).waitFor();
    await zoomTo(page, zoom);
    const stored = await pictureAtRest(page, join(PICTURES, `stored-at-${zoom}.png`));
    const part = { x: 500, y: 200, width: 200, height: 300 };
    const { x, y, sharpness } = displacement(preview, stored, part);
    console.log(
      `${zoom}: preview displaced by ${x.toFixed(2)}, ${y.toFixed(2)}; its edges ${sharpness.toFixed(2)}`,
    );
    expect(Math.hypot(x, y)).toBeLessThan(0.2);
    expect(sharpness).toBeGreaterThan(0.95);
    expect(sharpness).toBeLessThan(1.05);
    expect(faults).toEqual([]);
  });
});

/**
 * By how much one picture is displaced against another, in pixels (Lucas and Kanade 1981), and the strength of its edges
 * as a multiple of the other's.
 */
function displacement(
  a: Picture,
  b: Picture,
  part: Part,
): { readonly x: number; readonly y: number; readonly sharpness: number } {
  const at = ({ width, rgb }: Picture, x: number, y: number): number => {
    const i = (y * width + x) * 3;
    return (rgb[i]! + rgb[i + 1]! + rgb[i + 2]!) / 3;
  };
  const slope = (of: Picture, x: number, y: number): readonly [number, number] => [
    (at(of, x + 1, y) - at(of, x - 1, y)) / 2,
    (at(of, x, y + 1) - at(of, x, y - 1)) / 2,
  ];
  let [xx, xy, yy, dx, dy, energy] = [0, 0, 0, 0, 0, 0];
  for (let y = part.y; y < part.y + part.height; y++)
    for (let x = part.x; x < part.x + part.width; x++) {
      const [gx, gy] = slope(b, x, y);
      const [hx, hy] = slope(a, x, y);
      const difference = at(a, x, y) - at(b, x, y);
      xx += gx * gx;
      xy += gx * gy;
      yy += gy * gy;
      dx += gx * difference;
      dy += gy * difference;
      energy += hx * hx + hy * hy;
    }
  const determinant = xx * yy - xy * xy;
  return {
    x: (xy * dy - yy * dx) / determinant,
    y: (xy * dx - xx * dy) / determinant,
    sharpness: energy / (xx + yy),
  };
}
