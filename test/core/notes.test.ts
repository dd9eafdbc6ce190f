/** Notes: sentences in headers and records, codes and data for whoever words them in another language. */
import { expect, test } from 'vitest';
import { NOTE_TABLE, type NoteCode, type NoteData, noteOf, noteText } from '../../core/src/notes.ts';

/** A value of each kind that occurs. */
const DATA: NoteData = {
  reason: 'frame 1 of instance 1.2.3 (jpeg) is {cut} off\nin line 2.',
  columns: 1024,
  rows: 768,
  density: 0.07,
  share: 0.12,
  stains: 'periodic acid-Schiff (PAS), DAB',
  class: 'dark nuclei',
  other: 'stroma, cytoplasm and erythrocytes',
};

test.each(Object.keys(NOTE_TABLE) as NoteCode[])('%s is read back from its sentence', (code) => {
  const names = [...NOTE_TABLE[code].matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  const data = Object.fromEntries(names.map((name) => [name, DATA[name]!]));
  const message = noteText(code, data);
  expect(message).not.toMatch(/undefined|NaN/);
  expect(noteOf(message)).toEqual({ code, message, data });
});

test('what the table does not have keeps its words', () => {
  for (const message of ['', 'Pale.', '12 % of the tissue is pale.', `${noteText('NO_EOSIN')} More.`])
    expect(noteOf(message)).toEqual({ code: 'OTHER', message, data: {} });
});

test('sentences are those that headers of version 0.9.0 have', () => {
  expect(noteText('SLIDE_FAINT', { density: 0.1 })).toBe(
    'The slide is faint: its tissue is 0.10 denser than the glass.',
  );
  expect(noteText('TISSUE_BROWN', { share: 0.256 })).toBe(
    '26 % of the tissue is brown or yellow (as DAB, picric acid).',
  );
  expect(noteText('CLASS_MOVED_WITH_ANOTHER', { class: 'pale nuclei', other: 'dark nuclei' })).toBe(
    'The class "pale nuclei" is nearly absent here or in the template; its pixels move with the class "dark nuclei".',
  );
});
