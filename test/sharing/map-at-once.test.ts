import { expect, it } from 'vitest';
import { mapAtOnce } from '../../server/src/sharing/map-at-once.ts';

it('keeps the order, and no more in work than allowed', async () => {
  let [working, most] = [0, 0];
  const doubled = await mapAtOnce([1, 2, 3, 4, 5, 6, 7], 3, async (entry) => {
    most = Math.max(most, ++working);
    await Promise.resolve();
    working--;
    return 2 * entry;
  });
  expect(doubled).toEqual([2, 4, 6, 8, 10, 12, 14]);
  expect(most).toBe(3);
});

it('begins nothing more after an error', async () => {
  const begun: number[] = [];
  const mapped = mapAtOnce(
    Array.from({ length: 100 }, (_, i) => i),
    4,
    async (entry) => {
      begun.push(entry);
      await Promise.resolve();
      if (entry === 2) throw new Error('broken');
    },
  );
  await expect(mapped).rejects.toThrow('broken');
  const then = begun.length;
  await new Promise((resolve) => setImmediate(resolve));
  expect(begun.length).toBe(then);
  expect(then).toBeLessThan(20);
});
