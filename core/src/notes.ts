/**
 * Every note about a slide and its result, in one table: its stable code, and the sentence. Derived headers, and the
 * records of earlier versions, hold the sentence alone, so that it can be read without this table. `noteOf` finds the
 * code and data of a sentence. The sentences determine headers: PIPELINE_VERSION must change with them.
 */

export const NOTE_TABLE = {
  // The slide
  THUMBNAIL_LEFT_OUT: 'The thumbnail was left out: {reason}',
  ICC_PROFILE_IGNORED: 'The ICC profile of the source is damaged and was ignored, as configured.',
  LEVEL_MADE_OF_BASE:
    'The image of {columns} x {rows} pixels does not match the base level, so it was made from the base level.',
  GLASS_LEVEL_UNTRUE:
    'A small level of the slide shows glass where its base level has tissue, so every tile was examined.',
  SLIDE_FAINT:
    'The slide is faint: the optical density of its tissue is only {density} above that of the glass.',
  // Of the command line alone, which may meet a slide that is still arriving; in no header
  FINEST_LEVEL_RESAMPLED: 'The finest level of the slide is resampled: its base level may be missing.',
  // Whether it is H&E
  FOREIGN_COLOUR:
    '{share} of the tissue has a colour that haematoxylin and eosin do not produce (ink, or another stain).',
  TISSUE_BROWN: '{share} of the tissue is brown or yellow (such as DAB, picric acid).',
  TISSUE_ORANGE: '{share} of the tissue is orange or brick red (such as AEC, Ponceau, Congo red).',
  TISSUE_BLUE: '{share} of the tissue is blue (such as aniline blue, Alcian blue, methylene blue).',
  TISSUE_GREEN: '{share} of the tissue is green (such as methyl green, light green).',
  TISSUE_GREY: '{share} of the tissue is grey or black (such as silver, or a pale counterstain).',
  TISSUE_MAGENTA: '{share} of the tissue is magenta (such as periodic acid-Schiff).',
  NO_EOSIN: 'Hardly anything is pink: no eosin was found.',
  NO_HAEMATOXYLIN: 'Nuclei are not blue or violet: no haematoxylin was found.',
  COLOURS_NOT_HE: 'The colours of the nuclei and of the tissue between them do not look like H&E.',
  EOSIN_ALONE: 'Nothing has the colour of haematoxylin, so anything dense gets the colour of nuclei.',
  PERHAPS_NOT_HE: 'This may not be an H&E slide.',
  NOT_HE_BY_HEADER:
    'The slide is not H&E (its header names {stains}). It was normalised because the request allowed any stain; its colours have no meaning.',
  NOT_HE_BY_PIXELS:
    'The slide is not H&E (its pixels show another stain). It was normalised because the request allowed any stain; its colours have no meaning.',
  // Safeguards of the transfer
  NUCLEI_ABSENT: 'Nuclei are nearly absent from the slide or the template, so their colour was ignored.',
  STROMA_ABSENT:
    'Stroma and cytoplasm are nearly absent from the slide or the template, so their colour was ignored.',
  NO_COMMON_CLASS: 'No tissue class occurs in both the slide and the template, so the colours are unchanged.',
  CLASS_MOVED_WITH_ANOTHER:
    'The class "{class}" is nearly absent from the slide or the template, so its pixels are mapped like the class "{other}".',
  CLASS_LEFT_ALONE:
    'The class "{class}" is nearly absent from the slide or the template, so its pixels are unchanged.',
} as const;

export type NoteCode = keyof typeof NOTE_TABLE;

