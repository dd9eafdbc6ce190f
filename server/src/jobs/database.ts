/** The database behind queue and job records: PGlite in a folder, or a PostgreSQL server. */
import { chmod, stat } from 'node:fs/promises';
import { PGlite } from '@electric-sql/pglite';
import { type ConstructorOptions, fromPglite, PgBoss } from 'pg-boss';
import { StainError } from '../../../core/src/errors.ts';
import { invalidSetting, makeSettingFolder } from '../setting.ts';
import { withinTime } from '../sharing/within-time.ts';
import { asError, databaseFault, databaseUnavailable, isRefused, whyUnusable } from './database-fault.ts';
import { lockFolder } from './folder-lock.ts';
import { migrate } from './schema/migrate.ts';

/** PGlite's name for a database that lives only as long as the process. */
export const IN_MEMORY = 'memory://';

/** Connections per process. */
const MAX_CONNECTIONS = 10;
/** How long to wait for a new connection, or for a free one. */
const CONNECTION_TIMEOUT_MS = 5000;
/** How long a caller waits for a server that has received a statement and does not answer. */
const STATEMENT_TIMEOUT_MS = 10_000;
/** When to give up the connection itself; also the time limit of schema changes and of the queue's own maintenance. */
const SILENCE_MS = 60_000;
/** How long a stopping process waits for a database that does not answer. */
const CLOSE_TIMEOUT_MS = 10_000;
const STOP = { graceful: true, timeout: 1000 };
/** As many processes may create the tables at the same moment, one after the other. */
const START_ATTEMPTS = 5;
/** SQLSTATE. */
const UNIQUE_VIOLATION = '23505';

export interface DatabaseOptions {
  /** Folder of the embedded database, or `memory://`. */
  readonly directory: string;
  /** URL of a PostgreSQL server, used instead of the embedded database. */
  readonly url?: string | undefined;
  /** On a server: how long a worker may be silent before it is presumed dead. */
  readonly heartbeatSeconds: number;
  /** Called with errors of the queue's background work. */
  onError(error: unknown): void;
}

export interface Database {
  readonly boss: PgBoss;
  /** True if no other process can use this database. Whatever is active at startup was then left by a crash. */
  readonly embedded: boolean;
  /** With values: a single statement. Without: one or more. @throws DATABASE_UNAVAILABLE */
  query<Row>(sql: string, values?: readonly unknown[]): Promise<Row[]>;
  /** Runs other work on the database (the queue's) with the time limit and the errors of `query`. */
  limited<T>(work: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/**
 * Opens the database and brings its tables up to date (schema/migrations.ts).
 * @throws DATABASE_UNAVAILABLE if the server is away; CONFIGURATION_INVALID if the server or the folder refuses access;
 * DATABASE_NEWER
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  if (options.url !== undefined) {
    const pool = {
      connectionString: options.url,
      max: MAX_CONNECTIONS,
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

/** The folder must be private: it identifies patients' studies and holds the secret that signs cursors and URLs. */
async function prepareFolder(directory: string): Promise<() => Promise<void>> {
  await makeSettingFolder('database.directory', directory);
  // The folder was created by an older version or by somebody else.
  await chmod(directory, 0o700).catch(async (cause: unknown) => {
    if (((await stat(directory)).mode & 0o007) !== 0)
      throw invalidSetting(
        'database.directory',
        'the folder is readable by others: set its mode to 0700.',
        cause,
      );
  });
  return lockFolder(directory);
}

async function start(
  connection: ConstructorOptions,
  options: DatabaseOptions,
  embedded: boolean,
  close: () => Promise<void>,
): Promise<Database> {
  const boss = await startBoss(connection, options, embedded);
  const stop = () => boss.stop(STOP);
  const sql = boss.getDb();
  // The embedded database has no connection to lose: it runs in this process.
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
    async close() {
      if (embedded) await stop();
      // A database that does not answer must not keep the process from ending; what it was not told, it detects by
      // itself.
      else await withinTime(stop, CLOSE_TIMEOUT_MS, silent).catch(options.onError);
      await close();
    },
  };
}

/** The queue, with all tables up to date. */
async function startBoss(
  connection: ConstructorOptions,
  options: DatabaseOptions,
  embedded: boolean,
  attempts = START_ATTEMPTS,
): Promise<PgBoss> {
  const boss = new PgBoss({
    ...connection,
    // Nothing is scheduled by time of day, so the scheduler's polling is off.
    schedule: false,
    // Determines how soon a silent worker is noticed.
    superviseIntervalSeconds: Math.ceil(options.heartbeatSeconds / 3),
    monitorIntervalSeconds: Math.ceil(options.heartbeatSeconds / 3),
  });
  boss.on('error', (error) => options.onError(databaseFault(asError(error))));
  try {
    await boss.start();
    const sql = boss.getDb();
    await migrate(async (text) => (await sql.executeSql(text)).rows);
    return boss;
  } catch (cause) {
    await boss.stop(STOP).catch(() => {});
    if (isRace(cause) && attempts > 1) return startBoss(connection, options, embedded, attempts - 1);
    const fault = databaseFault(cause);
    if (!embedded && fault instanceof StainError && !isRefused(cause)) throw fault;
    throw unusable(embedded ? 'database.directory' : 'database.url', cause);
  }
}

/**
 * Another process created the same schema at the same moment: PostgreSQL's IF NOT EXISTS is a check before the act, and an
 * advisory lock does not make it see what was created meanwhile.
 */
function isRace(error: unknown): boolean {
  const { code, constraint } = (error ?? {}) as { code?: unknown; constraint?: unknown };
  return code === UNIQUE_VIOLATION && String(constraint).startsWith('pg_');
}

function silent(): StainError {
  return databaseUnavailable('The database does not answer in time.');
}

/** Names only the setting: the driver's message may contain the URL with its password. */
function unusable(key: string, cause: unknown): StainError {
  if (cause instanceof StainError) return cause;
  return invalidSetting(key, whyUnusable(cause), cause);
}
