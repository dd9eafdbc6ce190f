/**
 * Opaque cursors. A cursor contains the sequence number of a job among those of all users; two such numbers would
 * reveal how many jobs others have requested in between. So cursors are encrypted (AES-256-GCM) and valid only for the
 * user who got them.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { StainError } from '../../../core/src/errors.ts';

const ALGORITHM = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const BYTES = NONCE_BYTES + 8 + TAG_BYTES;

/** @param key 32 bytes @param owner id of the principal @param sequence a bigint in decimal digits */
export function sealCursor(key: Buffer, owner: string, sequence: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const plain = Buffer.alloc(8);
  plain.writeBigInt64BE(BigInt(sequence));
  const cipher = createCipheriv(ALGORITHM, key, nonce).setAAD(Buffer.from(owner));
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('base64url');
}

/** @throws REQUEST_INVALID if this is not a cursor, or not this user's */
export function openCursor(key: Buffer, owner: string, cursor: string): string {
  const bytes = Buffer.from(cursor, 'base64url');
  try {
    if (bytes.length !== BYTES) throw new Error('Wrong length.');
    const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    })
      .setAAD(Buffer.from(owner))
      .setAuthTag(bytes.subarray(-TAG_BYTES));
    const plain = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
    return String(plain.readBigInt64BE());
  } catch (cause) {
    throw new StainError('REQUEST_INVALID', 'This service did not issue this cursor to you.', { cause });
  }
}
