/** Screenshots of a page as pixels, for tests. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { ciede2000, labOf } from '../../core/src/stain/ciede2000.ts';
import type { Services } from '../../extension/src/ohif/types.ts';
import { repository } from './peers.ts';

/** Where pictures are kept for people to look at. */
export const PICTURES = join(repository, 'e2e-output');
mkdirSync(PICTURES, { recursive: true });

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Three bytes per pixel, row by row. */
  readonly rgb: Uint8Array;
}

export interface Part {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const MAX_UNREST_MS = 60_000;
const MAX_DRAWING_MS = 15_000;

/** @param path where the picture is kept as a PNG file */
export async function takePicture(page: Page, path?: string): Promise<Picture> {
  const png = await page.screenshot({ animations: 'disabled', ...(path && { path }) });
  return pictureOf(png);
}

/** @param file a picture file */
export async function pictureOf(file: Buffer): Promise<Picture> {
  const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgb: data };
}

/**
 * Waits until every slide on the page is drawn: its viewer has fitted it to the viewport, and has all tiles in sight.
 * What was clicked or turned before the fit is undone by it. Frames that never come end the wait.
 */
export async function slidesDrawn(page: Page): Promise<void> {
  const timeout = { timeout: MAX_DRAWING_MS };
  await page
    .waitForFunction(
      () =>
        [...document.querySelectorAll('.DicomMicroscopyViewer')].every((slide) =>
          slide.querySelector('.ol-viewport'),
        ),
      undefined,
      timeout,
    )
    .catch(() => {});
  await page.evaluate(async (ms) => {
    interface Drawn {
      once(event: 'rendercomplete', listener: () => void): void;
      render(): void;
    }
    const { services } = globalThis as unknown as { services?: Services };
    const shown = (services?.microscopyService?.getAllManagedViewers() ?? []).filter(
      ({ container }) => container.isConnected && container.clientWidth > 0 && container.clientHeight > 0,
    );
    const maps = shown.flatMap(({ viewer }) => {
      const symbol = Object.getOwnPropertySymbols(viewer).find(({ description }) => description === 'map');
      return symbol ? [(viewer as unknown as Record<symbol, Drawn>)[symbol]!] : [];
    });
    const drawn = maps.map(
      (map) =>
        new Promise<void>((resolve) => {
          map.once('rendercomplete', resolve);
          map.render();
        }),
    );
    await Promise.race([Promise.all(drawn), new Promise((resolve) => setTimeout(resolve, ms))]);
  }, MAX_DRAWING_MS);
}

/** The picture once it is stable: two screenshots, a second apart, are equal. @throws Error if it never is */
export async function pictureAtRest(page: Page, path?: string): Promise<Picture> {
  await slidesDrawn(page);
  const end = Date.now() + MAX_UNREST_MS;
  for (let last = await takePicture(page); Date.now() < end; ) {
    await page.waitForTimeout(1000);
    await slidesDrawn(page);
    const now = await takePicture(page, path);
    if (meanDifference(last, now) === 0) return now;
    last = now;
  }
  throw new Error(`${page.url()} does not become stable`);
}

/** Mean absolute difference of two pictures of the same size, in grey levels. */
export function meanDifference(a: Picture, b: Picture, part: Part = { x: 0, y: 0, ...a }): number {
  let sum = 0;
  for (let y = part.y; y < part.y + part.height; y++)
    for (let at = (y * a.width + part.x) * 3; at < (y * a.width + part.x + part.width) * 3; at++)
      sum += Math.abs(a.rgb[at]! - b.rgb[at]!);
  return sum / (part.width * part.height * 3);
}

/**
 * Mean CIEDE2000 of two pictures of one size.
 * @param side of the blocks whose mean colours are compared: with 4 pixels what JPEG makes of single ones is evened out
 */
export function colourDifference(a: Picture, b: Picture, part: Part, side = 1): number {
  const [across, down] = [Math.floor(part.width / side), Math.floor(part.height / side)];
  let sum = 0;
  for (let row = 0; row < down; row++)
    for (let column = 0; column < across; column++) {
      const block = { x: part.x + column * side, y: part.y + row * side, width: side, height: side };
      sum += ciede2000(labOf(...meanColour(a, block)), labOf(...meanColour(b, block)));
    }
  return sum / (across * down);
}

/** Mean red, green and blue of a part, rounded. */
export function meanColour({ width, rgb }: Picture, part: Part): [number, number, number] {
  const sums: [number, number, number] = [0, 0, 0];
  for (let y = part.y; y < part.y + part.height; y++)
    for (let x = part.x; x < part.x + part.width; x++)
      for (let c = 0; c < 3; c++) sums[c]! += rgb[(y * width + x) * 3 + c]!;
  const pixels = part.width * part.height;
  return [Math.round(sums[0] / pixels), Math.round(sums[1] / pixels), Math.round(sums[2] / pixels)];
}

/**
 * Correlation of the brightness of two regions of the same size: near 1 if they show the same place, whatever its
 * colours, and near 0 otherwise.
 */
export function correlation(a: Picture, partOfA: Part, b: Picture, partOfB: Part): number {
  const [before, after] = [grey(a, partOfA), grey(b, partOfB)];
  const [meanBefore, meanAfter] = [mean(before), mean(after)];
  let [both, varianceBefore, varianceAfter] = [0, 0, 0];
  for (let at = 0; at < before.length; at++) {
    const [x, y] = [before[at]! - meanBefore, after[at]! - meanAfter];
    both += x * y;
    varianceBefore += x * x;
    varianceAfter += y * y;
  }
  return both / Math.sqrt(varianceBefore * varianceAfter);
}

function grey({ width, rgb }: Picture, part: Part): Float64Array {
  const values = new Float64Array(part.width * part.height);
  for (let y = 0; y < part.height; y++)
    for (let x = 0; x < part.width; x++) {
      const at = ((part.y + y) * width + part.x + x) * 3;
      values[y * part.width + x] = rgb[at]! + rgb[at + 1]! + rgb[at + 2]!;
    }
  return values;
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
