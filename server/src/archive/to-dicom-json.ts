/** Parsed headers as DICOM JSON (PS3.18 annex F). */
import type { DicomJson, DicomJsonElement, DicomJsonValue } from '../dicomweb/dicom-json.ts';
import type { ParsedDataSet, ParsedElement } from './dcmjs.ts';

/** Where a binary value can be fetched: the path of tags and 0-based item numbers that leads to it. */
export type BulkDataUri = (path: readonly (string | number)[]) => string;

const PIXEL_DATA = '7FE00010';
const ICC_PROFILE = '00282000';
const MAX_INLINE_BYTES = 4096;
const NUMBER_VRS = new Set(['DS', 'IS', 'FL', 'FD', 'SL', 'SS', 'SV', 'UL', 'US', 'UV']);

/**
 * Pixel Data, ICC profiles and long binary values become BulkDataURIs, the rest InlineBinary. A profile is never
 * inline because dicom-microscopy-viewer applies only those it can fetch.
 * @param bulkDataUri left out: no bulk data is announced
 */
export function toDicomJson(dataset: ParsedDataSet, bulkDataUri?: BulkDataUri, path: readonly (string | number)[] = []): DicomJson {
  const json: Record<string, DicomJsonElement> = {};
  for (const tag of Object.keys(dataset).sort()) {
    if (tag.endsWith('0000') && tag !== '00000000') continue; // Group lengths are no part of the model.
    const element = tag === PIXEL_DATA ? bulk('OW', bulkDataUri, [...path, tag]) : toElement(dataset[tag]!, tag, bulkDataUri, [...path, tag]);
    if (element) json[tag] = element;
  }
  return json;
}

/** The binary value at a path, as `toDicomJson` announces it; undefined where there is none. */
export function binaryAt(dataset: ParsedDataSet, path: readonly string[]): Uint8Array | undefined {
  const [tag, item, ...rest] = path;
  const values = listOf(dataset[tag ?? '']?.Value);
  if (item === undefined) return values[0] instanceof ArrayBuffer ? new Uint8Array(values[0]) : undefined;
  const next = /^\d+$/.test(item) ? values[Number(item)] : undefined;
  return isItem(next) ? binaryAt(next, rest) : undefined;
}

function toElement(element: ParsedElement, tag: string, bulkDataUri: BulkDataUri | undefined, path: readonly (string | number)[]): DicomJsonElement | undefined {
  const vr = element.vr ?? 'UN';
  const values = listOf(element.Value);
  if (vr === 'SQ') {
    const items = values.filter(isItem).map((item, i) => toDicomJson(item, bulkDataUri, [...path, i]));
    return items.length > 0 ? { vr, Value: items } : { vr };
  }
  if (values.some((value) => value instanceof ArrayBuffer)) {
    const bytes = Buffer.concat(values.filter((value) => value instanceof ArrayBuffer).map((value) => Buffer.from(value)));
    if (bytes.length === 0) return { vr };
    return tag === ICC_PROFILE || bytes.length > MAX_INLINE_BYTES ? bulk(vr, bulkDataUri, path) : { vr, InlineBinary: bytes.toString('base64') };
  }
  const converted = values.map((value) => toValue(value, vr));
  return converted.every((value) => value === null) ? { vr } : { vr, Value: converted };
}

function bulk(vr: string, bulkDataUri: BulkDataUri | undefined, path: readonly (string | number)[]): DicomJsonElement | undefined {
  return bulkDataUri && { vr, BulkDataURI: bulkDataUri(path) };
}

function toValue(value: unknown, vr: string): DicomJsonValue {
  if (value === null || value === undefined || value === '') return null;
  if (vr === 'AT' && typeof value === 'number') return value.toString(16).toUpperCase().padStart(8, '0');
  if (vr === 'PN') return typeof value === 'string' ? { Alphabetic: value } : personName(value);
  if (NUMBER_VRS.has(vr)) return toNumber(value);
  return typeof value === 'string' ? value : String(value);
}

/** A number; a DS or IS that is none stays text, which the model allows too. */
function toNumber(value: unknown): DicomJsonValue {
  const number = Number(value);
  return Number.isFinite(number) ? number : String(value);
}

function personName(value: unknown): DicomJsonValue {
  const { Alphabetic, Ideographic, Phonetic } = value as Record<string, string | undefined>;
  const groups = Object.entries({ Alphabetic, Ideographic, Phonetic }).filter(([, text]) => text);
  return groups.length > 0 ? Object.fromEntries(groups) : null;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
}

function isItem(value: unknown): value is ParsedDataSet {
  return typeof value === 'object' && value !== null && !(value instanceof ArrayBuffer);
}
