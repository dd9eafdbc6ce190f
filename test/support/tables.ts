/** The product's tables as the database describes them. */
import { join } from 'node:path';
import type { Database } from '../../server/src/jobs/database.ts';
import { repository } from './peers.ts';

/** SQL that makes the tables and rows of a database of version 0.9. */
export const TABLES_OF_0_9 = join(repository, 'test/fixtures/database-0.9.0.sql');

/**
 * Every column, index, constraint and sequence, a line each. Columns may have been added in any order. What may not be
 * null is said of the column: only newer servers make constraints of it.
 */
export async function describeTables(database: Pick<Database, 'query'>): Promise<string[]> {
  const rows = await database.query<{ line: string }>(`
    SELECT concat_ws(' ', 'column', table_name, column_name, data_type, is_nullable, column_default) AS line
    FROM information_schema.columns WHERE table_schema = 'stain_normalization'
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'stain_normalization'
    UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = 'stain_normalization'::regnamespace AND contype <> 'n'
    UNION ALL SELECT concat_ws(' ', 'sequence', sequencename) FROM pg_sequences
    WHERE schemaname = 'stain_normalization'
    ORDER BY 1`);
  return rows.map(({ line }) => line);
}
