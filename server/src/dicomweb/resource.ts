/**
 * Targets of DICOMweb requests (PS3.18 section 10): parsed into a resource and its parameters, and rebuilt from them.
 * Only what was parsed passes a boundary, never the original text, because two parsers may read the same text as two
 * different URLs (`#`, dot segments, encoded slashes, the absolute form).
 */

import { StainError } from '../../../core/src/errors.ts';
import { isUid } from '../dicom/uid.ts';
import { type Parameter, readParameters } from './query-parameters.ts';
import { queryText } from './query-text.ts';

export type Level = 'studies' | 'series' | 'instances';

interface InStudy {
  readonly study: string;
  readonly series?: string;
  /** Only together with a series. */
  readonly instance?: string;
}

type OneInstance = Required<InStudy>;

export type DicomWebResource =
  | ({ readonly kind: 'search'; readonly level: Level } & Partial<InStudy>)
  /** All instances of a study or series, or one instance. */
  | ({ readonly kind: 'instances' | 'metadata' } & InStudy)
  /** `frames` only for a single instance. */
  | ({ readonly kind: 'rendered' | 'thumbnail'; readonly frames?: readonly number[] } & InStudy)
  | ({ readonly kind: 'frames'; readonly frames: readonly number[] } & OneInstance)
  /** A URL of the archive that was signed here (bulk-data-address.ts). */
  | { readonly kind: 'bulkdata'; readonly token: string }
  /** Tags and item numbers that lead to a binary value: the bulk data URLs of the embedded archive. */
  | ({ readonly kind: 'value'; readonly path: readonly string[] } & OneInstance)
  /** STOW-RS. */
  | { readonly kind: 'store'; readonly study?: string };

export interface DicomWebTarget {
  readonly resource: DicomWebResource;
  readonly parameters: readonly Parameter[];
}

/** Half of what Node accepts as the whole header. */
const MAX_TARGET_LENGTH = 8192;
/** More do not fit into the URLs that archives accept. */
const MAX_FRAMES = 1000;
/** Number of Frames is an IS: the maximum is 2^31 - 1. */
const MAX_FRAME_NUMBER = 2 ** 31 - 1;
/** Nested sequences have a tag and an item number each; then follows the last tag. */
const MAX_VALUE_PATH = 17;

const READING = ['GET', 'HEAD'];
const LEVELS: readonly string[] = ['studies', 'series', 'instances'] satisfies Level[];
/** Two parts in base64url, the second a SHA-256. */
const TOKEN = /^[\w-]+\.[\w-]{43}$/;

/**
 * @param target as in the request line, relative to the root of the archive: `/studies?limit=1`
 * @throws TARGET_REFUSED if it is not a DICOMweb resource or has an unknown parameter
 */
export function parseTarget(method: string, target: string): DicomWebTarget {
  if (target.length > MAX_TARGET_LENGTH) throw refused(`is longer than ${MAX_TARGET_LENGTH} characters`);
  if (!/^\/[!-~]*$/.test(target) || /[#\\]/.test(target))
    throw refused('is not a path with a query in printable ASCII (RFC 9112 section 3.2.1)');
  const mark = target.indexOf('?');
  const [path, query] = mark < 0 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)];
  const found = readPath(path.slice(1).split('/'));
  const resource = method === 'POST' ? toStore(found) : READING.includes(method) ? found : undefined;
  if (!resource) throw refused('does not support this method: only reading and STOW-RS are possible here');
  return { resource, parameters: readParameters(resource.kind, query) };
}

/** The methods of a readable resource, for `Allow`. */
export function methodsOf(resource: DicomWebResource): string[] {
  return [...READING, 'OPTIONS', ...(toStore(resource) ? ['POST'] : [])];
}

/** A target with the same meaning for `parseTarget`, with canonical percent-encoding. */
export function targetOf({ resource, parameters }: DicomWebTarget): string {
  const query = queryText(parameters);
  return `/${pathOf(resource).join('/')}${query && `?${query}`}`;
}

