import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BlockMean } from '../../core/src/image/block-mean.ts';
import { blankRaster, copyOverlap } from '../../core/src/image/raster.ts';

test('an image in parts gives the means of its squares, and with squares of one pixel itself', () => {
  const sizes = fc.record({
    width: fc.integer({ min: 1, max: 20 }),
    height: fc.integer({ min: 1, max: 20 }),
    side: fc.integer({ min: 1, max: 6 }),
    cut: fc.integer({ min: 1, max: 19 }),
    seed: fc.integer({ min: 1, max: 1000 }),
  });
  fc.assert(
    fc.property(sizes, ({ width, height, side, cut, seed }) => {
      const image = {
        width,
        height,
        rgb: new Uint8Array(width * height * 3).map((_, i) => (i * seed) % 256),
      };
      const mean = new BlockMean(width, height, side);
      for (let x = 0; x < width; x += cut) {
        const part = blankRaster(Math.min(cut, width - x), height);
        copyOverlap(image, { x: 0, y: 0 }, part, { x, y: 0 });
        mean.add(part, x, 0);
      }
      const small = mean.picture();
      if (side === 1) expect(small.rgb).toEqual(image.rgb);
      for (let y = 0; y < small.height; y++)
        for (let x = 0; x < small.width; x++)
          for (let c = 0; c < 3; c++) {
            const levels: number[] = [];
            for (let v = y * side; v < Math.min(height, (y + 1) * side); v++)
              for (let u = x * side; u < Math.min(width, (x + 1) * side); u++)
                levels.push(image.rgb[(v * width + u) * 3 + c]!);
            const expected = levels.reduce((sum, level) => sum + level, 0) / levels.length;
            expect(small.rgb[(y * small.width + x) * 3 + c]).toBe(Math.round(expected));
          }
    }),
  );
});
