/** What the service says in English, in the words of a site where it has some. */
import { afterEach, expect, test } from 'vitest';
import { noteOf, noteText } from '../../core/src/notes.ts';
import { wordFault, wordNote } from '../../extension/src/strings/service-words.ts';
import { setStrings, translate } from '../../extension/src/strings/translate.ts';

afterEach(() => setStrings({}));

const notHe = {
  code: 'STAIN_NOT_HE',
  message: 'The slide does not look like H&E. Hardly anything is pink: no eosin was found.',
  remedy: 'Only slides stained with haematoxylin and eosin are normalised.',
  data: { seen: 'pixels', score: 0.9, reasons: [noteText('NO_EOSIN')] },
};

test('without words of a site the service’s own stand', () => {
  const { code, message, remedy } = notHe;
  expect(wordFault(notHe)).toEqual({ code, message, remedy });
  expect(wordNote(noteOf('Something new.'))).toBe('Something new.');
});

test('notes and faults are worded by code and data, in the viewer’s numbers', () => {
  setStrings({
    'note.NO_EOSIN': 'Kein Eosin.',
    'note.SLIDE_FAINT': 'Blass: {density}.',
    'note.TISSUE_BLUE': '{share} sind blau.',
    'note.CLASS_LEFT_ALONE': 'Klasse {class}.',
    'class.dark nuclei': 'dunkle Kerne',
    'fault.STAIN_NOT_HE': 'Keine HE-Färbung. {reasons} {stains}',
    'fault.STAIN_NOT_HE.remedy': 'Andere Färbung.',
  });
  expect(wordNote(noteOf(noteText('SLIDE_FAINT', { density: 0.1 })))).toBe('Blass: 0.10.');
  expect(wordNote(noteOf(noteText('TISSUE_BLUE', { share: 0.26 })))).toBe('26% sind blau.');
  expect(wordNote(noteOf(noteText('CLASS_LEFT_ALONE', { class: 'dark nuclei' })))).toBe(
    'Klasse dunkle Kerne.',
  );
  expect(wordFault(notHe)).toEqual({
    code: 'STAIN_NOT_HE',
    message: 'Keine HE-Färbung. Kein Eosin.',
    remedy: 'Andere Färbung.',
    said: notHe.message,
  });
});

test('a table for one language counts in that language alone', () => {
  setStrings({
    'panel.title': 'For all',
    en: { 'toolbar.normalize': 'English' },
    de: { 'toolbar.normalize': 'Deutsch', 'panel.title': 'Nur deutsch' },
  });
  expect([translate('panel.title'), translate('toolbar.normalize')]).toEqual(['For all', 'English']);
});

test('numbers are those of the viewer’s language', () => {
  expect(translate('panel.size', { columns: 20000, rows: 3000 })).toBe('20,000 × 3,000 pixels');
});
