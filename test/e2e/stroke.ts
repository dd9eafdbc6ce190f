/** The green line of an annotation, in a picture of the page. */
import { expect } from 'vitest';
import type { Part, Picture } from '../support/pictures.ts';

/** The rectangle around the green line of an annotation, from the corner of the part in which it is looked for. */
export function stroke({ rgb, width: row }: Picture, part: Part): Part {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let y = 0; y < part.height; y++)
    for (let x = 0; x < part.width; x++) {
      const at = ((part.y + y) * row + part.x + x) * 3;
      if (rgb[at + 1]! - Math.max(rgb[at]!, rgb[at + 2]!) < 100) continue;
      [left, top, right, bottom] = [
        Math.min(left, x),
        Math.min(top, y),
        Math.max(right, x),
        Math.max(bottom, y),
      ];
    }
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** The same to two pixels: lines are smoothed, and where two viewers draw one, twice. */
export function near(part: Part): Part {
  return Object.fromEntries(
    Object.entries(part).map(([name, value]) => [name, expect.closeTo(value as number, -0.7)]),
  ) as unknown as Part;
}
