/** The DICOM JSON model (PS3.18 annex F), as far as this product reads it. */

export interface DicomJsonPersonName {
  readonly Alphabetic?: string;
  readonly Ideographic?: string;
  readonly Phonetic?: string;
}

export type DicomJsonValue = string | number | null | DicomJsonPersonName | DicomJson;

export interface DicomJsonElement {
  readonly vr: string;
  readonly Value?: readonly DicomJsonValue[];
  /** Base64. */
  readonly InlineBinary?: string;
  readonly BulkDataURI?: string;
}

/** Data elements by tag, eight upper case hexadecimal digits. */
export interface DicomJson {
  readonly [tag: string]: DicomJsonElement;
}

/** First value of an element as text; undefined where it is absent or empty. */
export function textOf(json: DicomJson, tag: string): string | undefined {
  const values: unknown = json[tag]?.Value;
  // An archive may send text in place of the list: its first letter is no value.
  const value: unknown = Array.isArray(values) ? values[0] : undefined;
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' ? value : undefined;
}

/** First value of an element as a number; archives write IS and DS as numbers or as strings. */
export function numberOf(json: DicomJson, tag: string): number | undefined {
  const text = textOf(json, tag);
  return text === undefined || text.trim() === '' || Number.isNaN(Number(text)) ? undefined : Number(text);
}

/** Items of a sequence; empty where it is absent. */
export function itemsOf(json: DicomJson, tag: string): readonly DicomJson[] {
  const values: unknown = json[tag]?.Value;
  if (!Array.isArray(values)) return [];
  return values.filter((value): value is DicomJson => typeof value === 'object' && value !== null);
}

/** Whether something parsed from JSON is an array of data sets; says nothing of the elements inside. */
export function isDicomJsonArray(value: unknown): value is DicomJson[] {
  return (
    Array.isArray(value) &&
    value.every((item) => typeof item === 'object' && item !== null && !Array.isArray(item))
  );
}
