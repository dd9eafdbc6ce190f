/**
 * Reads elements in explicit or implicit VR little endian from the first bytes of a file. Every length is checked
 * against its enclosing element before it is used: a damaged header causes an error that says where, never an endless
 * loop or an allocation of whatever the header claims.
 */
import { StainError } from '../../../core/src/errors.ts';
import { LazyList } from '../../../core/src/lazy-list.ts';
import { DataSet, type Element, type Items } from './dataset.ts';
import { LONG_VRS } from './dataset-writer.ts';
import { entryOfTag } from './dictionary.ts';
import { StoredValue } from './element.ts';
import { MAX_IN_MEMORY } from './items.ts';

const UNDEFINED_LENGTH = 0xffffffff;
const ITEM = 'FFFEE000';
const ITEM_END = 'FFFEE00D';
const SEQUENCE_END = 'FFFEE0DD';
/** The first four bytes of an item. */
const ITEM_BYTES = 0xe000fffe;
/** Longest value of the VRs with a length of two bytes. */
const MAX_SHORT = 0xfffe;
const MAX_DEPTH = 32;
/**
 * Maximum number of elements, items and delimiters in a header: as many as the per-frame groups of 400,000 frames have.
 * Each takes up to 90 bytes of memory for as little as 8 bytes of the file.
 */
const MAX_ELEMENTS = 10_000_000;

/** More of the file must be read first: the bytes up to `end`. */
export class MoreBytesNeeded extends Error {
  readonly end: number;

  constructor(end: number) {
    super(`The header goes on to byte ${end}.`);
    this.end = end;
  }
}

/** An element whose value was not read, and the position of its value in the file. */
export interface ValueLocation {
  readonly tag: string;
  /** First byte of its value. */
  readonly offset: number;
  /** undefined for a value of undefined length (encapsulated pixel data). */
  readonly length: number | undefined;
}

/**
 * File meta information: group 2, always in explicit VR. The data set that follows may be in implicit VR, so the end of
 * the group is found by tag alone.
 * @returns the group and the position of the first byte after it
 */
export function readFileMeta(
  bytes: Uint8Array,
  start: number,
  total: number,
): { meta: DataSet; end: number } {
  const reader = new Reader(bytes, total);
  reader.position = start;
  const elements: Element[] = [];
  while (reader.position < total && reader.group(total) === 2) {
    const element = reader.value(reader.header(true, total), true, total, '', 0);
    if (element) elements.push(element);
  }
  return { meta: new DataSet(elements), end: reader.position };
}

export interface ReadOptions {
  /** First byte of the data set. */
  readonly start: number;
  readonly explicitVr: boolean;
  /** Size of the whole file; `bytes` may be only its beginning. */
  readonly total: number;
  /** First tag that is not read; reading stops at it or at a later one. */
  readonly until: string;
}

/**
 * @returns the data set before `until`, and the element found there if the file continues
 * @throws DICOM_INVALID; MoreBytesNeeded if `bytes` ends before the data set does
 */
export function readDataSet(
  bytes: Uint8Array,
  { start, explicitVr, total, until }: ReadOptions,
): { dataSet: DataSet; next: ValueLocation | undefined } {
  const reader = new Reader(bytes, total);
  reader.position = start;
  const elements: Element[] = [];
  let characterSet = '';
  while (reader.position < total) {
    const at = reader.position;
    const header = reader.header(explicitVr, total);
    if (header.tag >= until) {
      const length = header.length === UNDEFINED_LENGTH ? undefined : header.length;
      return {
        dataSet: new DataSet(elements),
        next: { tag: header.tag, offset: reader.position, length },
      };
    }
    const last = elements.at(-1)?.tag;
    if (last !== undefined && header.tag <= last) reader.fail(`element ${header.tag} follows ${last}`, at);
    const element = reader.value(header, explicitVr, total, characterSet, 0);
    if (!element) continue;
    elements.push(element);
    // Its tag is low, so it comes before every sequence that may contain text.
    if (element.tag === '00080005')
      characterSet = new DataSet([element]).strings('SpecificCharacterSet').join('\\');
  }
  return { dataSet: new DataSet(elements), next: undefined };
}

