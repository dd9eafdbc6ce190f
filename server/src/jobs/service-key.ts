/** Keys shared by all processes that use one database: one process signs, another verifies. */
import { hkdfSync, randomBytes } from 'node:crypto';
import type { Database } from './database.ts';

const TABLE = 'stain_normalization.secret';
const NAME = 'service';
const KEY_BYTES = 32;

/**
 * A key of 32 bytes for one purpose, the same in every process and after every restart. It is derived (HKDF, RFC 5869)
 * from one random secret that the first process stores in the database, so a key reveals nothing about the others, and
 * no administrator has to invent one.
 * @throws DATABASE_UNAVAILABLE
 */
export async function serviceKey(database: Pick<Database, 'query'>, purpose: string): Promise<Buffer> {
  // If another process was first, its secret stays.
  await database.query(`INSERT INTO ${TABLE} (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, [
    NAME,
    randomBytes(KEY_BYTES).toString('base64'),
  ]);
  const [row] = await database.query<{ value: string }>(`SELECT value FROM ${TABLE} WHERE name = $1`, [NAME]);
  return Buffer.from(hkdfSync('sha256', Buffer.from(row!.value, 'base64'), '', purpose, KEY_BYTES));
}
