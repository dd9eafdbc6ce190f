import { createHash, randomUUID } from 'node:crypto';

/**
 * Checks UIDs in URLs and bodies (PS3.5 section 9): digits and dots, at most 64 characters. Everything else is refused,
 * which also keeps `..` and separators out of file names. Leading zeros are accepted, because real files have them.
 */
export function isUid(text: string | undefined): text is string {
  return text !== undefined && text.length <= 64 && /^\d+(\.\d+)*$/.test(text);
}

/** `2.25.` + the decimal value of a UUID (DICOM PS3.5 B.2). */
export function uidFromUuid(uuid: string): string {
  return `2.25.${BigInt(`0x${uuid.replaceAll('-', '')}`)}`;
}

/** The UUID in a UID made by `uidFromUuid`; undefined for any other UID. */
export function uuidFromUid(uid: string): string | undefined {
  const decimal = /^2\.25\.(0|[1-9]\d{0,38})$/.exec(uid)?.[1];
  if (decimal === undefined) return undefined;
  const hex = BigInt(decimal).toString(16).padStart(32, '0');
  return hex.length === 32 ? hyphenated(hex) : undefined;
}

/**
 * Name-based UUID, version 5 (RFC 9562 section 5.5): the same job and name give the same UUID, so a retried job stores
 * the same UIDs without keeping a list of them.
 */
export function nameBasedUuid(namespace: string, name: string): string {
  const bytes = createHash('sha1')
    .update(Buffer.from(namespace.replaceAll('-', ''), 'hex'))
    .update(name, 'utf8')
    .digest()
    .subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x50;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return hyphenated(bytes.toString('hex'));
}

function hyphenated(hex: string): string {
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

export const newUuid = randomUUID;
