/** Many watchers of one job share the reads of it. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Watch, Watchers } from '../../server/src/jobs/watchers.ts';

const POLL_MS = 1000;
const MANY = 500;
const forever = new AbortController().signal;
afterEach(() => void vi.useRealTimers());

/** Watches as `JobService.events` does, until the signal ends it. */
async function follow(watch: Watch<number>, seen: number[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    seen.push(await watch.look());
    await watch.next(signal);
  }
  watch.close();
}

function start() {
  vi.useFakeTimers();
  let value = 0;
  const read = vi.fn(async () => ++value);
  const watchers = new Watchers({ read, pollMs: POLL_MS });
  return { read, watchers };
}

describe('watchers of one job', () => {
  it('share one read per poll and per change, however many there are', async () => {
    const { read, watchers } = start();
    const leave = new AbortController();
    const seen = Array.from({ length: MANY }, (): number[] => []);
    const all = seen.map((list) => follow(watchers.watch('a'), list, leave.signal));
    await vi.advanceTimersByTimeAsync(0);
    const before = read.mock.calls.length;
    await vi.advanceTimersByTimeAsync(10 * POLL_MS);
    expect(read.mock.calls.length - before).toBe(10);
    watchers.wake('a');
    await vi.advanceTimersByTimeAsync(0);
    expect(read.mock.calls.length - before).toBe(11);
    const newest = await read.mock.results.at(-1)!.value;
    expect(seen.map((list) => list.at(-1))).toEqual(Array(MANY).fill(newest));
    leave.abort();
    await Promise.all(all);
    await vi.advanceTimersByTimeAsync(10 * POLL_MS);
    // Nobody is left, so nothing is read.
    expect(read.mock.calls.length - before).toBe(11);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('do not see a read that began before a change', async () => {
    const { read, watchers } = start();
    const slow = Promise.withResolvers<number>();
    read.mockImplementationOnce(() => slow.promise);
    const watch = watchers.watch('a');
    const old = watch.look();
    watchers.wake('a');
    slow.resolve(-1);
    expect(await old).toBe(-1);
    // Without waiting for the next poll.
    await watch.next(forever);
    expect(await watch.look()).toBe(1);
    watch.close();
  });

  it('get the current state when they start, not an earlier read', async () => {
    const { watchers } = start();
    const first = watchers.watch('a');
    const second = watchers.watch('a');
    expect(await first.look()).toBe(1);
    expect(await second.look()).toBe(1);
    const third = watchers.watch('a');
    expect(await third.look()).toBe(2);
    for (const watch of [first, second, third]) watch.close();
  });

  it('are not woken by changes of another job', async () => {
    const { watchers } = start();
    const watch = watchers.watch('a');
    await watch.look();
    const woken = vi.fn();
    const waiting = watch.next(forever).then(woken);
    watchers.wake('b');
    await vi.advanceTimersByTimeAsync(0);
    expect(woken).not.toHaveBeenCalled();
    watchers.wakeAll();
    await waiting;
    watch.close();
  });

  it('get an error, but watchers that start after it do not', async () => {
    const { read, watchers } = start();
    read.mockRejectedValueOnce(new Error('away'));
    const [first, second] = [watchers.watch('a'), watchers.watch('a')];
    await expect(first.look()).rejects.toThrow('away');
    await expect(second.look()).rejects.toThrow('away');
    const third = watchers.watch('a');
    expect(await third.look()).toBe(1);
    for (const watch of [first, second, third]) watch.close();
  });
});
