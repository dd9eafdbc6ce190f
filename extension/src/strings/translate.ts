import { en } from './en.ts';
import { formatCount, language } from './language.ts';

export type StringKey = keyof typeof en;

/** What the service says in English itself: faults by their codes with what to do, and notes by theirs. */
type ServiceKey = `fault.${string}` | `note.${string}`;

type Table = Readonly<Partial<Record<StringKey | ServiceKey, string>>>;

/** A site's own words: for every language of the viewer, or for each by its code (de, pt-BR). */
export type OwnStrings = Readonly<Record<string, string | Table>>;

type Values = Readonly<Record<string, string | number>>;

let strings: Readonly<Record<string, string>> = en;

/** Words of a site's own, or of another language; what is missing stays English. */
export function setStrings(own: OwnStrings): void {
  const forAll = Object.entries(own).filter(([, text]) => typeof text === 'string');
  const [base = language] = language.split('-');
  const forLanguage = [base, language].map((code) => own[code]).filter((table) => typeof table === 'object');
  strings = Object.assign({ ...en }, Object.fromEntries(forAll), ...forLanguage);
}

/** The text of a key that may not be there: of a name that somebody else gave. */
export function translateName(group: string, name: string): string {
  return strings[`${group}.${name}`] ?? name;
}

/** The text of a key, with `{name}` replaced by `values.name`. Numbers are written as the viewer's language does. */
export function translate(key: StringKey, values: Values = {}): string {
  return filled(strings[key]!, values, (whole) => whole);
}

/** A site's own words for what the service says, if it has any. A value that is not there is left out. */
export function translateService(key: ServiceKey, values: Values): string | undefined {
  const text = strings[key];
  return text === undefined ? undefined : filled(text, values, () => '').trim();
}

function filled(text: string, values: Values, missing: (whole: string) => string): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) return missing(whole);
    return typeof value === 'number' ? formatCount(value) : value;
  });
}
