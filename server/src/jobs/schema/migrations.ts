import { ARCHIVE_RULE_TABLES } from './archive-rule-tables.ts';
import { OUTCOME_INDEXES } from './outcome-indexes.ts';
import { PRUNING_INDEXES } from './pruning-indexes.ts';
import { RESULT_TABLE } from './result-table.ts';
import { RULE_TABLES } from './rule-tables.ts';
import { TABLES_OF_0_9 } from './tables-of-0.9.ts';

/**
 * Every change of the product's tables, in order: the first makes version 1 of the schema from an empty database. To add a
 * table or to change one, append a step here and never edit one that was released: a database that has it does not run it
 * again.
 *
 * A step is SQL without values, one or more statements, and runs in a transaction of its own. It must leave tables that
 * the version before can go on using, because processes of both versions run during an update: add columns with a default,
 * add tables, add indexes; drop what nobody uses any more one version later. It holds up writers while it runs, so it
 * changes many rows only where it must.
 */
export const MIGRATIONS: readonly string[] = [
  TABLES_OF_0_9,
  PRUNING_INDEXES,
  RULE_TABLES,
  OUTCOME_INDEXES,
  RESULT_TABLE,
  ARCHIVE_RULE_TABLES,
];
