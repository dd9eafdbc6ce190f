/** Unusual pictures (../shared/data/cases/pictures), normalised to the shipped templates. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Raster } from '../../core/src/image/raster.ts';
import { normalizeImageCommand } from '../../server/src/cli/image-commands.ts';
import { readImage } from '../../server/src/codec/image-file.ts';
import { createWorkplace, type Workplace } from '../support/normalize.ts';
import { repository } from '../support/peers.ts';

const PICTURES = join(process.env.STAIN_TEST_DATA ?? join(repository, '../shared/data'), 'cases/pictures');
const missing = !existsSync(PICTURES);
const signal = new AbortController().signal;

let place: Workplace;
beforeAll(async () => {
  place = await createWorkplace();
});
afterAll(() => place?.[Symbol.asyncDispose]());

interface Moved {
  readonly before: Raster;
  readonly after: Raster;
  readonly notes: readonly string[];
}

async function moved(name: string, template: string): Promise<Moved> {
  const [input, output] = [join(PICTURES, name), join(place.folder, `${template}-${name}.png`)];
  const { notes } = await normalizeImageCommand(
    { input, output, template, model: 'fast', transfer: 'linear' },
    place.composition,
    signal,
  );
  const read = (path: string) => readImage(path, () => {});
  return { before: await read(input), after: await read(output), notes };
}

/** Largest difference of any channel within a rectangle. */
function maxChange({ before, after }: Moved, x: number, y: number, width: number, height: number): number {
  let max = 0;
  for (let row = y; row < y + height; row++)
    for (let at = (row * before.width + x) * 3; at < (row * before.width + x + width) * 3; at++)
      max = Math.max(max, Math.abs(before.rgb[at]! - after.rgb[at]!));
  return max;
}

/** Fraction of neighbours in a row, more than 2 grey levels apart, whose order of brightness is reversed. */
function reversed({ before, after }: Moved): number {
  const brightness = ({ rgb }: Raster, pixel: number): number =>
    (rgb[3 * pixel]! + rgb[3 * pixel + 1]! + rgb[3 * pixel + 2]!) / 3;
  let [pairs, turned] = [0, 0];
  for (let pixel = 0; pixel + 1 < before.width * before.height; pixel++) {
    if ((pixel + 1) % before.width === 0) continue;
    const was = brightness(before, pixel + 1) - brightness(before, pixel);
    const is = brightness(after, pixel + 1) - brightness(after, pixel);
    if (Math.abs(was) <= 2) continue;
    pairs++;
    if (was * is < 0) turned++;
  }
  return turned / pairs;
}

describe.skipIf(missing)(`A picture${missing ? ' (skipped: no cases)' : ''}`, () => {
  it.each(['he-pink-violet', 'he-magenta', 'he-violet'])(
    'keeps the colours of pens: %s',
    async (template) => {
      const result = await moved('i12-pen.png', template);
      // Within the bars of blue and of green ink, and in the tissue between them.
      expect(maxChange(result, 55, 105, 590, 70)).toBe(0);
      expect(maxChange(result, 55, 405, 590, 50)).toBe(0);
      expect(maxChange(result, 250, 250, 200, 100)).toBeGreaterThan(10);
    },
  );

  it('out of focus gets no new contours', async () => {
    expect(reversed(await moved('j13-blur-4.png', 'he-pink-violet'))).toBeLessThan(0.01);
  });

  it('of eosin alone is reported', async () => {
    const { notes } = await moved('i14-eosin-only.png', 'he-violet');
    expect(notes.join(' ')).toMatch(/Nothing has the colour of haematoxylin/);
  });

  it('of several pages is read in part, with a note', async () => {
    const { notes } = await moved('i17c-two-pages.tif', 'he-magenta');
    expect(notes.join(' ')).toMatch(/Only the first of the \d pages/);
  });
});
