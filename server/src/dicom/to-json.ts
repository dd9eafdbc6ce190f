/** Converts data sets to DICOM JSON (PS3.18 annex F). */
import { type DataSet, type Element, isSequence } from './dataset.ts';
import type { DicomJson, DicomJsonElement, DicomJsonValue } from './json-model.ts';

/** URL of a binary value, from the path of tags and 0-based item numbers that leads to it. */
export type BulkDataUri = (path: readonly (string | number)[]) => string;

const ICC_PROFILE = '00282000';
const MAX_INLINE_BYTES = 4096;
const BINARY_VRS = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN']);
const NUMBER_VRS = new Set(['DS', 'IS', 'FL', 'FD', 'SL', 'SS', 'SV', 'UL', 'US', 'UV']);

/**
 * ICC profiles and long binary values become BulkDataURIs, the rest InlineBinary. A profile is never inline because
 * dicom-microscopy-viewer applies only profiles that it can fetch.
 * @param bulkDataUri if undefined, such values are omitted
 */
export function toDicomJson(
  dataset: DataSet,
  bulkDataUri?: BulkDataUri,
  path: readonly (string | number)[] = [],
): DicomJson {
  const json: Record<string, DicomJsonElement> = {};
  for (const element of dataset.elements) {
    if (isGroupLength(element)) continue;
    const converted = toElement(dataset, element, bulkDataUri, [...path, element.tag]);
    if (converted) json[element.tag] = converted;
  }
  return json;
}

/** Sequence items converted to text at once: the frames of a large slide take hundreds of megabytes. */
const ITEMS_AT_ONCE = 100;

/** The text of what `toDicomJson` returns, in pieces of some kilobytes if a sequence is long. */
export function* dicomJsonPieces(dataset: DataSet, bulkDataUri?: BulkDataUri): Generator<string> {
  let before = '{';
  for (const element of dataset.elements) {
    if (isGroupLength(element)) continue;
    if (isSequence(element) && element.items.length > ITEMS_AT_ONCE) {
      yield `${before}"${element.tag}":{"vr":"${element.vr}","Value":[`;
      let texts: string[] = [];
      let item = 0;
      for (const dataSet of element.items) {
        texts.push(JSON.stringify(toDicomJson(dataSet, bulkDataUri, [element.tag, item++])));
        if (texts.length < ITEMS_AT_ONCE && item < element.items.length) continue;
        yield `${texts.join(',')}${item < element.items.length ? ',' : ''}`;
        texts = [];
      }
      yield ']}';
    } else {
      const converted = toElement(dataset, element, bulkDataUri, [element.tag]);
      if (!converted) continue;
      yield `${before}"${element.tag}":${JSON.stringify(converted)}`;
    }
    before = ',';
  }
  yield before === '{' ? '{}' : '}';
}

/** Group lengths are not part of the model. */
function isGroupLength({ tag }: Element): boolean {
  return tag.endsWith('0000');
}

/** The binary value at a path that `toDicomJson` announced; undefined if nothing binary is there. */
export function binaryAt(dataset: DataSet, path: readonly string[]): Uint8Array | undefined {
  const [tag = '', item, ...rest] = path;
  if (!/^[0-9A-F]{8}$/.test(tag)) return undefined;
  if (item === undefined)
    return BINARY_VRS.has(dataset.element(tag)?.vr ?? '') ? dataset.bytes(tag) : undefined;
  const next = /^\d+$/.test(item) ? dataset.sequence(tag).at(Number(item)) : undefined;
  return next && binaryAt(next, rest);
}

function toElement(
  dataset: DataSet,
  element: Element,
  bulkDataUri: BulkDataUri | undefined,
  path: readonly (string | number)[],
): DicomJsonElement | undefined {
  const { tag, vr } = element;
  if (isSequence(element)) {
    const items = Array.from(element.items, (item, i) => toDicomJson(item, bulkDataUri, [...path, i]));
    return items.length > 0 ? { vr, Value: items } : { vr };
  }
  const { bytes } = element;
  if (bytes.length === 0) return { vr };
  if (BINARY_VRS.has(vr)) {
    if (tag === ICC_PROFILE || bytes.length > MAX_INLINE_BYTES)
      return bulkDataUri && { vr, BulkDataURI: bulkDataUri(path) };
    return { vr, InlineBinary: Buffer.from(bytes).toString('base64') };
  }
  const values = valuesOf(dataset, tag, vr);
  return values.every((value) => value === null) ? { vr } : { vr, Value: values };
}

function valuesOf(dataset: DataSet, tag: string, vr: string): DicomJsonValue[] {
  // The model is UTF-8 whatever the file uses, and says so.
  if (tag === '00080005') return ['ISO_IR 192'];
  return dataset.strings(tag).map((text) => {
    if (text === '') return null;
    if (vr === 'PN') return personName(text);
    return NUMBER_VRS.has(vr) ? toNumber(text) : text;
  });
}

/** A number; a DS or IS that is not a number stays text, which the model also allows. */
function toNumber(text: string): number | string {
  const number = Number(text);
  return Number.isFinite(number) ? number : text;
}

function personName(text: string): DicomJsonValue {
  const [Alphabetic, Ideographic, Phonetic] = text.split('=');
  const groups = Object.entries({ Alphabetic, Ideographic, Phonetic }).filter(([, group]) => group);
  return groups.length > 0 ? Object.fromEntries(groups) : null;
}
