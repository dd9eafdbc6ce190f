/** A proportion, such as of refused slides, with how sure it is. */
import { z } from 'zod';

export const proportion = z.strictObject({
  count: z.int(),
  of: z.int(),
  /** Null of nothing. */
  rate: z.number().nullable(),
  /** 95 % confidence interval. */
  low: z.number(),
  high: z.number(),
});
export type Proportion = z.infer<typeof proportion>;

/** 97.5 % quantile of the normal distribution. */
const Z = 1.959964;

/** With the score interval of Wilson (1927), which holds for few slides and for rates near 0 and 1. */
export function proportionOf(count: number, of: number): Proportion {
  if (of === 0) return { count, of, rate: null, low: 0, high: 1 };
  const rate = count / of;
  const divisor = 1 + Z ** 2 / of;
  const middle = (rate + Z ** 2 / (2 * of)) / divisor;
  const half = (Z / divisor) * Math.sqrt((rate * (1 - rate)) / of + Z ** 2 / (4 * of ** 2));
  return {
    count,
    of,
    rate,
    low: count === 0 ? 0 : Math.max(0, middle - half),
    high: count === of ? 1 : Math.min(1, middle + half),
  };
}
