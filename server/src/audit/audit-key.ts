/**
 * The key that seals the lines of an audit trail. Whoever has it can rewrite a trail, so it is kept apart from the
 * file.
 */
import { createHash, createHmac } from 'node:crypto';
import { invalidSetting, readSettingFile } from '../setting.ts';

const MIN_BYTES = 32;

export interface AuditKey {
  /** Identifies the key that sealed a line, without revealing it. */
  readonly id: string;
  /** HMAC-SHA256 (RFC 2104), in hexadecimal. */
  seal(text: string): string;
}

/** @throws CONFIGURATION_INVALID if the file cannot be read, or is too short for a key */
export async function readAuditKey(file: string): Promise<AuditKey> {
  // A file written with an editor or `echo` ends with a line break.
  const text = (await readSettingFile('audit.keyFile', file)).toString('latin1').replace(/\r?\n$/, '');
  const key = Buffer.from(text, 'latin1');
  if (key.length < MIN_BYTES)
    throw invalidSetting('audit.keyFile', `a key must have at least ${MIN_BYTES} bytes.`);
  const seal = (text: string): string => createHmac('sha256', key).update(text).digest('hex');
  return { id: seal('the id of this key').slice(0, 16), seal };
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
