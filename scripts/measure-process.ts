/** Runs a command in a separate process and measures its wall-clock time and peak memory from outside. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';

export interface MeasuredProcess {
  /** From start to end of the process, including the loading of code. */
  readonly seconds: number;
  /** From the start to the first text on stderr that matches `progress`. */
  readonly secondsToProgress?: number;
  /** Largest resident memory of the process and its descendants, in 10^6 bytes; undefined without /proc. */
  readonly peakMegabytes?: number;
  readonly stdout: string;
}

export interface MeasureOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly progress?: RegExp;
}

const SAMPLE_EVERY_MS = 100;

/** @throws with the end of stderr if the process fails */
export async function measureProcess(
  command: string,
  args: readonly string[],
  { cwd, env, progress }: MeasureOptions = {},
): Promise<MeasuredProcess> {
  const start = performance.now();
  const elapsed = (): number => (performance.now() - start) / 1000;
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  let [stdout, stderr] = ['', ''];
  let secondsToProgress: number | undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    if (progress?.test(stderr)) secondsToProgress ??= elapsed();
  });
  let peak = 0;
  const sample = setInterval(() => {
    if (child.pid !== undefined)
      void residentBytes(child.pid).then((bytes) => {
        peak = Math.max(peak, bytes);
      });
  }, SAMPLE_EVERY_MS);
  try {
    const [code, signal] = await closed;
    const seconds = elapsed();
    if (code !== 0)
      throw new Error(`${command} ${args.join(' ')} ended with ${code ?? signal}:\n${stderr.slice(-2000)}`);
    return {
      seconds,
      stdout,
      ...(secondsToProgress !== undefined && { secondsToProgress }),
      ...(peak > 0 && { peakMegabytes: peak / 1e6 }),
    };
  } finally {
    clearInterval(sample);
  }
}

/**
 * Resident bytes of a process and its descendants. A process without children is counted by its own high-water mark,
 * which misses nothing between two samples; a process tree by the current sum.
 */
export async function residentBytes(pid: number): Promise<number> {
  const tree = await descendants(pid);
  const field = tree.length > 1 ? 'VmRSS' : 'VmHWM';
  const sizes = await Promise.all(tree.map((each) => statusBytes(each, field)));
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}

async function descendants(pid: number): Promise<number[]> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => []);
  const children = await Promise.all(
    tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => '')),
  );
  const below = await Promise.all(
    children
      .join(' ')
      .match(/\d+/g)
      ?.map((id) => descendants(Number(id))) ?? [],
  );
  return [pid, ...below.flat()];
}

async function statusBytes(pid: number, field: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
}
