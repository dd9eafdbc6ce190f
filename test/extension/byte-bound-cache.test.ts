/** What the preview keeps: bounded by bytes, and given back once. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteBoundCache } from '../../extension/src/preview/byte-bound-cache.ts';

interface Value {
  readonly bytes: number;
}

function cacheOf(maxBytes: number) {
  const released: Value[] = [];
  const cache = new ByteBoundCache<Value>(
    maxBytes,
    ({ bytes }) => bytes,
    (value) => void released.push(value),
  );
  return { cache, released };
}

test('the values that were used last are kept', () => {
  const { cache, released } = cacheOf(3);
  const [a, b, c, d] = [1, 1, 1, 1].map((bytes): Value => ({ bytes })) as [Value, Value, Value, Value];
  for (const [key, value] of Object.entries({ a, b, c })) cache.set(key, value);
  expect(cache.get('a')).toBe(a);
  cache.set('d', d);
  expect([...cache.values()]).toEqual([c, a, d]);
  expect(released).toEqual([b]);
});

test('one that is larger than the bound is kept alone', () => {
  const { cache } = cacheOf(3);
  cache.set('a', { bytes: 2 });
  const huge = { bytes: 9 };
  cache.set('b', huge);
  expect([...cache.values()]).toEqual([huge]);
  cache.set('c', { bytes: 1 });
  expect(cache.has('b')).toBe(false);
});

test('whatever is put in is given back once, and the bound holds', () => {
  const step = fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    bytes: fc.integer({ min: 0, max: 6 }),
  });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const { cache, released } = cacheOf(10);
      const all = steps.map(({ key, bytes }) => {
        const value = { bytes };
        cache.set(key, value);
        expect([...cache.values()].reduce((sum, one) => sum + one.bytes, 0)).toBeLessThanOrEqual(10);
        expect(cache.get(key)).toBe(value);
        return value;
      });
      cache.clear();
      expect(new Set(released)).toEqual(new Set(all));
      expect(released).toHaveLength(all.length);
    }),
  );
});
