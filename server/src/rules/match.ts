/** Whether a series matches a rule, from what a search says of it and, where that is silent, from a header. */
import { matches } from '../archive/matching.ts';
import type { DicomJson, DicomJsonElement } from '../dicom/json-model.ts';
import { valuesOf } from '../dicom/json-model.ts';
import type { Rule } from './rule.ts';

/** What a header says of some attributes, by tag; null if it has none. */
export type HeaderFacts = Readonly<Record<string, DicomJsonElement | null>>;

export type Verdict =
  | { readonly isMatch: true }
  /** `differs` is the keyword of the first attribute that does. */
  | { readonly isMatch: false; readonly differs: string }
  /** `missing` are the tags that only a header can tell. */
  | { readonly isMatch: undefined; readonly missing: readonly string[] };

/**
 * Values are compared as in QIDO-RS (PS3.4 C.2.2.2): wildcards, ranges, lists of UIDs. An attribute that differs decides
 * before one that is missing, so that as few headers as possible are read.
 */
export function judge({ match }: Pick<Rule, 'match'>, found: DicomJson, header: HeaderFacts): Verdict {
  const missing: string[] = [];
  for (const { keyword, tag, values } of match) {
    const element = hasValue(found[tag]) ? found[tag] : header[tag];
    if (element === undefined) missing.push(tag);
    else if (!values.some((value) => matches(element ?? undefined, value)))
      return { isMatch: false, differs: keyword };
  }
  return missing.length > 0 ? { isMatch: undefined, missing } : { isMatch: true };
}

function hasValue(element: DicomJsonElement | undefined): boolean {
  return valuesOf(element).some((value) => value !== null && value !== '');
}
