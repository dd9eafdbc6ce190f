/** The database behind queue and job records: PGlite in a folder, or a PostgreSQL server. */
import { chmod, mkdir, stat } from 'node:fs/promises';
import { PGlite } from '@electric-sql/pglite';
import { type ConstructorOptions, fromPglite, PgBoss } from 'pg-boss';
import { StainError } from '../errors.ts';
import { invalidSetting } from '../setting.ts';
import { lockFolder } from './folder-lock.ts';

/** PGlite's name for a database that is gone with the process. */
export const IN_MEMORY = 'memory://';

export interface DatabaseOptions {
  /** Folder of the embedded database, or `memory://`. */
  readonly directory: string;
  /** PostgreSQL server, instead of the embedded database. */
  readonly url?: string | undefined;
  /** On a server: a worker that is silent for this long is taken for dead. */
  readonly heartbeatSeconds: number;
  /** Faults of the queue's background work. */
  onError(error: Error): void;
}

export interface Database {
  readonly boss: PgBoss;
  /** True when no other process can use this database, so whatever is active at start was left by a crash. */
  readonly embedded: boolean;
  /** With values: one statement. Without: may be several. */
  query<Row>(sql: string, values?: readonly unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}

/** @throws CONFIGURATION_INVALID when the database cannot be opened */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  if (options.url !== undefined)
    return start({ connectionString: options.url }, options, false, async () => {});
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
  boss.on('error', options.onError);
  await boss.start().catch((cause: unknown) => {
    throw unusable(embedded ? 'database.directory' : 'database.url', cause);
  });
  const sql = boss.getDb();
  return {
    boss,
    embedded,
    query: async <Row>(text: string, values?: readonly unknown[]) =>
      (await sql.executeSql(text, values && [...values])).rows as Row[],
    async close() {
      await boss.stop({ graceful: true, timeout: 1000 });
      await close();
    },
  };
}

/** Names the key only: the driver's message may hold the address with its password. */
function unusable(key: string, cause: unknown): StainError {
  if (cause instanceof StainError) return cause;
  return new StainError(
    'CONFIGURATION_INVALID',
    `${key}: the database cannot be opened (${(cause as NodeJS.ErrnoException).code ?? (cause as Error).name}).`,
    {
      data: { key },
      cause,
    },
  );
}
