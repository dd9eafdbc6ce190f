import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LazyList } from '../../core/src/lazy-list.ts';

it('behaves like an array, mapped and filtered too', () => {
  const change = (n: number): number => n * 3;
  const isEven = (n: number): boolean => n % 2 === 0;
  fc.assert(
    fc.property(fc.array(fc.nat()), (array) => {
      const list = LazyList.from(array);
      expect(list).toHaveLength(array.length);
      expect([...list.map(change)]).toEqual(array.map(change));
      expect([...list.filter(isEven)]).toEqual(array.filter(isEven));
      expect([...list.filter(isEven).map(change)]).toEqual(array.filter(isEven).map(change));
      expect([...list.entries()]).toEqual([...array.entries()]);
      for (const index of [-1, 0, array.length - 1, array.length]) expect(list.at(index)).toBe(array[index]);
    }),
  );
});

it('creates an entry when it is requested, and not before', () => {
  let made = 0;
  const list = new LazyList(1000, (index) => {
    made++;
    return index;
  }).map((index) => index + 1);
  expect(made).toBe(0);
  expect(list.at(999)).toBe(1000);
  expect(made).toBe(1);
});
