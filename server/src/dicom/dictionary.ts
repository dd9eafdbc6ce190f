/** DICOM keywords, tags and value representations, from the dictionary that dcmjs ships. */
import { dictionary } from 'dcmjs/dictionary';
import { StainError } from '../../../core/src/errors.ts';

export interface DictionaryEntry {
  /** Eight upper-case hexadecimal digits, as in the DICOM JSON model. */
  readonly tag: string;
  readonly vr: string;
  readonly keyword: string;
}

/** dcmjs marks elements whose VR depends on the image in lower case (PS3.6 lists both VRs). */
const AMBIGUOUS_VR: Readonly<Record<string, string>> = { xs: 'US', ox: 'OW', lt: 'OW', up: 'UL', na: 'UN' };

const byKeyword = new Map<string, DictionaryEntry>();
const byTag = new Map<string, DictionaryEntry>();
for (const { tag: text, vr, name } of Object.values(dictionary)) {
  const tag = text.replace(/[(),]/g, '').toUpperCase();
  // Repeating groups ("60xx") and private entries have no single tag.
  if (!/^[0-9A-F]{8}$/.test(tag) || !/^[A-Z]\w*$/.test(name)) continue;
  const entry: DictionaryEntry = { tag, vr: AMBIGUOUS_VR[vr] ?? vr, keyword: name };
  byTag.set(tag, entry);
  if (!byKeyword.has(name)) byKeyword.set(name, entry);
}

/** Dictionary entry for a tag; undefined for private and unknown tags. */
export function entryOfTag(tag: string): DictionaryEntry | undefined {
  return byTag.get(tag);
}

/** Tag for a keyword; eight hexadecimal digits already count as a tag. */
export function tagOf(keywordOrTag: string): string {
  const tag = byKeyword.get(keywordOrTag)?.tag ?? keywordOrTag.toUpperCase();
  if (!/^[0-9A-F]{8}$/.test(tag))
    throw new StainError('INTERNAL', `"${keywordOrTag}" is not a DICOM keyword.`);
  return tag;
}

export function entryOfKeyword(keyword: string): DictionaryEntry {
  const entry = byKeyword.get(keyword);
  if (!entry) throw new StainError('INTERNAL', `"${keyword}" is not a DICOM keyword.`);
  return entry;
}

export function keywordOf(tag: string): string | undefined {
  return byTag.get(tag)?.keyword;
}

/** Whether a text names an attribute as queries do: by its keyword, or by its tag in eight hexadecimal digits. */
export function isAttribute(name: string): boolean {
  // dcmjs marks keywords that the standard has retired; archives still use them.
  return /^[0-9A-Fa-f]{8}$/.test(name) || byKeyword.has(name) || byKeyword.has(`RETIRED_${name}`);
}

/** Private elements have an odd group (PS3.5 7.8). */
export function isPrivate(tag: string): boolean {
  return (Number.parseInt(tag.slice(0, 4), 16) & 1) === 1;
}
