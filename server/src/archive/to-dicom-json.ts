/** Data sets as DICOM JSON (PS3.18 annex F). */
import type { DataSet } from '../dicom/dataset.ts';
import { type Element, isSequence } from '../dicom/element.ts';
import type { DicomJson, DicomJsonElement, DicomJsonValue } from '../dicomweb/dicom-json.ts';

/** Where a binary value can be fetched: the path of tags and 0-based item numbers that leads to it. */
export type BulkDataUri = (path: readonly (string | number)[]) => string;

const ICC_PROFILE = '00282000';
const MAX_INLINE_BYTES = 4096;
const BINARY_VRS = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN']);
const NUMBER_VRS = new Set(['DS', 'IS', 'FL', 'FD', 'SL', 'SS', 'SV', 'UL', 'US', 'UV']);

/**
 * ICC profiles and long binary values become BulkDataURIs, the rest InlineBinary. A profile is never inline
 * because dicom-microscopy-viewer applies only those it can fetch.
 * @param bulkDataUri left out: such values are left out too
 */
export function toDicomJson(
  dataset: DataSet,
  bulkDataUri?: BulkDataUri,
  path: readonly (string | number)[] = [],
): DicomJson {
  const json: Record<string, DicomJsonElement> = {};
  for (const element of dataset.elements) {
    if (element.tag.endsWith('0000')) continue; // Group lengths are no part of the model.
    const converted = toElement(dataset, element, bulkDataUri, [...path, element.tag]);
    if (converted) json[element.tag] = converted;
  }
  return json;
}

/** The binary value at a path that `toDicomJson` announced; undefined where there is none. */
export function binaryAt(dataset: DataSet, path: readonly string[]): Uint8Array | undefined {
  const [tag = '', item, ...rest] = path;
  if (!/^[0-9A-F]{8}$/.test(tag)) return undefined;
  if (item === undefined)
    return BINARY_VRS.has(dataset.element(tag)?.vr ?? '') ? dataset.bytes(tag) : undefined;
  const next = /^\d+$/.test(item) ? dataset.items(tag)[Number(item)] : undefined;
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
    const items = element.items.map((item, i) => toDicomJson(item, bulkDataUri, [...path, i]));
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
  // The model is UTF-8 whatever the file is in, and says so.
  if (tag === '00080005') return ['ISO_IR 192'];
  return dataset.strings(tag).map((text) => {
    if (text === '') return null;
    if (vr === 'PN') return personName(text);
    return NUMBER_VRS.has(vr) ? toNumber(text) : text;
  });
}

/** A number; a DS or IS that is none stays text, which the model allows too. */
function toNumber(text: string): number | string {
  const number = Number(text);
  return Number.isFinite(number) ? number : text;
}

function personName(text: string): DicomJsonValue {
  const [Alphabetic, Ideographic, Phonetic] = text.split('=');
  const groups = Object.entries({ Alphabetic, Ideographic, Phonetic }).filter(([, group]) => group);
  return groups.length > 0 ? Object.fromEntries(groups) : null;
}
