/** What each fault did, for the table at the end of the suite. */
import { appendFile } from 'node:fs/promises';
import { expect, inject } from 'vitest';

/** Counts after one job under a fault; all are 0 where nothing went wrong. */
export interface Finding {
  /** Jobs that did not come to their end, or whose series is not there. */
  readonly lost: number;
  /** Series, instances or jobs too many. */
  readonly duplicated: number;
  /** Instances whose bytes are others than an undisturbed job's, levels missing under a base, files and jobs left over. */
  readonly wrong: number;
}

export interface Entry extends Finding {
  readonly fault: string;
  /** How often the fault was caused. */
  readonly times: number;
}

declare module 'vitest' {
  interface ProvidedContext {
    faultLog: string;
  }
}

export const RIGHT: Finding = { lost: 0, duplicated: 0, wrong: 0 };

/** Runs what causes a fault and looks for its traces, and writes down what came of it; what throws has lost a job. */
export async function recorded(
  fault: string,
  run: () => Promise<{ readonly times: number; readonly finding: Finding }>,
): Promise<void> {
  let entry: Entry = { fault, times: 1, ...RIGHT, lost: 1 };
  try {
    const { times, finding } = await run();
    entry = { fault, times, ...finding };
    expect(times, 'the fault was never met').toBeGreaterThan(0);
    expect(finding).toEqual(RIGHT);
  } finally {
    await appendFile(inject('faultLog'), `${JSON.stringify(entry)}\n`);
  }
}
