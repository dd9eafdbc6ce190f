/** The parameters allowed in DICOMweb requests, by resource, and the syntax of their values. */

import { StainError } from '../../../core/src/errors.ts';
import { isAttribute } from '../dicom/dictionary.ts';

export type Parameter = readonly [name: string, value: string];

const MAX_PARAMETERS = 100;
/** Maximum nesting of sequences in an attribute path. */
const MAX_DEPTH = 8;

const WHOLE_NUMBER = /^\d{0,9}$/;
const BOOLEAN = /^(true|false)?$/i;
const WORDS = /^[\w ,.+-]{0,256}$/;

type Form = RegExp | ((value: string) => boolean);
type Forms = Readonly<Record<string, Form>>;

/** PS3.18 8.3.3. */
const EVERYWHERE: Forms = { accept: /^[ -~]{0,1024}$/, charset: /^[\w.:-]{0,64}$/ };

/** PS3.18 8.3.4. */
const SEARCH: Forms = {
  limit: WHOLE_NUMBER,
  offset: WHOLE_NUMBER,
  fuzzymatching: BOOLEAN,
  emptyvaluematching: BOOLEAN,
  multiplevaluematching: BOOLEAN,
  includefield: isFieldList,
};

/** PS3.18 8.3.5. */
const RENDERED: Forms = {
  annotation: WORDS,
  quality: /^\d{0,3}$/,
  viewport: /^[\d.,-]{0,128}$/,
  window: /^[\w.,-]{0,128}$/,
  iccprofile: /^\w{0,32}$/,
};

/** dcm4chee-arc: order, content and selection of the results. */
const DCM4CHEE: Forms = {
  orderby: WORDS,
  includedefaults: BOOLEAN,
  returnempty: BOOLEAN,
  withoutstudies: BOOLEAN,
  incomplete: BOOLEAN,
  expired: BOOLEAN,
  retrievefailed: BOOLEAN,
  compressionfailed: BOOLEAN,
  allOfModalitiesInStudy: BOOLEAN,
};

/** AWS HealthImaging: which image set, if a series has several. */
const IMAGE_SET: Forms = { imageSetId: /^[0-9a-f]{32}$/ };

const FORMS = {
  search: { ...EVERYWHERE, ...IMAGE_SET, ...DCM4CHEE, ...SEARCH },
  instances: { ...EVERYWHERE, ...IMAGE_SET },
  // Google and dcm4chee omit from metadata what is not requested.
  metadata: { ...EVERYWHERE, ...IMAGE_SET, includefield: isFieldList },
  frames: { ...EVERYWHERE, ...IMAGE_SET },
  rendered: { ...EVERYWHERE, ...RENDERED },
  thumbnail: { ...EVERYWHERE, ...RENDERED },
  bulkdata: EVERYWHERE,
  value: EVERYWHERE,
  store: EVERYWHERE,
} satisfies Readonly<Record<string, Forms>>;

export type ResourceKind = keyof typeof FORMS;

/** @param query without its question mark. @throws TARGET_REFUSED */
export function readParameters(kind: ResourceKind, query: string): Parameter[] {
  const pieces = query.split('&').filter((piece) => piece !== '');
  if (pieces.length > MAX_PARAMETERS) throw refused(`There are more than ${MAX_PARAMETERS} parameters.`);
  return pieces.map((piece) => {
    const equals = piece.indexOf('=');
    const [name, value] = equals < 0 ? [piece, ''] : [piece.slice(0, equals), piece.slice(equals + 1)];
    return readParameter(kind, decode(name), decode(value));
  });
}

function readParameter(kind: ResourceKind, name: string, value: string): Parameter {
  const form = Object.hasOwn(FORMS[kind], name) ? (FORMS[kind] as Forms)[name] : undefined;
  if (form === undefined) {
    // In a search, any other parameter names an attribute to match.
    if (kind === 'search' && isAttributePath(name)) return [name, value];
    throw refused(`This resource has no parameter ${shown(name)}.`);
  }
  if (typeof form === 'function' ? form(value) : form.test(value)) return [name, value];
  throw refused(`The value of ${name} is not valid.`);
}

/** The decoded text of a name or value, without control characters. */
function decode(text: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw refused('A parameter is not percent-encoded UTF-8.');
  }
  if (/\p{Cc}/u.test(decoded)) throw refused('A parameter contains a control character.');
  return decoded;
}

/** Keywords or tags, with dots between a sequence and its content. */
function isAttributePath(text: string): boolean {
  const names = text.split('.');
  return names.length <= MAX_DEPTH && names.every(isAttribute);
}

function isFieldList(value: string): boolean {
  return value
    .split(',')
    .map((field) => field.trim())
    .every((field) => field === '' || field === 'all' || isAttributePath(field));
}

/** A parameter name, if a message may repeat it: only what looks like a name, because the rest may be a value. */
function shown(name: string): string {
  return /^[A-Za-z-]{1,32}$/.test(name) ? `"${name}"` : 'of this name';
}

function refused(message: string): StainError {
  return new StainError('TARGET_REFUSED', message);
}
