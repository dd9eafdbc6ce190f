/** The DICOM JSON model (PS3.18 annex F), as far as this product reads it. */
import { LazyList } from '../../../core/src/lazy-list.ts';

export interface DicomJsonPersonName {
  readonly Alphabetic?: string;
  readonly Ideographic?: string;
  readonly Phonetic?: string;
}

export type DicomJsonValue = string | number | null | DicomJsonPersonName | DicomJson;

export interface DicomJsonElement {
  readonly vr: string;
  /** A long list received over the network is parsed item by item (dicomweb/parse-json.ts). */
  readonly Value?: readonly DicomJsonValue[] | LazyList<DicomJsonValue>;
  /** Base64. */
  readonly InlineBinary?: string;
  readonly BulkDataURI?: string;
}

/** Data elements by tag (eight upper-case hexadecimal digits). */
export interface DicomJson {
  readonly [tag: string]: DicomJsonElement;
}

/** Data sets that have not been validated. */
type Elements = Readonly<Record<string, { readonly Value?: unknown }>>;

/** All values of an element, in memory; empty if it is absent. */
export function valuesOf(element: { readonly Value?: unknown } | undefined): readonly unknown[] {
  return [...listOf(element)];
}

function listOf(element: { readonly Value?: unknown } | undefined): readonly unknown[] | LazyList<unknown> {
  const values = element?.Value;
  // An archive may send a string instead of an array: its characters are not values.
  return Array.isArray(values) || values instanceof LazyList ? values : [];
}

/** First value of an element as text; undefined if it is absent or empty. */
export function textOf(json: Elements, tag: string): string | undefined {
  const value = listOf(json[tag]).at(0);
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' ? value : undefined;
}

/** First value of an element as a number; archives write IS and DS as numbers or as strings. */
export function numberOf(json: DicomJson, tag: string): number | undefined {
  const text = textOf(json, tag);
  return text === undefined || text.trim() === '' || Number.isNaN(Number(text)) ? undefined : Number(text);
}

/** Items of a sequence; empty if it is absent. */
export function itemsOf(json: DicomJson, tag: string): readonly DicomJson[] {
  return valuesOf(json[tag]).filter(
    (value): value is DicomJson => typeof value === 'object' && value !== null,
  );
}

/** Whether a parsed JSON value is an array of data sets; does not check the elements inside. */
export function isDicomJsonArray(value: unknown): value is DicomJson[] {
  return (
    Array.isArray(value) &&
    value.every((item) => typeof item === 'object' && item !== null && !Array.isArray(item))
  );
}
