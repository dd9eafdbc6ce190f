/**
 * Text for a terminal: file names and headers come from others, and a terminal obeys the control characters in them.
 */

/** Control characters but line breaks, and what changes the direction of text. */
const OBEYED = /[^\P{Cc}\n]|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** The text with such characters as escapes of JavaScript. */
export function terminalText(text: string): string {
  return text.replace(OBEYED, escaped);
}

/** The same for a name, which must not look like further lines of ours. */
export function terminalName(name: string): string {
  return terminalText(name).replaceAll('\n', '\\n');
}

/** A word of a command that people copy into a shell, in quotes if it needs them. */
export function shellWord(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function escaped(character: string): string {
  return `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`;
}
