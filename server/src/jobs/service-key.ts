/** Keys that all processes of one database share: for what one of them signs and another one checks. */
import { hkdfSync, randomBytes } from 'node:crypto';
import type { Database } from './database.ts';

const TABLE = 'stain_normalization.secret';
const NAME = 'service';
const KEY_BYTES = 32;

/** Idempotent. */
export const SECRET_SCHEMA = `
CREATE TABLE IF NOT EXISTS ${TABLE} (name text PRIMARY KEY, value text NOT NULL);`;

/**
 * The key for one purpose, 32 bytes, the same in every process and after every restart. It is derived (HKDF, RFC 5869)
 * from one random secret that the first process puts into the database, so keys of two purposes tell nothing of each
 * other, and no administrator has to think of one. Requests wait for it, so the table is made before, when the service opens.
 * @throws DATABASE_UNAVAILABLE
 */
export async function serviceKey(database: Pick<Database, 'query'>, purpose: string): Promise<Buffer> {
  // Whoever comes second keeps what is there.
  await database.query(`INSERT INTO ${TABLE} (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, [
    NAME,
    randomBytes(KEY_BYTES).toString('base64'),
  ]);
  const [row] = await database.query<{ value: string }>(`SELECT value FROM ${TABLE} WHERE name = $1`, [NAME]);
  return Buffer.from(hkdfSync('sha256', Buffer.from(row!.value, 'base64'), '', purpose, KEY_BYTES));
}
