/** Text of a user that others are shown. */
import { z } from 'zod';

/** One line, without control characters and those that turn the direction of what follows them. */
export function plainText(longest: number): z.ZodString {
  return z
    .string()
    .max(longest)
    .regex(/^[^\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]*$/u, 'no control characters');
}