/** The sentences that pipeline versions up to 3 wrote instead, which headers and records still hold. */
export const FORMER_SENTENCES: Readonly<Partial<Record<NoteCode, string>>> = {
  THUMBNAIL_LEFT_OUT: 'The thumbnail is left out: {reason}',
  LEVEL_MADE_OF_BASE:
    'The image of {columns} x {rows} pixels does not show what the base level shows: it was made of the base level.',
  GLASS_LEVEL_UNTRUE:
    'A small level of the slide shows glass where its base level has tissue: every tile was looked at.',
  SLIDE_FAINT: 'The slide is faint: its tissue is {density} denser than the glass.',
  FOREIGN_COLOUR:
    '{share} of the tissue has a colour that haematoxylin and eosin do not give (ink, or another stain).',
  TISSUE_BROWN: '{share} of the tissue is brown or yellow (as DAB, picric acid).',
  TISSUE_ORANGE: '{share} of the tissue is orange or brick red (as AEC, Ponceau, Congo red).',
  TISSUE_BLUE: '{share} of the tissue is blue (as aniline blue, Alcian blue, methylene blue).',
  TISSUE_GREEN: '{share} of the tissue is green (as methyl green, light green).',
  TISSUE_GREY: '{share} of the tissue is grey or black (as silver, or a pale counterstain).',
  TISSUE_MAGENTA: '{share} of the tissue is magenta (as periodic acid-Schiff).',
  NO_EOSIN: 'Hardly anything is pink: no eosin is seen.',
  NO_HAEMATOXYLIN: 'Nuclei are not blue or violet: no haematoxylin is seen.',
  COLOURS_NOT_HE: 'The colours of nuclei and of what lies between them are not those of H&E together.',
  EOSIN_ALONE:
    'Nothing has the colour of haematoxylin: what is dense gets the colour of nuclei, whatever it is.',
  PERHAPS_NOT_HE: 'Is this an H&E slide?',
  NOT_HE_BY_HEADER:
    'The slide is not H&E (its header names {stains}) and was normalised because the request allows any stain: its colours mean nothing.',
  NOT_HE_BY_PIXELS:
    'The slide is not H&E (its pixels show another stain) and was normalised because the request allows any stain: its colours mean nothing.',
  NUCLEI_ABSENT: 'Nuclei are nearly absent here or in the template: their colour had no say in the change.',
  STROMA_ABSENT:
    'Stroma and cytoplasm are nearly absent here or in the template: their colour had no say in the change.',
  NO_COMMON_CLASS: 'No class of tissue occurs both here and in the template: the colours stay as they are.',
  CLASS_MOVED_WITH_ANOTHER:
    'The class "{class}" is nearly absent here or in the template; its pixels move with the class "{other}".',
  CLASS_LEFT_ALONE:
    'The class "{class}" is nearly absent here or in the template; its pixels stay as they are.',
};

/** By the names in braces. `share` is a fraction, `density` an optical density, `columns` and `rows` are pixels. */
export type NoteData = Readonly<Record<string, string | number>>;

export interface Note {
  /** A NoteCode; OTHER for a sentence that this version does not know. */
  readonly code: string;
  /** The sentence, in English. */
  readonly message: string;
  readonly data: NoteData;
}

interface Form {
  readonly pattern: string;
  write(value: number): string;
  read(text: string): number;
}

/** The format of numbers in a sentence; everything else is text. */
const FORMS: Readonly<Record<string, Form>> = {
  share: {
    pattern: '\\d+ %',
    write: (share) => `${(100 * share).toFixed(0)} %`,
    read: (text) => Number.parseInt(text, 10) / 100,
  },
  density: { pattern: '-?\\d+\\.\\d\\d', write: (density) => density.toFixed(2), read: Number },
  columns: { pattern: '\\d+', write: String, read: Number },
  rows: { pattern: '\\d+', write: String, read: Number },
};

const PLACEHOLDER = /\{(\w+)\}/g;

/** The sentence of a note. */
export function noteText(code: NoteCode, data: NoteData = {}): string {
  return NOTE_TABLE[code].replace(PLACEHOLDER, (_, name: string) =>
    FORMS[name] ? FORMS[name].write(Number(data[name])) : String(data[name]),
  );
}

interface Reader {
  readonly code: NoteCode;
  readonly sentence: RegExp;
}

let readers: readonly Reader[] | undefined;

/** The code and data of a sentence of this version or an earlier one. */
export function noteOf(message: string): Note {
  readers ??= [NOTE_TABLE, FORMER_SENTENCES].flatMap((table) =>
    Object.entries(table).map(([code, sentence]) => readerOf(code as NoteCode, sentence)),
  );
  for (const { code, sentence } of readers) {
    const found = sentence.exec(message);
    if (!found) continue;
    const data = Object.entries(found.groups ?? {}).map(([name, text]) => [
      name,
      FORMS[name] ? FORMS[name].read(text) : text,
    ]);
    return { code, message, data: Object.fromEntries(data) };
  }
  return { code: 'OTHER', message, data: {} };
}

function readerOf(code: NoteCode, sentence: string): Reader {
  // Text and names alternate.
  const parts = sentence.split(PLACEHOLDER);
  const pattern = parts.map((part, i) =>
    i % 2 === 0 ? escaped(part) : `(?<${part}>${FORMS[part]?.pattern ?? '.+'})`,
  );
  return { code, sentence: new RegExp(`^${pattern.join('')}$`, 's') };
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}
