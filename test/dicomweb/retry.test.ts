import { describe, expect, it } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import { parseRetryAfter, retryPause } from '../../server/src/dicomweb/retry.ts';

const NOW = Date.parse('Wed, 25 Nov 2026 20:00:00 GMT');

describe('Retry-After', () => {
  it.each([
    ['seconds', '7', 7000],
    ['a date', 'Wed, 25 Nov 2026 20:00:30 GMT', 30_000],
    ['a date in the past', 'Wed, 25 Nov 2026 19:59:00 GMT', 0],
    ['neither', 'soon', undefined],
    ['nothing', undefined, undefined],
  ])('may be %s', (_, value, expected) => expect(parseRetryAfter(value, NOW)).toBe(expected));

  it('is respected up to a minute', () => {
    const pause = (asked: number): number =>
      retryPause(new StainError('ARCHIVE_ERROR', 'Busy.', { retry: { afterMs: asked } }), 0, {
        maxRetries: 1,
        retryDelayMs: 1,
      });
    expect(pause(30_000)).toBe(30_000);
    expect(pause(86_400_000)).toBe(60_000);
  });
});