interface Header {
  readonly tag: string;
  readonly vr: string;
  readonly length: number;
}

class Reader {
  position = 0;
  #elements = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #total: number;
  /** One string object per tag or VR: per-frame groups repeat a dozen of them for every frame. */
  readonly #tags = new Map<number, string>();
  readonly #vrs = new Map<number, string>();

  constructor(bytes: Uint8Array, total: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#total = total;
  }

  fail(what: string, at: number): never {
    throw new StainError('DICOM_INVALID', `The DICOM header is damaged at byte ${at}: ${what}.`, {
      data: { at },
    });
  }

  /** Group of the element at the current position, without advancing. */
  group(end: number): number {
    this.#require(8, end);
    return this.#view.getUint16(this.position, true);
  }

  /** Tag, VR and length of the element at the current position; items have no VR. */
  header(explicitVr: boolean, end: number): Header {
    const at = this.position;
    if (++this.#elements > MAX_ELEMENTS) this.fail(`there are more than ${MAX_ELEMENTS} elements`, at);
    this.#require(8, end);
    const tag = this.#tag();
    if (tag.startsWith('FFFE')) return { tag, vr: '', length: this.#uint32() };
    if (!explicitVr) return { tag, vr: implicitVr(tag), length: this.#uint32() };
    const vr = this.#vr();
    if (vr === undefined) this.fail(`element ${tag} has no value representation`, at);
    if (!LONG_VRS.has(vr)) {
      const length = this.#view.getUint16(this.position, true);
      this.position += 2;
      return { tag, vr, length };
    }
    this.position += 2;
    this.#require(4, end);
    return { tag, vr, length: this.#uint32() };
  }

  /**
   * The element with its value; undefined for group lengths, which are retired and would soon be wrong, and for pictures
   * in the header.
   */
  value(
    { tag, vr: stated, length }: Header,
    explicitVr: boolean,
    end: number,
    characterSet: string,
    depth: number,
  ): Element | undefined {
    const at = this.position;
    const vr = stated === 'UN' && length !== UNDEFINED_LENGTH ? this.#vrOfUnknown(tag, length) : stated;
    if (vr === '') this.fail(`delimiter ${tag} outside of a sequence`, at);
    const open = length === UNDEFINED_LENGTH;
    if (vr === 'SQ' || (open && vr === 'UN')) {
      // UN with undefined length is a sequence in implicit VR (PS3.5 6.2.2 note 2).
      return {
        tag,
        vr: 'SQ',
        items: this.#items(length, explicitVr && stated === 'SQ', end, characterSet, depth + 1),
      };
    }
    if (open) {
      if (vr !== 'OB' && vr !== 'OW') this.fail(`element ${tag} of VR ${vr} has no length`, at);
      this.#skipFragments(explicitVr, end);
      return undefined;
    }
    this.#require(length, end);
    this.position += length;
    if (tag.endsWith('0000')) return undefined;
    return new StoredValue(tag, vr, this.#bytes, at, length);
  }

  /**
   * Whoever did not know an attribute may have stored it as UN, in implicit VR (PS3.5 6.2.2). A sequence is read as one if
   * it begins like one; a value that does not fit into its own VR stays as it is.
   */
  #vrOfUnknown(tag: string, length: number): string {
    const vr = implicitVr(tag);
    if (vr === 'SQ') {
      const isSequence =
        length === 0 ||
        (this.position + 4 <= this.#bytes.length && this.#view.getUint32(this.position, true) === ITEM_BYTES);
      return isSequence ? vr : 'UN';
    }
    return length <= MAX_SHORT || LONG_VRS.has(vr) ? vr : 'UN';
  }

  /** Passes over encapsulated pixels (PS3.5 A.4) that are not those of the image, such as an icon's. */
  #skipFragments(explicitVr: boolean, end: number): void {
    for (;;) {
      const at = this.position;
      const { tag, length } = this.header(explicitVr, end);
      if (tag === SEQUENCE_END) return;
      if (tag !== ITEM || length === UNDEFINED_LENGTH) this.fail(`${tag} in place of a fragment`, at);
      this.#require(length, end);
      this.position += length;
    }
  }

  #items(
    length: number,
    explicitVr: boolean,
    enclosingEnd: number,
    characterSet: string,
    depth: number,
  ): Items {
    if (depth > MAX_DEPTH) this.fail('sequences are nested too deeply', this.position);
    const open = length === UNDEFINED_LENGTH;
    const end = open ? enclosingEnd : this.#endOf(length, enclosingEnd);
    const items: DataSet[] = [];
    const starts: number[] = [];
    while (open || this.position < end) {
      const at = this.position;
      const header = this.header(explicitVr, end);
      if (header.tag === SEQUENCE_END && open) break;
      if (header.tag !== ITEM) this.fail(`${header.tag} in place of an item of a sequence`, at);
      const item = this.#item(header.length, explicitVr, end, characterSet, depth);
      starts.push(at);
      if (starts.length <= MAX_IN_MEMORY) items.push(item);
    }
    if (starts.length <= MAX_IN_MEMORY) return items;
    return this.#laterItems(Uint32Array.from(starts), explicitVr, end, characterSet, depth);
  }

  /** Items that were read once, and are therefore valid; they are read again on access. */
  #laterItems(
    starts: Uint32Array,
    explicitVr: boolean,
    end: number,
    characterSet: string,
    depth: number,
  ): Items {
    const reader = new Reader(this.#bytes, this.#total);
    return new LazyList(starts.length, (index) => {
      reader.position = starts[index]!;
      reader.#elements = 0;
      const { length } = reader.header(explicitVr, end);
      return reader.#item(length, explicitVr, end, characterSet, depth);
    });
  }

  #item(
    length: number,
    explicitVr: boolean,
    enclosingEnd: number,
    characterSet: string,
    depth: number,
  ): DataSet {
    const open = length === UNDEFINED_LENGTH;
    const end = open ? enclosingEnd : this.#endOf(length, enclosingEnd);
    const elements: Element[] = [];
    while (open || this.position < end) {
      const header = this.header(explicitVr, end);
      if (header.tag === ITEM_END && open) break;
      const element = this.value(header, explicitVr, end, characterSet, depth);
      if (element) elements.push(element);
    }
    return new DataSet(elements, characterSet);
  }

  #endOf(length: number, enclosingEnd: number): number {
    const end = this.position + length;
    if (end > enclosingEnd)
      this.fail(`a length of ${length} bytes exceeds the enclosing element`, this.position);
    return end;
  }

  #require(length: number, end: number): void {
    const needed = this.position + length;
    if (needed > end) {
      const where = end === this.#total ? 'the file ends' : 'the enclosing element ends';
      this.fail(`${length} bytes are needed and ${where} after ${end - this.position}`, this.position);
    }
    if (needed > this.#bytes.length) throw new MoreBytesNeeded(needed);
  }

  #tag(): string {
    const group = this.#view.getUint16(this.position, true);
    const element = this.#view.getUint16(this.position + 2, true);
    this.position += 4;
    const number = group * 0x10000 + element;
    let tag = this.#tags.get(number);
    if (tag === undefined) {
      tag = number.toString(16).toUpperCase().padStart(8, '0');
      this.#tags.set(number, tag);
    }
    return tag;
  }

  #vr(): string | undefined {
    const number = this.#view.getUint16(this.position, false);
    this.position += 2;
    let vr = this.#vrs.get(number);
    if (vr === undefined) {
      vr = String.fromCharCode(number >> 8, number & 0xff);
      if (!/^[A-Z]{2}$/.test(vr)) return undefined;
      this.#vrs.set(number, vr);
    }
    return vr;
  }

  #uint32(): number {
    const value = this.#view.getUint32(this.position, true);
    this.position += 4;
    return value;
  }
}

/** In implicit VR the dictionary gives the VR; private creators are LO, other unknown elements UN (PS3.5 A.1). */
function implicitVr(tag: string): string {
  const known = entryOfTag(tag)?.vr;
  if (known) return known;
  const creator =
    (Number.parseInt(tag.slice(3, 4), 16) & 1) === 1 && /^00[1-9A-F][0-9A-F]$/.test(tag.slice(4));
  return creator ? 'LO' : 'UN';
}
