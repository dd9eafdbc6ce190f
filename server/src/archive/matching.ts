/** Attribute matching of searches (PS3.4 C.2.2.2): single value, list of UIDs, wildcards, ranges, universal. */
import type { DicomJsonElement, DicomJsonValue } from '../dicomweb/dicom-json.ts';

const RANGE_VRS = new Set(['DA', 'TM', 'DT']);
const WILDCARD_VRS = new Set(['AE', 'CS', 'LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UR', 'UT']);

/** Whether an element matches the value of a query; any one of its values is enough. */
export function matches(element: DicomJsonElement | undefined, wanted: string): boolean {
  if (wanted === '' || wanted === '*') return true;
  const vr = element?.vr ?? 'UN';
  return (element?.Value ?? []).flatMap(textsOf).some((text) => matchesText(text, wanted, vr));
}

function matchesText(text: string, wanted: string, vr: string): boolean {
  if (vr === 'UI') return wanted.split(/[\\,]/).includes(text);
  if (RANGE_VRS.has(vr)) return matchesRange(text, wanted, vr);
  if (vr === 'PN') return wildcard(wanted, 'iu').test(text);
  if (WILDCARD_VRS.has(vr)) return wildcard(wanted, 'u').test(text);
  return text === wanted || (text.trim() !== '' && Number(text) === Number(wanted));
}

/**
 * A time or date is compared at the precision of the bound: `1200-13` holds 13:59:59. The dash of a time zone
 * in a DT has four digits behind it and is not the dash of a range.
 */
function matchesRange(text: string, wanted: string, vr: string): boolean {
  const clean = (value: string): string => (vr === 'TM' ? value.replaceAll(':', '') : value);
  const dash =
    vr === 'DT' ? /^([^-]*(?:-\d{4}(?=-|$)(?=.*-))?)-(.*)$/.exec(wanted) : /^([^-]*)-(.*)$/.exec(wanted);
  if (!dash) return clean(text) === clean(wanted);
  const [from, to] = [clean(dash[1]!), clean(dash[2]!)];
  const value = clean(text);
  return (
    (from === '' || value.slice(0, from.length) >= from) && (to === '' || value.slice(0, to.length) <= to)
  );
}

function wildcard(pattern: string, flags: string): RegExp {
  // Runs of stars are one star: each is a `.*`, and many in a row would be slow to try.
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, `${flags}s`);
}

/** A value as text; a person's name is matched by each of its groups. */
function textsOf(value: DicomJsonValue): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value === 'number') return [String(value)];
  if (value === null) return [];
  return Object.values(value).filter((group): group is string => typeof group === 'string');
}
