/** Converts values to bytes and back, by value representation (PS3.5 section 6.2), little endian. */
import { StainError } from '../../../core/src/errors.ts';

export type Value = string | number | readonly string[] | readonly number[] | Uint8Array;

/** Bytes and accessors of the fixed-size numeric VRs. 64-bit integers are read as numbers, exact to 2^53. */
const BINARY: Readonly<
  Record<
    string,
    {
      size: number;
      get(view: DataView, at: number): number;
      set(view: DataView, at: number, value: number): void;
    }
  >
> = {
  US: { size: 2, get: (v, at) => v.getUint16(at, true), set: (v, at, x) => v.setUint16(at, x, true) },
  SS: { size: 2, get: (v, at) => v.getInt16(at, true), set: (v, at, x) => v.setInt16(at, x, true) },
  UL: { size: 4, get: (v, at) => v.getUint32(at, true), set: (v, at, x) => v.setUint32(at, x, true) },
  SL: { size: 4, get: (v, at) => v.getInt32(at, true), set: (v, at, x) => v.setInt32(at, x, true) },
  FL: { size: 4, get: (v, at) => v.getFloat32(at, true), set: (v, at, x) => v.setFloat32(at, x, true) },
  FD: { size: 8, get: (v, at) => v.getFloat64(at, true), set: (v, at, x) => v.setFloat64(at, x, true) },
  UV: {
    size: 8,
    get: (v, at) => Number(v.getBigUint64(at, true)),
    set: (v, at, x) => v.setBigUint64(at, BigInt(x), true),
  },
  SV: {
    size: 8,
    get: (v, at) => Number(v.getBigInt64(at, true)),
    set: (v, at, x) => v.setBigInt64(at, BigInt(x), true),
  },
};

/** Maximum length of a value in characters (PS3.5 table 6.2-1), for VRs whose limit our values could reach. */
const MAX_LENGTH: Readonly<Record<string, number>> = {
  AE: 16,
  CS: 16,
  DS: 16,
  IS: 12,
  LO: 64,
  SH: 16,
  ST: 1024,
  LT: 10240,
  UI: 64,
};

/** An attribute of a slide has a few values. A malicious header of any size may have one per byte. */
const MAX_VALUES = 1_000_000;

/** VRs with a single value, in which a backslash is an ordinary character. */
const SINGLE_TEXT = new Set(['LT', 'ST', 'UT', 'UR']);

/**
 * Bytes of a value in ASCII or binary. Our own values are ASCII, which every character set contains.
 * @throws INTERNAL for a value that its VR cannot hold: a fault in this product, not in the slide
 */
export function encodeValue(vr: string, value: Value): Uint8Array {
  if (value instanceof Uint8Array) return padEven(value, 0);
  const values = Array.isArray(value) ? (value as readonly (string | number)[]) : [value as string | number];
  const binary = BINARY[vr];
  if (binary) {
    const bytes = new Uint8Array(values.length * binary.size);
    const view = new DataView(bytes.buffer);
    for (const [i, item] of values.entries()) binary.set(view, i * binary.size, Number(item));
    return bytes;
  }
  if (vr === 'AT') {
    const bytes = new Uint8Array(values.length * 4);
    const view = new DataView(bytes.buffer);
    for (const [i, tag] of values.entries()) {
      view.setUint16(i * 4, Number.parseInt(String(tag).slice(0, 4), 16), true);
      view.setUint16(i * 4 + 2, Number.parseInt(String(tag).slice(4), 16), true);
    }
    return bytes;
  }
  for (const item of values)
    if (!isEncodable(vr, String(item)))
      throw new StainError('INTERNAL', `A value of VR ${vr} is too long or not ASCII.`);
  return padEven(Buffer.from(values.join('\\'), 'latin1'), vr === 'UI' ? 0 : 0x20);
}

/** Whether `encodeValue` accepts a text: a text from a source may be anything. */
export function isEncodable(vr: string, text: string): boolean {
  return text.length <= (MAX_LENGTH[vr] ?? Number.POSITIVE_INFINITY) && !/[^\x20-\x7e\r\n\f\t]/.test(text);
}

/** Even length, as every value must have (PS3.5 7.1.1). */
export function padEven(bytes: Uint8Array, padding: number): Uint8Array {
  if (bytes.length % 2 === 0) return bytes;
  const padded = new Uint8Array(bytes.length + 1).fill(padding);
  padded.set(bytes);
  return padded;
}

/**
 * Values of a text VR, without padding; empty if there is no value.
 * @throws DICOM_INVALID for more than `MAX_VALUES` values
 */
export function splitText(vr: string, text: string): string[] {
  if (text.length === 0) return [];
  const values = SINGLE_TEXT.has(vr) ? [text] : text.split('\\', MAX_VALUES + 1);
  requireFewValues(values.length);
  return values.map(withoutPadding);
}

/**
 * UI is padded with NUL, and some writers pad text with it too. This is a loop because a regular expression for
 * trailing blanks takes quadratic time for a value with millions of blanks elsewhere.
 */
function withoutPadding(value: string): string {
  let [start, end] = [0, value.length];
  while (end > 0 && (value[end - 1] === ' ' || value[end - 1] === '\0')) end--;
  while (start < end && value[start] === ' ') start++;
  return value.slice(start, end);
}

function requireFewValues(count: number): void {
  if (count > MAX_VALUES)
    throw new StainError('DICOM_INVALID', `An element holds more than ${MAX_VALUES} values.`);
}

/**
 * Numbers of a binary VR; undefined for other VRs. A truncated last value is omitted.
 * @throws DICOM_INVALID for more than `MAX_VALUES` values
 */
export function binaryNumbers(vr: string, bytes: Uint8Array): number[] | undefined {
  const binary = BINARY[vr];
  if (!binary) return undefined;
  const count = Math.floor(bytes.length / binary.size);
  requireFewValues(count);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: count }, (_, i) => binary.get(view, i * binary.size));
}

/** Tags of VR AT as eight hexadecimal digits. */
export function attributeTags(bytes: Uint8Array): string[] {
  const words = binaryNumbers('US', bytes)!.map((word) => word.toString(16).toUpperCase().padStart(4, '0'));
  return Array.from({ length: Math.floor(words.length / 2) }, (_, i) => words[2 * i]! + words[2 * i + 1]!);
}
