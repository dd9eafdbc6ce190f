/** A real PostgreSQL from Debian's package, as a separate cluster in a temporary folder, on a free port. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { appendFile, chmod, chown, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from './free-port.ts';

const ROOT = '/usr/lib/postgresql';

/** Folder with the programs of the newest version; undefined if there is none. */
const PROGRAMS = (existsSync(ROOT) ? readdirSync(ROOT) : [])
  .sort((a, b) => Number(b) - Number(a))
  .map((version) => join(ROOT, version, 'bin'))
  .find((folder) => existsSync(join(folder, 'pg_ctl')));

/** What is missing to run PostgreSQL here; undefined if it can run. In CI it must. */
export const postgresMissing = PROGRAMS ? undefined : 'no PostgreSQL';
if (postgresMissing && process.env.CI) throw new Error(`${postgresMissing}; .ci/run installs it`);

export interface RunningPostgres extends AsyncDisposable {
  /** Connection URI of its only database. */
  readonly url: string;
  /**
   * `fast` rolls open transactions back and shuts down in order; `immediate` is a crash, with recovery at the next
   * start.
   */
  stop(mode: 'fast' | 'immediate'): Promise<void>;
  start(): Promise<void>;
  /** SIGSTOP to all its processes: it accepts connections, but never responds. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** The single value that a statement returns, as text. */
  query(sql: string): Promise<string>;
}

export interface PostgresOptions {
  /** Certificate to speak TLS with; it then refuses all else. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  /** Variables of its processes besides those of this one. */
  readonly environment?: Readonly<Record<string, string>>;
}

export async function startPostgres({ tls, environment }: PostgresOptions = {}): Promise<RunningPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'postgres-test-'));
  const user = await unprivilegedUser();
  if (user) await chown(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const run = async (program: string, ...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)(join(PROGRAMS!, program), args, {
      cwd: folder,
      env: { ...process.env, ...environment },
      ...user,
    });
    return stdout;
  };
  const port = await freePort();
  const control = (...args: string[]): Promise<string> => run('pg_ctl', '--pgdata', data, '--wait', ...args);
  const signalAll = async (signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> => {
    const [pid] = (await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n');
    // The postmaster first, so that it starts no more of them.
    process.kill(Number(pid), signal);
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    for (const one of children.match(/\d+/g) ?? []) signalIfAlive(Number(one), signal);
  };
  let isRunning = false;
  const postgres: RunningPostgres = {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    async stop(mode) {
      isRunning = false;
      await control('stop', '--mode', mode);
    },
    async start() {
      await control('start', '--log', join(folder, 'log'), '--silent');
      isRunning = true;
    },
    freeze: () => signalAll('SIGSTOP'),
    thaw: () => signalAll('SIGCONT'),
    query: async (sql) =>
      (
        await run('psql', '--no-psqlrc', '--tuples-only', '--no-align', '--command', sql, postgres.url)
      ).trim(),
    async [Symbol.asyncDispose]() {
      if (isRunning) await signalAll('SIGCONT').then(() => postgres.stop('immediate'));
      await rm(folder, { recursive: true, force: true });
    },
  };
  try {
    await run(
      'initdb',
      '--pgdata',
      data,
      '--username=postgres',
      '--auth=trust',
      '--no-sync',
      '--encoding=UTF8',
    );
    await appendFile(
      join(data, 'postgresql.conf'),
      // The tests crash the server, not the machine: its pages stay with the kernel.
      `\nport = ${port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\n`,
    );
    if (tls) {
      for (const [from, name] of [
        [tls.certFile, 'server.crt'],
        [tls.keyFile, 'server.key'],
      ] as const) {
        await copyFile(from, join(data, name));
        await chmod(join(data, name), 0o600);
        if (user) await chown(join(data, name), user.uid, user.gid);
      }
      await appendFile(join(data, 'postgresql.conf'), 'ssl = on\n');
      await writeFile(join(data, 'pg_hba.conf'), 'hostssl all all 127.0.0.1/32 trust\n');
    }
    await postgres.start();
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  return postgres;
}

/** PostgreSQL does not run as root; Debian's package creates a user for it. */
async function unprivilegedUser(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const entry = /^postgres:[^:]*:(\d+):(\d+):/m.exec(await readFile('/etc/passwd', 'utf8'));
  if (!entry) throw new Error('There is no user postgres to run the server as.');
  return { uid: Number(entry[1]), gid: Number(entry[2]) };
}

/** A child may end between the check and the signal. */
function signalIfAlive(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
