/** Brings the product's tables, those of the database schema `stain_normalization`, to the version this program knows. */
import { StainError } from '../../../../core/src/errors.ts';
import { MIGRATIONS } from './migrations.ts';

const VERSIONS = 'stain_normalization.schema_version';
const TAKEN = 'schema_version_pkey';

/** Runs one statement, or several without waiting for anything in between, and returns the rows. */
type RunSql = (sql: string) => Promise<readonly unknown[]>;

/**
 * Runs the steps that the database lacks, each in a transaction. Processes that start at the same time take turns, and
 * each step runs once.
 * @throws DATABASE_NEWER if the database has steps that this program does not know; whatever `run` throws
 */
export async function migrate(run: RunSql, migrations: readonly string[] = MIGRATIONS): Promise<void> {
  for (;;) {
    const version = await schemaVersion(run);
    if (version > migrations.length)
      throw new StainError(
        'DATABASE_NEWER',
        `The tables have version ${version}; this program knows version ${migrations.length} and those before it.`,
        { data: { version, known: migrations.length } },
      );
    const step = migrations[version];
    if (step === undefined) return;
    try {
      await run(inOneTransaction(version + 1, step));
    } catch (error) {
      // Another process ran the step while this one waited for its turn.
      if ((error as { constraint?: unknown }).constraint !== TAKEN) throw error;
    }
  }
}

/** Number of steps that the database has. */
async function schemaVersion(run: RunSql): Promise<number> {
  const [found] = await run(`SELECT to_regclass('${VERSIONS}') IS NOT NULL AS versioned`);
  if (!(found as { versioned: boolean }).versioned) return 0;
  const [row] = await run(`SELECT coalesce(max(version), 0) AS version FROM ${VERSIONS}`);
  return (row as { version: number }).version;
}

/** The version is recorded first: whoever comes second fails there, before the step. */
function inOneTransaction(version: number, step: string): string {
  return `BEGIN;
SELECT pg_advisory_xact_lock(hashtext('stain_normalization'));
CREATE SCHEMA IF NOT EXISTS stain_normalization;
CREATE TABLE IF NOT EXISTS ${VERSIONS} (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
INSERT INTO ${VERSIONS} (version) VALUES (${version});
${step};
COMMIT;`;
}
