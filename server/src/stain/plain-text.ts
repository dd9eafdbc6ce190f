/** Text of a user that others are shown. */
import { z } from 'zod';

/**
 * One line, without control characters, those that turn the direction of what follows them, and those that nobody sees but
 * that make two names of one: joiners alone stay, which some scripts need.
 */
export function plainText(longest: number): z.ZodString {
  return z
    .string()
    .max(longest)
    .regex(
      /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u00ad\u061c\u115f\u1160\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\u{e0000}-\u{e007f}]*$/u,
      'no control or invisible characters',
    );
}

/** A name that can be seen. */
export function plainName(longest: number): z.ZodString {
  return plainText(longest).regex(/[\p{L}\p{N}\p{P}\p{S}]/u, 'a letter, digit or sign');
}
