import { EventEmitter } from 'node:events';
import type { Response } from 'express';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { write } from '../../server/src/archive/multipart-response.ts';

/** A connection whose client reads a slice when told to. */
class SlowResponse extends EventEmitter {
  destroyed = false;
  taken = 0;

  write(bytes: Uint8Array): boolean {
    this.taken += bytes.length;
    return false;
  }
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe('write', () => {
  it('continues as long as the client reads', async () => {
    const response = new SlowResponse();
    const written = write(response as never as Response, new Uint8Array(5 * 2 ** 20));
    for (let slice = 0; slice < 5; slice++) {
      await vi.advanceTimersByTimeAsync(59_000);
      response.emit('drain');
      await vi.advanceTimersByTimeAsync(0);
    }
    await written;
    expect(response.taken).toBe(5 * 2 ** 20);
  });

  it('cuts off a client that reads nothing, which would hold memory for ever', async () => {
    const response = new SlowResponse();
    const written = write(response as never as Response, new Uint8Array(5 * 2 ** 20));
    const refused = expect(written).rejects.toMatchObject({ name: 'AbortError' });
    await vi.advanceTimersByTimeAsync(61_000);
    await refused;
    // What follows the first slice was not even handed over.
    expect(response.taken).toBe(2 ** 20);
  });
});
