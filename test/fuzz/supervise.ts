/** Runs a target in a child process and finds what the child cannot report: that it crashed or hung, and where. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Assignment, Report } from './child.ts';

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url));
/** Time until the first input is read. */
const START_SECONDS = 60;
/** More failures are most likely the same one again. */
const MAX_FAILURES = 10;

export interface Failure {
  readonly index: number;
  readonly what: string;
}

export interface Outcome {
  readonly inputs: number;
  readonly failures: readonly Failure[];
  readonly peakMb: number;
  /** Errors of the table by code, without those of a killed child. */
  readonly refused: Readonly<Record<string, number>>;
}

/** @param hangSeconds an input that takes longer counts as a hang */
export async function supervise(
  assignment: Omit<Assignment, 'stateFile'>,
  hangSeconds: number,
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'stain-fuzz-state-'));
  const stateFile = join(folder, 'index');
  const failures: Failure[] = [];
  const refused: Record<string, number> = {};
  let peakMb = 0;
  let first = assignment.first;
  try {
    while (first < assignment.end && failures.length < MAX_FAILURES) {
      const run = await runChild({ ...assignment, first, stateFile }, hangSeconds);
      failures.push(...run.failures);
      peakMb = Math.max(peakMb, run.peakMb);
      for (const [code, count] of Object.entries(run.refused)) refused[code] = (refused[code] ?? 0) + count;
      first = run.next;
    }
    return { inputs: first - assignment.first, failures, peakMb, refused };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @returns the findings, and the first input that was not read */
async function runChild(
  assignment: Assignment,
  hangSeconds: number,
): Promise<Omit<Outcome, 'inputs'> & { readonly next: number }> {
  const { stateFile, first, end } = assignment;
  const child = spawn(process.execPath, [CHILD, JSON.stringify(assignment)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const failures: Failure[] = [];
  let ended: Extract<Report, { kind: 'end' }> | undefined;
  createInterface(child.stdout).on('line', (line) => {
    const report = JSON.parse(line) as Report;
    if (report.kind === 'end') ended = report;
    else failures.push(report);
  });
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => (words = (words + chunk.toString()).slice(-2000)));

  let [seen, since, isHanging] = [-1, Date.now(), false];
  const watch = setInterval(() => {
    const index = indexIn(stateFile) ?? -1;
    if (index !== seen) [seen, since] = [index, Date.now()];
    isHanging = Date.now() - since > (index < 0 ? START_SECONDS : hangSeconds) * 1000;
    if (isHanging) child.kill('SIGKILL');
  }, 250);
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  clearInterval(watch);
  if (code === 0 && ended) return { ...ended, failures, next: end };

  const index = indexIn(stateFile);
  if (index === undefined) throw new Error(`The fuzzer cannot start (${code ?? signal}): ${words}`);
  const what = isHanging ? `hung for ${hangSeconds} s` : `crashed (${code ?? signal}): ${words}`;
  failures.push({ index, what });
  return { failures, peakMb: 0, refused: {}, next: Math.max(first, index) + 1 };
}

function indexIn(stateFile: string): number | undefined {
  try {
    const bytes = readFileSync(stateFile);
    return bytes.length === 8 ? bytes.readDoubleLE() : undefined;
  } catch {
    return undefined;
  }
}
