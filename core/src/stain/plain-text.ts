/** Text written by one user and shown to others. */
import { z } from 'zod';

/**
 * One line, without control characters, without characters that change the direction of the following text, and without
 * invisible ones that would make two different names look the same; only joiners are allowed, which some scripts need.
 */
export function plainText(maxLength: number): z.ZodString {
  return z
    .string()
    .max(maxLength)
    .regex(
      /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u00ad\u061c\u115f\u1160\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\u{e0000}-\u{e007f}]*$/u,
      'no control or invisible characters',
    );
}

/** A visible name. */
export function plainName(maxLength: number): z.ZodString {
  return plainText(maxLength).regex(/[\p{L}\p{N}\p{P}\p{S}]/u, 'a letter, digit or sign');
}
