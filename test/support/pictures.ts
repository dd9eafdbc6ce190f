/** What a page shows, as pixels that tests can look at. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { repository } from './peers.ts';

/** Where pictures are kept for people to look at. */
export const PICTURES = join(repository, 'e2e-output');
mkdirSync(PICTURES, { recursive: true });

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Three bytes a pixel, row by row. */
  readonly rgb: Uint8Array;
}

export interface Part {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const LONGEST_UNREST_MS = 60_000;

/** @param path where the picture is kept as a PNG file */
export async function takePicture(page: Page, path?: string): Promise<Picture> {
  const png = await page.screenshot({ animations: 'disabled', ...(path && { path }) });
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgb: data };
}

/** The picture when it has come to rest: two looks, a second apart, see the same. @throws Error when it never does */
export async function pictureAtRest(page: Page, path?: string): Promise<Picture> {
  await page.waitForLoadState('networkidle');
  const end = Date.now() + LONGEST_UNREST_MS;
  for (let last = await takePicture(page); Date.now() < end; ) {
    await page.waitForTimeout(1000);
    const now = await takePicture(page, path);
    if (meanDifference(last, now) === 0) return now;
    last = now;
  }
  throw new Error(`${page.url()} does not come to rest`);
}

/** Mean absolute difference of the values of two pictures of one size, in grey levels. */
export function meanDifference(a: Picture, b: Picture, part: Part = { x: 0, y: 0, ...a }): number {
  let sum = 0;
  for (let y = part.y; y < part.y + part.height; y++)
    for (let at = (y * a.width + part.x) * 3; at < (y * a.width + part.x + part.width) * 3; at++)
      sum += Math.abs(a.rgb[at]! - b.rgb[at]!);
  return sum / (part.width * part.height * 3);
}
