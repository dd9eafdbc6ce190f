/**
 * Attribute matching of searches (PS3.4 C.2.2.2): single value, list of UIDs, wildcards, ranges, universal. Search
 * values come from anybody, so none of them becomes a regular expression.
 */

import { DATE_RANGE } from '../../../core/src/dicom/date-range.ts';
import { StainError } from '../../../core/src/errors.ts';
import { type DicomJsonElement, valuesOf } from '../dicom/json-model.ts';

const RANGE_VRS = new Set(['DA', 'TM', 'DT']);
const WILDCARD_VRS = new Set(['AE', 'CS', 'LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UR', 'UT']);

/** Maximum length of a search value: a list of UIDs may be long; anything else is shorter than the longest LO or PN. */
const MAX_CHARACTERS = { list: 4096, other: 256 } as const;
/** Maximum number of UIDs in a list. */
const MAX_UIDS = 64;

/**
 * @param vr of the attribute in the dictionary; an element in a file may have another VR
 * @throws REQUEST_INVALID for a value that is longer than any search needs, and for a date that is none
 */
export function requireSensibleValue(name: string, value: string, vr: string | undefined): void {
  const isList = vr === 'UI';
  const maxCharacters = isList ? MAX_CHARACTERS.list : MAX_CHARACTERS.other;
  if (value.length > maxCharacters)
    throw new StainError(
      'REQUEST_INVALID',
      `The value of ${name} has more than ${maxCharacters} characters.`,
    );
  // A date that is none would match nothing, without a word.
  if (vr === 'DA' && !DATE_RANGE.test(value))
    throw new StainError('REQUEST_INVALID', `${name} must be YYYYMMDD, or a range YYYYMMDD-YYYYMMDD.`);
  if (isList && uidsOf(value).length > MAX_UIDS)
    throw new StainError('REQUEST_INVALID', `${name} lists more than ${MAX_UIDS} UIDs.`);
}

/** Whether an element matches the value of a query; one matching value is enough. */
export function matches(element: DicomJsonElement | undefined, wanted: string): boolean {
  if (wanted === '' || wanted === '*') return true;
  const vr = element?.vr ?? 'UN';
  return valuesOf(element)
    .flatMap(textsOf)
    .some((text) => matchesText(text, wanted, vr));
}

function matchesText(text: string, wanted: string, vr: string): boolean {
  if (vr === 'UI') return uidsOf(wanted).includes(text);
  if (RANGE_VRS.has(vr)) return matchesRange(text, wanted, vr);
  if (vr === 'PN') return matchesWildcards(text.toLowerCase(), wanted.toLowerCase());
  if (WILDCARD_VRS.has(vr)) return matchesWildcards(text, wanted);
  return text === wanted || (text.trim() !== '' && Number(text) === Number(wanted));
}

function uidsOf(list: string): string[] {
  return list.replaceAll('\\', ',').split(',');
}

/**
 * `*` matches any number of characters, even none; `?` matches one. If the part after a star does not match, the star
 * takes one more character; earlier stars never have to be revisited. Takes at most (length of text) x (length of
 * pattern) steps.
 */
export function matchesWildcards(text: string, pattern: string): boolean {
  // By code points, so that `?` does not match half a character.
  const [characters, wanted] = [[...text], [...pattern]];
  let [at, next] = [0, 0];
  let star: { readonly next: number; at: number } | undefined;
  while (at < characters.length) {
    if (wanted[next] === '*') {
      star = { next: ++next, at };
    } else if (next < wanted.length && (wanted[next] === '?' || wanted[next] === characters[at])) {
      at++;
      next++;
    } else if (star) {
      at = ++star.at;
      next = star.next;
    } else return false;
  }
  while (wanted[next] === '*') next++;
  return next === wanted.length;
}

/** A time or date is compared at the precision of the bound: `1200-13` includes 13:59:59. */
function matchesRange(text: string, wanted: string, vr: string): boolean {
  const clean = (value: string): string => (vr === 'TM' ? value.replaceAll(':', '') : value);
  const dash = dashOf(wanted, vr);
  if (dash < 0) return clean(text) === clean(wanted);
  const [from, to] = [clean(wanted.slice(0, dash)), clean(wanted.slice(dash + 1))];
  const value = clean(text);
  return (
    (from === '' || value.slice(0, from.length) >= from) && (to === '' || value.slice(0, to.length) <= to)
  );
}

/**
 * Position of the dash that divides a range; -1 without a dash. In a DT the first dash may belong to a time zone:
 * four digits and another dash follow it.
 */
function dashOf(wanted: string, vr: string): number {
  const first = wanted.indexOf('-');
  const isZone = vr === 'DT' && /^-\d{4}-/.test(wanted.slice(first, first + 6));
  return isZone ? first + 5 : first;
}

/** A value as texts; a person's name is matched against each of its component groups. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value === 'number') return [String(value)];
  return Object.values(value ?? {}).filter((group): group is string => typeof group === 'string');
}
