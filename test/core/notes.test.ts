/** Notes: sentences in headers and records, codes and data for whoever words them in another language. */
import { expect, test } from 'vitest';
import {
  FORMER_SENTENCES,
  NOTE_TABLE,
  type NoteCode,
  type NoteData,
  noteOf,
  noteText,
} from '../../core/src/notes.ts';

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

test('an unknown sentence keeps its words', () => {
  for (const message of ['', 'Pale.', '12 % of the tissue is pale.', `${noteText('NO_EOSIN')} More.`])
    expect(noteOf(message)).toEqual({ code: 'OTHER', message, data: {} });
});

test.each(Object.entries(FORMER_SENTENCES))(
  '%s is read from the sentence of an earlier version',
  (code, sentence) => {
    const names = [...sentence.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
    const written: NoteData = { ...DATA, density: '0.07', share: '12 %' };
    const message = sentence.replace(/\{(\w+)\}/g, (_, name: string) => String(written[name]));
    const data = Object.fromEntries(names.map((name) => [name, DATA[name]!]));
    expect(noteOf(message)).toEqual({ code, message, data });
  },
);

test('sentences of version 0.9.0 keep their codes', () => {
  expect(noteOf('The slide is faint: its tissue is 0.10 denser than the glass.')).toMatchObject({
    code: 'SLIDE_FAINT',
    data: { density: 0.1 },
  });
  expect(noteOf('26 % of the tissue is brown or yellow (as DAB, picric acid).')).toMatchObject({
    code: 'TISSUE_BROWN',
    data: { share: 0.26 },
  });
  expect(
    noteOf(
      'The class "pale nuclei" is nearly absent here or in the template; its pixels move with the class "dark nuclei".',
    ),
  ).toMatchObject({ code: 'CLASS_MOVED_WITH_ANOTHER', data: { class: 'pale nuclei', other: 'dark nuclei' } });
});
