/** Records the effect of each fault, for the table at the end of the suite. */
import { appendFile } from 'node:fs/promises';
import { expect, inject } from 'vitest';

/** Counts after one job under a fault; all are 0 if nothing went wrong. */
export interface Finding {
  /** Jobs that did not succeed, or whose series is missing. */
  readonly lost: number;
  /** Surplus series, instances or jobs. */
  readonly duplicated: number;
  /** Instances whose bytes differ from those of an undisturbed job, base levels without their other levels, leftover files and jobs. */
  readonly wrong: number;
}

export interface Entry extends Finding {
  readonly fault: string;
  /** How often the fault occurred. */
  readonly times: number;
}

declare module 'vitest' {
  interface ProvidedContext {
    faultLog: string;
  }
}

export const RIGHT: Finding = { lost: 0, duplicated: 0, wrong: 0 };

/**
 * Runs a test that causes a fault and checks for its effects, and records the result. A test that throws counts as a
 * lost job.
 */
export async function recorded(
  fault: string,
  run: () => Promise<{ readonly times: number; readonly finding: Finding }>,
): Promise<void> {
  let entry: Entry = { fault, times: 1, ...RIGHT, lost: 1 };
  try {
    const { times, finding } = await run();
    entry = { fault, times, ...finding };
    expect(times, 'the fault never occurred').toBeGreaterThan(0);
    expect(finding).toEqual(RIGHT);
  } finally {
    await appendFile(inject('faultLog'), `${JSON.stringify(entry)}\n`);
  }
}
