import { en } from './en.ts';

export type StringKey = keyof typeof en;

let strings: Record<StringKey, string> = en;

/** Words of a site's own, or of another language; what is missing stays English. */
export function setStrings(own: Partial<Record<StringKey, string>>): void {
  strings = { ...en, ...own };
}

/** The text of a key, with `{name}` replaced by `values.name`. */
export function translate(key: StringKey, values: Readonly<Record<string, string | number>> = {}): string {
  return strings[key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
