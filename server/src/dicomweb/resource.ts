/**
 * Targets of DICOMweb requests (PS3.18 section 10): parsed into a resource and its parameters, and written anew from
 * them. What passes a border is what was understood, never the text that came in: two readers of one text may see two
 * addresses in it (`#`, dot segments, encoded slashes, the absolute form).
 */
import { isUid } from '../dicom/uid.ts';
import { StainError } from '../errors.ts';
import { type Parameter, readParameters } from './query-parameters.ts';

export type Level = 'studies' | 'series' | 'instances';

interface InStudy {
  readonly study: string;
  readonly series?: string;
  /** Only within a series. */
  readonly instance?: string;
}

type OneInstance = Required<InStudy>;

export type DicomWebResource =
  | ({ readonly kind: 'search'; readonly level: Level } & Partial<InStudy>)
  /** All instances of a study or series, or one instance. */
  | ({ readonly kind: 'instances' | 'metadata' } & InStudy)
  /** `frames` only of one instance. */
  | ({ readonly kind: 'rendered' | 'thumbnail'; readonly frames?: readonly number[] } & InStudy)
  | ({ readonly kind: 'frames'; readonly frames: readonly number[] } & OneInstance)
  /** An address of the archive that was signed here (bulk-data-address.ts). */
  | { readonly kind: 'bulkdata'; readonly token: string }
  /** Tags and item numbers that lead to a binary value: the bulk data addresses of the embedded archive. */
  | ({ readonly kind: 'value'; readonly path: readonly string[] } & OneInstance)
  /** STOW-RS. */
  | { readonly kind: 'store'; readonly study?: string };

export type ResourceKind = DicomWebResource['kind'];

export interface DicomWebTarget {
  readonly resource: DicomWebResource;
  readonly parameters: readonly Parameter[];
}

/** Half of what Node takes as a whole header. */
const MAX_TARGET_LENGTH = 8192;
/** More do not fit into the addresses that archives take. */
const MAX_FRAMES = 1000;
/** Number of Frames is an IS: at most 2^31 - 1. */
const MAX_FRAME_NUMBER = 2 ** 31 - 1;
/** Sequences within sequences: a tag and an item number each, and the last tag. */
const MAX_VALUE_PATH = 17;

const READING = ['GET', 'HEAD'];
const LEVELS: readonly string[] = ['studies', 'series', 'instances'] satisfies Level[];
/** Two parts in base64url, the second a SHA-256. */
const TOKEN = /^[\w-]+\.[\w-]{43}$/;

/**
 * @param target as it stands in the request line, from the root of the archive on: `/studies?limit=1`
 * @throws TARGET_REFUSED for whatever is no resource of DICOMweb or has a parameter that is not known
 */
export function parseTarget(method: string, target: string): DicomWebTarget {
  if (target.length > MAX_TARGET_LENGTH) throw refused(`is longer than ${MAX_TARGET_LENGTH} characters`);
  if (!/^\/[!-~]*$/.test(target) || /[#\\]/.test(target))
    throw refused('is no path with a query in printable ASCII (RFC 9112 section 3.2.1)');
  const mark = target.indexOf('?');
  const [path, query] = mark < 0 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)];
  const found = readPath(path.slice(1).split('/'));
  const resource = method === 'POST' ? toStore(found) : READING.includes(method) ? found : undefined;
  if (!resource) throw refused('cannot be asked for in this way: only reading and STOW-RS go through here');
  return { resource, parameters: readParameters(resource.kind, query) };
}

/** The methods of a resource that can be read, for `Allow`. */
export function methodsOf(resource: DicomWebResource): string[] {
  return [...READING, 'OPTIONS', ...(toStore(resource) ? ['POST'] : [])];
}

/** A target for `parseTarget` that has the same meaning, percent-encoded in one way. */
export function targetOf({ resource, parameters }: DicomWebTarget): string {
  const query = parameters.map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
  return `/${pathOf(resource).join('/')}${query && `?${query}`}`;
}

/** Segments below the root. They hold nothing that would have to be encoded. */
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

/** The resource that a POST to an address that can be read stores to; undefined where there is none. */
function toStore(resource: DicomWebResource): DicomWebResource | undefined {
  if (resource.kind === 'search' && resource.level === 'studies') return { kind: 'store' };
  if (resource.kind === 'instances' && resource.series === undefined)
    return { kind: 'store', study: resource.study };
  return undefined;
}

function readUid(text: string): string {
  if (!isUid(text)) throw refused('holds something else where a UID belongs');
  return text;
}

/** Some clients encode the comma, which they need not. */
function readFrames(list: string): number[] {
  const texts = list.split(/,|%2c/i);
  const numbers = texts.map((text) => (/^[1-9]\d{0,9}$/.test(text) ? Number(text) : Number.NaN));
  if (texts.length > MAX_FRAMES || !numbers.every((number) => number <= MAX_FRAME_NUMBER))
    throw refused(`names frames by other than up to ${MAX_FRAMES} whole numbers from 1 on`);
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
  return refused('is no resource of DICOMweb that goes through here');
}

/** It does not say the address again, which may name a patient. */
function refused(why: string): StainError {
  return new StainError('TARGET_REFUSED', `The address of the request ${why}.`);
}
