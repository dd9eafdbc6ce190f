/** Data sets from the DICOM JSON model (PS3.18 annex F), whose text is UTF-8. */
import { StainError } from '../../../core/src/errors.ts';
import { LazyList } from '../../../core/src/lazy-list.ts';
import { DataSet, type Element, type Items } from './dataset.ts';
import { encodeValue, padEven, type Value } from './element-value.ts';
import type { DicomJson } from './json-model.ts';

const MAX_DEPTH = 32;
const NUMERIC = new Set(['US', 'SS', 'UL', 'SL', 'FL', 'FD', 'UV', 'SV', 'AT']);

/**
 * Converts the DICOM JSON model, such as a response to /metadata. Bulk data is omitted.
 * @throws DICOM_INVALID if the JSON does not follow that model
 */
export function dataSetFromJson(json: DicomJson, depth = 0): DataSet {
  if (depth > MAX_DEPTH) invalid('sequences are nested too deeply');
  const elements = Object.entries(json)
    .filter(([tag]) => !tag.endsWith('0000'))
    .map(([key, attribute]): Element => {
      const tag = key.toUpperCase();
      if (!/^[0-9A-F]{8}$/.test(tag) || typeof attribute?.vr !== 'string')
        invalid('a member of a data set is not an attribute');
      const { vr, InlineBinary } = attribute;
      const values = attribute.Value ?? [];
      if (!Array.isArray(values) && !(values instanceof LazyList))
        invalid(`the Value of ${tag} is not an array`);
      if (vr === 'SQ')
        return {
          tag,
          vr,
          items: itemsOf(values, (item) => dataSetFromJson(dataSetIn(item), depth + 1)),
        };
      if (InlineBinary !== undefined) {
        if (typeof InlineBinary !== 'string') invalid(`the InlineBinary of ${tag} is not a string`);
        return { tag, vr, bytes: padEven(Buffer.from(InlineBinary, 'base64'), 0) };
      }
      return { tag, vr, bytes: bytesOf(tag, vr, [...values]) };
    });
  return new DataSet(elements, 'ISO_IR 192');
}

/** Items of a long list are converted once here, to validate them, and again on access. */
function itemsOf(values: readonly unknown[] | LazyList<unknown>, make: (value: unknown) => DataSet): Items {
  if (!(values instanceof LazyList)) return values.map(make);
  for (const value of values) make(value);
  return values.map(make);
}

/** null stands for an empty item. */
function dataSetIn(item: unknown): DicomJson {
  if (item === null) return {};
  if (typeof item !== 'object') invalid('an item of a sequence is not a data set');
  return item as DicomJson;
}

function bytesOf(tag: string, vr: string, values: readonly unknown[]): Uint8Array {
  if (NUMERIC.has(vr)) {
    if (values.some((value) => !isOfVr(value, vr))) invalid(`${tag} has a value that is not a valid ${vr}`);
    return encodeValue(vr, values as Value);
  }
  // A UID put together from parts would be a different one.
  if (vr === 'UI' && values.some((value) => typeof value !== 'string' && value !== null))
    invalid(`${tag} has a value that is not a UID`);
  return padEven(Buffer.from(values.map(textOf).join('\\'), 'utf8'), vr === 'UI' ? 0 : 0x20);
}

function isOfVr(value: unknown, vr: string): boolean {
  if (vr === 'AT') return typeof value === 'string' && /^[0-9A-Fa-f]{8}$/.test(value);
  if (typeof value !== 'number' && typeof value !== 'string') return false;
  // Scanners leave it in what they could not measure (PS3.18 F.2.5).
  if (vr === 'FL' || vr === 'FD') return value === 'NaN' || !Number.isNaN(Number(value));
  return Number.isInteger(Number(value));
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'object') return String(value);
  const { Alphabetic, Ideographic, Phonetic } = value as Record<string, unknown>;
  const groups = [Alphabetic, Ideographic, Phonetic].map((group) => (typeof group === 'string' ? group : ''));
  // Trailing empty groups are omitted together with their delimiters (PS3.5 6.2).
  while (groups.at(-1) === '') groups.pop();
  return groups.join('=');
}

function invalid(message: string): never {
  throw new StainError('DICOM_INVALID', `The metadata are not DICOM JSON: ${message}.`);
}
