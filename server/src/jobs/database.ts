/** The database behind queue and job records: PGlite in a folder, or a PostgreSQL server. */
import { chmod, mkdir, stat } from 'node:fs/promises';
import { PGlite } from '@electric-sql/pglite';
import { type ConstructorOptions, fromPglite, PgBoss } from 'pg-boss';
import { StainError } from '../errors.ts';
import { invalidSetting } from '../setting.ts';
import { withinTime } from '../within-time.ts';
import { asError, databaseFault, databaseUnavailable, isRefused } from './database-fault.ts';
import { lockFolder } from './folder-lock.ts';

/** PGlite's name for a database that is gone with the process. */
export const IN_MEMORY = 'memory://';

/** Connections of one process. */
const MOST_CONNECTIONS = 10;
/** How long a connection, or one that is free, is waited for. */
const CONNECTION_TIMEOUT_MS = 5000;
/** How long a caller waits for a server that has the statement and does not answer. */
const STATEMENT_TIMEOUT_MS = 10_000;
/** When the connection itself is given up; also the limit for changes of tables and the queue's own maintenance. */
const SILENCE_MS = 60_000;
/** How long the end of the process waits for a database that is silent. */
const CLOSE_TIMEOUT_MS = 10_000;

const BEFORE_TABLES = `
BEGIN;
SELECT pg_advisory_xact_lock(hashtext('stain_normalization'));
CREATE SCHEMA IF NOT EXISTS stain_normalization;
`;

export interface DatabaseOptions {
  /** Folder of the embedded database, or `memory://`. */
  readonly directory: string;
  /** PostgreSQL server, instead of the embedded database. */
  readonly url?: string | undefined;
  /** On a server: a worker that is silent for this long is taken for dead. */
  readonly heartbeatSeconds: number;
  /** Faults of the queue's background work. */
  onError(error: unknown): void;
}

export interface Database {
  readonly boss: PgBoss;
  /** True when no other process can use this database, so whatever is active at start was left by a crash. */
  readonly embedded: boolean;
  /** With values: one statement. Without: may be several. @throws DATABASE_UNAVAILABLE */
  query<Row>(sql: string, values?: readonly unknown[]): Promise<Row[]>;
  /**
   * Makes or changes tables of the schema `stain_normalization`, all or nothing, which may take as long as it takes.
   * Services that start at the same time take turns. @throws DATABASE_UNAVAILABLE
   */
  define(sql: string): Promise<void>;
  /** Other work on the database, that of the queue, with the time limit and the errors of `query`. */
  limited<T>(work: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** @throws DATABASE_UNAVAILABLE when the server is away; CONFIGURATION_INVALID when it, or the folder, refuses us */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  if (options.url !== undefined) {
    const pool = {
      connectionString: options.url,
      max: MOST_CONNECTIONS,
      connectionTimeoutMillis: CONNECTION_TIMEOUT_MS,
      query_timeout: SILENCE_MS,
    };
    return start(pool, options, false, async () => {});
  }
  const unlock = options.directory === IN_MEMORY ? async () => {} : await prepareFolder(options.directory);
  try {
    const pglite = await PGlite.create(options.directory);
    const close = async () => {
      await pglite.close();
      await unlock();
    };
    return await start({ db: fromPglite(pglite), backend: 'pglite' }, options, true, close);
  } catch (cause) {
    await unlock();
    throw unusable('database.directory', cause);
  }
}

/** The folder is ours alone: it names patients' studies, and holds the secret that cursors and addresses are signed with. */
async function prepareFolder(directory: string): Promise<() => Promise<void>> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // One of an older version, or that somebody else has made.
  await chmod(directory, 0o700).catch(async (cause: unknown) => {
    if (((await stat(directory)).mode & 0o007) !== 0)
      throw invalidSetting('database.directory', 'others may read the folder: make it 0700.', cause);
  });
  return lockFolder(directory);
}

async function start(
  connection: ConstructorOptions,
  options: DatabaseOptions,
  embedded: boolean,
  close: () => Promise<void>,
): Promise<Database> {
  const boss = new PgBoss({
    ...connection,
    // Nothing here is scheduled by the clock, so the scheduler's polling is left out.
    schedule: false,
    // How soon the silence of a worker is noticed.
    superviseIntervalSeconds: Math.ceil(options.heartbeatSeconds / 3),
    monitorIntervalSeconds: Math.ceil(options.heartbeatSeconds / 3),
  });
  boss.on('error', (error) => options.onError(databaseFault(asError(error))));
  const stop = () => boss.stop({ graceful: true, timeout: 1000 });
  try {
    await boss.start();
  } catch (cause) {
    await stop().catch(() => {});
    const fault = databaseFault(cause);
    if (!embedded && fault instanceof StainError && !isRefused(cause)) throw fault;
    throw unusable(embedded ? 'database.directory' : 'database.url', cause);
  }
  const sql = boss.getDb();
  // The embedded database has no connection to lose: what it takes is the time of this process.
  const limited = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await (embedded ? work() : withinTime(work, STATEMENT_TIMEOUT_MS, silent));
    } catch (thrown) {
      throw databaseFault(thrown);
    }
  };
  return {
    boss,
    embedded,
    limited,
    query: <Row>(text: string, values?: readonly unknown[]) =>
      limited(async () => (await sql.executeSql(text, values && [...values])).rows as Row[]),
    async define(text) {
      await sql.executeSql(`${BEFORE_TABLES}${text}COMMIT;`).catch((thrown: unknown) => {
        throw databaseFault(thrown);
      });
    },
    async close() {
      if (embedded) await stop();
      // One that is silent keeps nobody from ending: what was not told it, it finds out by itself.
      else await withinTime(stop, CLOSE_TIMEOUT_MS, silent).catch(options.onError);
      await close();
    },
  };
}

function silent(): StainError {
  return databaseUnavailable('The database does not answer in time.');
}

/** Names the key only: the driver's message may hold the address with its password. */
function unusable(key: string, cause: unknown): StainError {
  if (cause instanceof StainError) return cause;
  const { code, name } = cause as NodeJS.ErrnoException;
  return invalidSetting(key, `the database cannot be opened (${code ?? name}).`, cause);
}
