/**
 * Attribute matching of searches (PS3.4 C.2.2.2): single value, list of UIDs, wildcards, ranges, universal. What is
 * searched for comes from anybody, so nothing here becomes a regular expression.
 */
import type { DicomJsonElement, DicomJsonValue } from '../dicomweb/dicom-json.ts';
import { StainError } from '../errors.ts';

const RANGE_VRS = new Set(['DA', 'TM', 'DT']);
const WILDCARD_VRS = new Set(['AE', 'CS', 'LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UR', 'UT']);

/** Characters of what is searched for: a list of UIDs may be long, anything else is shorter than the longest LO or PN. */
const MOST_CHARACTERS = { list: 4096, other: 256 } as const;
/** UIDs of a list. */
const MOST_UIDS = 64;

/**
 * @param vr of the attribute by the dictionary; the VR of an element that is found may be another one
 * @throws REQUEST_INVALID for a value that is longer than a search needs
 */
export function requireModestValue(name: string, value: string, vr: string | undefined): void {
  const isList = vr === 'UI';
  const most = isList ? MOST_CHARACTERS.list : MOST_CHARACTERS.other;
  if (value.length > most)
    throw new StainError('REQUEST_INVALID', `The value of ${name} has more than ${most} characters.`);
  if (isList && uidsOf(value).length > MOST_UIDS)
    throw new StainError('REQUEST_INVALID', `${name} lists more than ${MOST_UIDS} UIDs.`);
}

/** Whether an element matches the value of a query; any one of its values is enough. */
export function matches(element: DicomJsonElement | undefined, wanted: string): boolean {
  if (wanted === '' || wanted === '*') return true;
  const vr = element?.vr ?? 'UN';
  return (element?.Value ?? []).flatMap(textsOf).some((text) => matchesText(text, wanted, vr));
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
 * `*` stands for any characters, none as well, `?` for one. Where what follows a star does not fit, the star takes one
 * character more; an earlier star never has to be looked at again. At most length of text x length of pattern steps.
 */
export function matchesWildcards(text: string, pattern: string): boolean {
  // By characters: `?` is not half of one.
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

/** A time or date is compared at the precision of the bound: `1200-13` holds 13:59:59. */
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
 * Where the range is divided; -1 where there is none. In a DT the first dash may be that of a time zone: four digits
 * and another dash follow it.
 */
function dashOf(wanted: string, vr: string): number {
  const first = wanted.indexOf('-');
  const isZone = vr === 'DT' && /^-\d{4}-/.test(wanted.slice(first, first + 6));
  return isZone ? first + 5 : first;
}

/** A value as text; a person's name is matched by each of its groups. */
function textsOf(value: DicomJsonValue): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value === 'number') return [String(value)];
  if (value === null) return [];
  return Object.values(value).filter((group): group is string => typeof group === 'string');
}
