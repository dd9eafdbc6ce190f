/**
 * Whatever jobs arrive, whatever their estimates, and whichever process dies: the spool never exceeds its quota, and
 * every job that fits succeeds.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decide, FORGOTTEN_MS, type Holding } from '../../server/src/spool/room.ts';
import { runs } from '../support/property-runs.ts';

const CAPACITY = 1000;
const CHUNK = 50;

interface Job {
  readonly name: string;
  readonly createdAt: string;
  readonly estimate: number;
  /** Its real size. */
  readonly needs: number;
}

/** The spool as plain values, with jobs that behave like `HeldSpool`. */
class Model {
  readonly holdings = new Map<string, Holding>();
  readonly used = new Map<string, number>();
  now = 0;

  /** Whether the job works after it has requested its estimate. */
  start(job: Job): boolean {
    const found = this.holdings.get(job.name);
    const used = this.used.get(job.name) ?? 0;
    const { name, createdAt } = job;
    const bytes = Math.max(used, found?.bytes ?? 0);
    const wants = found?.wants ?? 0;
    this.holdings.set(name, {
      name,
      createdAt,
      bytes,
      wants,
      state: 'working',
      since: this.now,
      owner: 'a',
    });
    return this.#ask(job, Math.max(used, Math.min(job.estimate, 0.9 * CAPACITY), wants));
  }

