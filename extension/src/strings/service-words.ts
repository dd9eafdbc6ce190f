/**
 * What the service says in English, in the words of the viewer's language where a site has given them: by code and data.
 * Codes that are not known here keep the service's words.
 */
import { type Note, noteOf } from '../../../core/src/notes.ts';
import type { UserError } from '../state.ts';
import { formatDecimal, formatPercent } from './language.ts';
import { translateName, translateService } from './translate.ts';

/** A fault as an answer of the service or a job brings it. */
export interface ServiceFault {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
  readonly data?: Readonly<Record<string, unknown>> | undefined;
}

export function wordNote({ code, message, data }: Note): string {
  const values = Object.entries(data).map(([name, value]) => [name, wordDatum(name, value)]);
  return translateService(`note.${code}`, Object.fromEntries(values)) ?? message;
}

function wordDatum(name: string, value: string | number): string | number {
  if (typeof value === 'string') return translateName('class', value);
  if (name === 'share') return formatPercent(value);
  return name === 'density' ? formatDecimal(value, 2) : value;
}

export function wordFault({ code, message, remedy, data = {} }: ServiceFault): UserError {
  const values = { message, ...wordData(data) };
  const own = translateService(`fault.${code}`, values);
  return {
    code,
    message: own ?? message,
    remedy: translateService(`fault.${code}.remedy`, values) ?? remedy,
    ...(own !== undefined && { said: message }),
  };
}

/** Reasons are notes; what no sentence can hold is left out. */
function wordData(data: Readonly<Record<string, unknown>>): Record<string, string | number> {
  const words = Object.entries(data).flatMap(([name, value]): [string, string | number][] => {
    if (typeof value === 'string' || typeof value === 'number') return [[name, value]];
    if (!Array.isArray(value) || !value.every((one) => typeof one === 'string')) return [];
    return [
      [name, name === 'reasons' ? value.map((one) => wordNote(noteOf(one))).join(' ') : value.join(', ')],
    ];
  });
  return Object.fromEntries(words);
}