/** Path segments below the root. None of them needs encoding. */
function pathOf(resource: DicomWebResource): string[] {
  if (resource.kind === 'bulkdata') return ['bulkdata', resource.token];
  const within = pathWithin(resource);
  switch (resource.kind) {
    case 'search':
      return [...within, resource.level];
    case 'store':
      return within.length > 0 ? within : ['studies'];
    case 'instances':
      return within;
    case 'metadata':
      return [...within, 'metadata'];
    case 'frames':
      return [...within, 'frames', resource.frames.join(',')];
    case 'rendered':
    case 'thumbnail':
      return [...within, ...(resource.frames ? ['frames', resource.frames.join(',')] : []), resource.kind];
    case 'value':
      return [...within, 'bulkdata', ...resource.path];
  }
}

function pathWithin({ study, series, instance }: Partial<InStudy>): string[] {
  return [
    ...(study === undefined ? [] : ['studies', study]),
    ...(series === undefined ? [] : ['series', series]),
    ...(instance === undefined ? [] : ['instances', instance]),
  ];
}

function readPath([first = '', ...rest]: readonly string[]): DicomWebResource {
  if (isLevel(first) && rest.length === 0) return { kind: 'search', level: first };
  const [second = '', ...below] = rest;
  if (first === 'bulkdata' && below.length === 0 && TOKEN.test(second))
    return { kind: 'bulkdata', token: second };
  if (first !== 'studies') throw unknownResource();
  return readWithin({ study: readUid(second) }, below);
}

/** @param path what follows the UIDs */
function readWithin(within: InStudy, path: readonly string[]): DicomWebResource {
  const [name, ...rest] = path;
  const { study, series, instance } = within;
  if (name === undefined) return { kind: 'instances', ...within };
  if ((name === 'metadata' || name === 'rendered' || name === 'thumbnail') && rest.length === 0)
    return { kind: name, ...within };
  if (series !== undefined && instance !== undefined)
    return readInInstance({ study, series, instance }, name, rest);
  if (name === 'instances' && rest.length === 0) return { kind: 'search', level: name, ...within };
  const [uid = '', ...below] = rest;
  if (series !== undefined && name === 'instances')
    return readWithin({ ...within, instance: readUid(uid) }, below);
  if (series !== undefined || name !== 'series') throw unknownResource();
  if (rest.length === 0) return { kind: 'search', level: name, ...within };
  return readWithin({ ...within, series: readUid(uid) }, below);
}

function readInInstance(within: OneInstance, name: string, rest: readonly string[]): DicomWebResource {
  if (name === 'bulkdata' && isValuePath(rest)) return { kind: 'value', ...within, path: rest };
  const [list, as, ...more] = rest;
  if (name !== 'frames' || list === undefined || more.length > 0) throw unknownResource();
  const frames = readFrames(list);
  if (as === undefined) return { kind: 'frames', ...within, frames };
  if (as !== 'rendered' && as !== 'thumbnail') throw unknownResource();
  return { kind: as, ...within, frames };
}

/** The resource to which a POST to a readable URL stores; undefined for other URLs. */
function toStore(resource: DicomWebResource): DicomWebResource | undefined {
  if (resource.kind === 'search' && resource.level === 'studies') return { kind: 'store' };
  if (resource.kind === 'instances' && resource.series === undefined)
    return { kind: 'store', study: resource.study };
  return undefined;
}

function readUid(text: string): string {
  if (!isUid(text)) throw refused('has something other than a UID where one is required');
  return text;
}

/** Some clients encode the comma, although that is not necessary. */
function readFrames(list: string): number[] {
  const texts = list.split(/,|%2c/i);
  const numbers = texts.map((text) => (/^[1-9]\d{0,9}$/.test(text) ? Number(text) : Number.NaN));
  if (texts.length > MAX_FRAMES || !numbers.every((number) => number <= MAX_FRAME_NUMBER))
    throw refused(`must list frames as at most ${MAX_FRAMES} positive integers`);
  return numbers;
}

/** `00480105/0/00282000` */
function isValuePath(path: readonly string[]): boolean {
  return (
    path.length % 2 === 1 &&
    path.length <= MAX_VALUE_PATH &&
    path.every((segment, i) => (i % 2 === 0 ? /^[0-9A-F]{8}$/ : /^\d{1,9}$/).test(segment))
  );
}

function isLevel(text: string): text is Level {
  return LEVELS.includes(text);
}

function unknownResource(): StainError {
  return refused('is not a DICOMweb resource available here');
}

/** The message does not repeat the URL, which may name a patient. */
function refused(why: string): StainError {
  return new StainError('TARGET_REFUSED', `The address of the request ${why}.`);
}