  /** Whether it could write more. */
  write(job: Job): boolean {
    const used = Math.min(job.needs, (this.used.get(job.name) ?? 0) + CHUNK);
    if (used > this.holdings.get(job.name)!.bytes && !this.#ask(job, used)) return false;
    this.used.set(job.name, used);
    return true;
  }

  putDown(job: Job, state: Holding['state']): void {
    const own = this.holdings.get(job.name)!;
    const wants = state === 'waiting' ? own.wants : 0;
    const bytes = this.used.get(job.name) ?? 0;
    this.holdings.set(job.name, { ...own, bytes, wants, state, since: this.now });
  }

  finish({ name }: Job): void {
    this.holdings.delete(name);
    this.used.delete(name);
  }

  get held(): number {
    return [...this.holdings.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #ask({ name }: Job, bytes: number): boolean {
    const own = this.holdings.get(name)!;
    const room = { capacity: CAPACITY, diskFree: Infinity };
    const decision = decide([...this.holdings.values()], own, bytes, room, this.now);
    if (!decision.granted) {
      this.holdings.set(name, { ...own, wants: bytes });
      return false;
    }
    for (const evicted of decision.evicted) {
      const holding = this.holdings.get(evicted)!;
      expect(holding.state).not.toBe('working');
      this.used.set(evicted, 0);
      this.holdings.set(evicted, { ...holding, bytes: 0 });
    }
    this.holdings.set(name, { ...own, bytes, wants: 0 });
    return true;
  }
}

const sizes = fc.record({
  estimate: fc.integer({ min: 1, max: 3 * CAPACITY }),
  needs: fc.integer({ min: 1, max: CAPACITY }),
});

it('a total order of jobs: all succeed, within the quota, in any order of events', () => {
  fc.assert(
    fc.property(
      fc.array(sizes, { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 6 }),
      fc.array(fc.nat(1000), { minLength: 20, maxLength: 1000 }),
      fc.nat(30),
      (all, workers, choices, maxFaults) => {
        const model = new Model();
        const waiting: Job[] = all.map(({ estimate, needs }, i) => ({
          name: `job-${i}`,
          createdAt: String(i).padStart(3, '0'),
          estimate,
          needs,
        }));
        const working: Job[] = [];
        let faults = 0;
        let steps = 0;
        let turns = 0;
        const remove = (list: Job[], at: number): Job => list.splice(at, 1)[0]!;
        while (waiting.length + working.length > 0) {
          expect(steps).toBeLessThan(20_000);
          // Any order of events, then a fair one: an unfair one may let a job wait for ever.
          const isFair = steps >= choices.length;
          const choice = isFair ? steps : choices[steps]!;
          steps++;
          model.now += 1000;
          if (
            waiting.length > 0 &&
            working.length < workers &&
            (working.length === 0 || (isFair ? choice % 2 === 0 : choice % 3 === 0))
          ) {
            const job = remove(waiting, isFair ? 0 : choice % waiting.length);
            if (model.start(job)) working.push(job);
            else {
              model.putDown(job, 'waiting');
              waiting.push(job);
            }
          } else if (working.length > 0) {
            const job = working[(isFair ? turns++ : choice) % working.length]!;
            const isDone = (): boolean => model.used.get(job.name) === job.needs;
            const leave = (): Job => remove(working, working.indexOf(job));
            if (!isFair && choice % 7 === 0 && faults < maxFaults) {
              faults++;
              waiting.push(leave());
              // Its archive is down; or its process was killed, and its reservation is still there.
              if (choice % 2 === 0) model.putDown(job, 'resting');
            } else if (!model.write(job)) {
              model.putDown(job, 'waiting');
              waiting.push(leave());
            } else if (isDone()) {
              model.finish(job);
              leave();
            }
          }
          expect(model.held).toBeLessThanOrEqual(CAPACITY);
          for (const [name, used] of model.used)
            expect(used).toBeLessThanOrEqual(model.holdings.get(name)?.bytes ?? 0);
        }
      },
    ),
    { numRuns: runs(500) },
  );
});

it('the oldest job succeeds, however many younger ones arrive and request room before it', () => {
  const model = new Model();
  const oldest: Job = { name: 'job-oldest', createdAt: '0', estimate: 800, needs: 800 };
  const younger = (n: number): Job => ({ name: `job-${n}`, createdAt: `1${n}`, estimate: 300, needs: 300 });
  let working = [1, 2, 3].map(younger).filter((job) => model.start(job));
  expect(working).toHaveLength(3);
  let isDone = false;
  for (let n = 4; !isDone; n++) {
    expect(n).toBeLessThan(50);
    model.now += 1000;
    // A place is free: the youngest requests it first.
    const next = younger(n);
    if (model.start(next)) working.push(next);
    else model.putDown(next, 'waiting');
    if (model.start(oldest)) {
      while (model.used.get(oldest.name) !== oldest.needs) expect(model.write(oldest)).toBe(true);
      isDone = true;
    } else model.putDown(oldest, 'waiting');
    const [first, ...others] = working;
    if (first) model.finish(first);
    working = others;
  }
});

it('a younger job never takes anything from a job that waits for room', () => {
  const holding = fc.record({
    bytes: fc.integer({ min: 0, max: 400 }),
    state: fc.constantFrom<Holding['state']>('working', 'waiting', 'resting', 'failed'),
    wants: fc.integer({ min: 0, max: CAPACITY }),
    since: fc.integer({ min: 0, max: 2 * FORGOTTEN_MS }),
  });
  fc.assert(
    fc.property(
      fc.array(holding, { minLength: 1, maxLength: 10 }),
      fc.nat(9),
      fc.integer({ min: 1, max: CAPACITY }),
      (all, at, more) => {
        const now = 2 * FORGOTTEN_MS;
        const holdings = all.map(
          (one, i): Holding => ({ ...one, name: `job-${i}`, createdAt: String(i), owner: '' }),
        );
        const own = { ...holdings[at % holdings.length]!, state: 'working' as const };
        const room = { capacity: CAPACITY, diskFree: Infinity };
        const decision = decide(holdings, own, own.bytes + more, room, now);
        const evicted = holdings.filter(({ name }) => decision.granted && decision.evicted.includes(name));
        for (const { state, createdAt, since, name } of evicted) {
          expect(name).not.toBe(own.name);
          expect(state).not.toBe('working');
          if (state === 'waiting' && now - since <= FORGOTTEN_MS)
            expect(Number(createdAt)).toBeGreaterThan(Number(own.createdAt));
        }
        if (!decision.granted) return;
        const left = holdings
          .filter((one) => one.name !== own.name && !evicted.includes(one))
          .reduce((sum, { bytes }) => sum + bytes, own.bytes + more);
        expect(left).toBeLessThanOrEqual(CAPACITY);
      },
    ),
    { numRuns: runs(2000) },
  );
});

it.each(['resting', 'failed'] as const)(
  'an older job that is %s yields its room to a younger one',
  (state) => {
    const model = new Model();
    const older: Job = { name: 'job-older', createdAt: '0', estimate: 800, needs: 800 };
    const younger: Job = { name: 'job-younger', createdAt: '1', estimate: 300, needs: 300 };
    expect(model.start(older)).toBe(true);
    while (model.used.get(older.name) !== older.needs) expect(model.write(older)).toBe(true);
    model.putDown(older, 'waiting');
    expect(model.start(younger)).toBe(false);
    model.putDown(younger, 'waiting');
    model.putDown(older, state);
    expect(model.start(younger)).toBe(true);
  },
);
