/** The key that seals the lines of an audit trail. Whoever has it can rewrite a trail: it lies elsewhere than the file. */
import { createHash, createHmac } from 'node:crypto';
import { invalidSetting, readSettingFile } from '../setting.ts';

const LEAST_BYTES = 32;

export interface AuditKey {
  /** Tells which key sealed a line, and nothing of the key. */
  readonly id: string;
  /** HMAC-SHA256 (RFC 2104), in hexadecimal digits. */
  seal(text: string): string;
}

/** @throws CONFIGURATION_INVALID for a file that cannot be read or is too short to be a key */
export async function readAuditKey(file: string): Promise<AuditKey> {
  // A file that was written with an editor or `echo` ends with a line break.
  const text = (await readSettingFile('audit.keyFile', file)).toString('latin1').replace(/\r?\n$/, '');
  const key = Buffer.from(text, 'latin1');
  if (key.length < LEAST_BYTES)
    throw invalidSetting('audit.keyFile', `a key has ${LEAST_BYTES} bytes at least.`);
  const seal = (text: string): string => createHmac('sha256', key).update(text).digest('hex');
  return { id: seal('the id of this key').slice(0, 16), seal };
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
