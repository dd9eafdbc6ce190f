/** `serve` and `worker` as real processes, which can be killed at any moment and restarted. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { repository } from './peers.ts';

export interface ServiceProcess extends AsyncDisposable {
  /** Root of the API, for `serve` only. It changes with every start. */
  readonly url: string;
  readonly pid: number;
  readonly isRunning: boolean;
  /** Starts it again, and waits until it is ready. */
  start(): Promise<void>;
  /** SIGKILL: nothing is cleaned up. */
  kill(): Promise<void>;
  /** SIGSTOP: the process exists but does nothing, as on a machine that hangs. */
  freeze(): void;
  thaw(): void;
  /** SIGTERM. Returns the exit code. */
  stop(): Promise<number | null>;
}

/** What each command prints when it has started. */
const STARTED = { serve: /service\s+(http:\S+)/, worker: /a worker on\s+(\S+)/ } as const;

const READY_TIMEOUT_MS = 60_000;

/** @param environment variables besides those of this process; must include the folders */
export async function startProcess(
  command: 'serve' | 'worker',
  environment: Readonly<Record<string, string>>,
): Promise<ServiceProcess> {
  let child: ChildProcess;
  let url = '';
  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      await once(child, 'exit');
    }
    return child.exitCode;
  };
  const service: ServiceProcess = {
    get url() {
      return url;
    },
    get pid() {
      return child.pid!;
    },
    get isRunning() {
      return child.exitCode === null && child.signalCode === null;
    },
    async start() {
      child = spawn(process.execPath, [join(repository, 'server/src/main.ts'), command], {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: {
          ...process.env,
          STAIN_SERVER_PORT: '0',
          STAIN_VIEWER_ENABLED: 'false',
          STAIN_ARCHIVE_SAMPLE: 'false',
          STAIN_DEVICE: 'cpu',
          // The slides of tests have arrived completely.
          STAIN_JOBS_STABLE_SECONDS: '0',
          STAIN_THREADS: '1',
          STAIN_LOG_LEVEL: 'error',
          // Tests poll jobs as often as they can.
          STAIN_LIMITS_REQUESTS_PER_SECOND: '1000',
          ...environment,
        },
      });
      url = await saidBy(child, STARTED[command]);
      if (command === 'serve') await untilReady(url);
    },
    async kill() {
      await end('SIGKILL');
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    stop: () => end('SIGTERM'),
    async [Symbol.asyncDispose]() {
      await end('SIGKILL');
    },
  };
  // An interrupted test run must leave nothing behind.
  process.once('exit', () => child.kill('SIGKILL'));
  await service.start();
  return service;
}

/** Output of the process, up to the match of the pattern. */
function saidBy(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    // Read as long as the process lives: it would fail on a pipe without a reader.
    child.stderr!.on('data', (chunk) => {
      said += chunk;
      const found = pattern.exec(said)?.[1];
      if (found) resolve(found);
    });
    child.once('exit', (code) => reject(new Error(`the process ended with ${code}: ${said}`)));
  });
}

async function untilReady(url: string): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  for (;;) {
    const answer = await fetch(`${url}/ready`);
    if (answer.ok) return;
    if (Date.now() > deadline) throw new Error(`The service is not ready: ${await answer.text()}`);
    await pause(100);
  }
}
