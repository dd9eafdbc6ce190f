/** Progress of a job: what is said of the time left, held against recorded runs. */
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { Progress, Stage } from '../../core/src/contract/index.ts';
import { ProgressTracker } from '../../server/src/pipeline/progress.ts';

/** What a run reported: milliseconds since its begin, stage, done, total, unit. */
type Reported = readonly [number, Stage, number, number, Progress['unit']];

interface Recording {
  readonly reported: readonly Reported[];
  readonly endedMs: number;
}

/** What is said at each moment of a run. */
function replay({ reported }: Recording): { readonly ms: number; readonly progress: Progress }[] {
  let ms = 0;
  const said: { ms: number; progress: Progress }[] = [];
  const tracker = new ProgressTracker(
    (progress) => said.push({ ms, progress }),
    () => ms,
  );
  for (const [at, stage, done, total, unit] of reported) {
    ms = at;
    tracker.report(stage, done, total, unit);
  }
  return said;
}

describe.each(['paper', 'linear'])('the recorded run of %s', (name) => {
  const recording = async (): Promise<Recording> =>
    JSON.parse(await readFile(new URL(`../fixtures/progress/${name}.json`, import.meta.url), 'utf8'));

  test('the time left is told to a fifth of the run, and from the first time on by no half too long', async () => {
    const run = await recording();
    const said = replay(run).filter(({ progress }) => progress.secondsLeft !== undefined);
    expect(said.length).toBeGreaterThan(5);
    for (const { ms, progress } of said) {
      const [truth, whole] = [run.endedMs - ms, run.endedMs].map((span) => span / 1000) as [number, number];
      expect(Math.abs(progress.secondsLeft! - truth), `after ${ms} ms`).toBeLessThan(whole / 5);
      if (truth > whole / 2) expect(progress.secondsLeft! / truth, `after ${ms} ms`).toBeLessThan(1.5);
    }
  });

  test('nothing is said before the slide is being normalised', async () => {
    for (const { progress } of replay(await recording()))
      if (['open', 'fetch', 'fit'].includes(progress.stage)) expect(progress.secondsLeft).toBeUndefined();
  });
});

test('a job that is resumed counts what it does now, not what was done before', () => {
  const reported = [0, 1, 2, 3, 4].map((i) => [i * 2000, 'normalize', 800 + i * 20, 1000, 'pixels'] as const);
  // 20 in two seconds, 120 to go, and a little for storing.
  const { progress } = replay({ reported, endedMs: 0 }).at(-1)!;
  expect(progress.secondsLeft).toBeGreaterThan(12);
  expect(progress.secondsLeft).toBeLessThan(20);
});

test('the fraction never decreases, whatever is resumed', () => {
  const reported: Reported[] = [
    [0, 'open', 0, 1, 'instances'],
    [1, 'fetch', 1, 2, 'instances'],
    [2, 'fit', 3, 50, 'tiles'],
    [3, 'normalize', 0, 0, 'pixels'],
    [4, 'store', 5, 10, 'bytes'],
    [5, 'verify', 1, 1, 'instances'],
  ];
  const fractions = replay({ reported, endedMs: 5 }).map(({ progress }) => progress.fraction);
  expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  expect(fractions.at(-1)).toBeCloseTo(1);
});
