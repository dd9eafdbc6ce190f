/** Elements from the DICOM JSON model (PS3.18 annex F). Its text is UTF-8. */
import { StainError } from '../errors.ts';
import type { DataSet } from './dataset.ts';
import type { Element } from './element.ts';
import { encodeValue, padEven, type Value } from './element-value.ts';

export interface DicomJsonAttribute {
  readonly vr: string;
  readonly Value?: readonly unknown[];
  /** Base64. */
  readonly InlineBinary?: string;
}

/** Attributes by tag, eight hexadecimal digits. */
export type DicomJsonDataSet = { readonly [tag: string]: DicomJsonAttribute };

const MAX_DEPTH = 32;
const NUMERIC = new Set(['US', 'SS', 'UL', 'SL', 'FL', 'FD', 'UV', 'SV', 'AT']);

/** @param makeItem makes the data set of a sequence item */
export function elementsFromJson(
  json: DicomJsonDataSet,
  makeItem: (elements: readonly Element[]) => DataSet,
  depth = 0,
): Element[] {
  if (depth > MAX_DEPTH) invalid('sequences are nested too deeply');
  return Object.entries(json)
    .filter(([tag]) => !tag.endsWith('0000'))
    .map(([key, attribute]): Element => {
      const tag = key.toUpperCase();
      if (!/^[0-9A-F]{8}$/.test(tag) || typeof attribute?.vr !== 'string')
        invalid('a member of a data set is no attribute');
      const { vr, InlineBinary } = attribute;
      const values = attribute.Value ?? [];
      if (!Array.isArray(values)) invalid(`the Value of ${tag} is no list`);
      if (vr === 'SQ') {
        const items = values.map((item) => makeItem(elementsFromJson(dataSetIn(item), makeItem, depth + 1)));
        return { tag, vr, items };
      }
      if (InlineBinary !== undefined) {
        if (typeof InlineBinary !== 'string') invalid(`the InlineBinary of ${tag} is no text`);
        return { tag, vr, bytes: padEven(Buffer.from(InlineBinary, 'base64'), 0) };
      }
      return { tag, vr, bytes: bytesOf(tag, vr, values) };
    });
}

/** An item may be null, for an empty one. */
function dataSetIn(item: unknown): DicomJsonDataSet {
  if (item === null) return {};
  if (typeof item !== 'object') invalid('an item of a sequence is no data set');
  return item as DicomJsonDataSet;
}

function bytesOf(tag: string, vr: string, values: readonly unknown[]): Uint8Array {
  if (NUMERIC.has(vr)) {
    if (values.some((value) => !isOfVr(value, vr))) invalid(`${tag} holds a value that is no ${vr}`);
    return encodeValue(vr, values as Value);
  }
  // A UID that was made of parts would be another one.
  if (vr === 'UI' && values.some((value) => typeof value !== 'string' && value !== null))
    invalid(`${tag} holds a value that is no UID`);
  return padEven(Buffer.from(values.map(textOf).join('\\'), 'utf8'), vr === 'UI' ? 0 : 0x20);
}

function isOfVr(value: unknown, vr: string): boolean {
  if (vr === 'AT') return typeof value === 'string' && /^[0-9A-Fa-f]{8}$/.test(value);
  if (typeof value !== 'number' && typeof value !== 'string') return false;
  return vr === 'FL' || vr === 'FD' ? !Number.isNaN(Number(value)) : Number.isInteger(Number(value));
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'object') return String(value);
  const { Alphabetic, Ideographic, Phonetic } = value as Record<string, unknown>;
  const groups = [Alphabetic, Ideographic, Phonetic].map((group) => (typeof group === 'string' ? group : ''));
  // Groups at the end that are empty are left out, and their delimiters with them (PS3.5 6.2).
  while (groups.at(-1) === '') groups.pop();
  return groups.join('=');
}

function invalid(message: string): never {
  throw new StainError('DICOM_INVALID', `The metadata are not DICOM JSON: ${message}.`);
}
