/** Writes explicit VR little endian (PS3.5 A.2), with sequences and items of defined length. */
import { type DataSet, type Element, type Items, isSequence, type SequenceElement } from './dataset.ts';
import { padEven } from './element-value.ts';

/** VRs with a four-byte length field (PS3.5 table 7.1-1). */
export const LONG_VRS: ReadonlySet<string> = new Set([
  ...['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV'],
]);
const BINARY_VRS = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN', 'UI']);

export function writeDataSet(dataSet: DataSet): Uint8Array {
  const bytes = new Uint8Array(dataSetLength(dataSet));
  const writer = new Writer(bytes);
  writer.dataSet(dataSet);
  return bytes;
}

/** Tag, VR and length of an element with a four-byte length field. */
export function elementHeader(tag: string, vr: string, length: number): Uint8Array {
  const bytes = new Uint8Array(12);
  new Writer(bytes).header(tag, vr, length);
  return bytes;
}

function dataSetLength(dataSet: DataSet): number {
  return dataSet.elements.reduce((sum, element) => sum + headerLength(element) + valueLength(element), 0);
}

function valueLength(element: Element): number {
  if (isSequence(element)) return itemsLength(element.items);
  return element.bytes.length + (element.bytes.length % 2);
}

function itemsLength(items: Items): number {
  let sum = 0;
  for (const item of items) sum += 8 + dataSetLength(item);
  return sum;
}

function headerLength(element: Element): number {
  return LONG_VRS.has(storedVr(element)) ? 12 : 8;
}

/** A value too long for the two-byte length of its VR is written as UN (PS3.5 6.2.2 note 5). */
function storedVr(element: Element): string {
  return !LONG_VRS.has(element.vr) && valueLength(element) > 0xffff ? 'UN' : element.vr;
}

class Writer {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  dataSet(dataSet: DataSet): void {
    for (const element of dataSet.elements) {
      if (isSequence(element)) this.#sequence(element);
      else {
        this.header(element.tag, storedVr(element), valueLength(element));
        this.#value(padEven(element.bytes, paddingOf(element)));
      }
    }
  }

  header(tag: string, vr: string, length: number): void {
    this.#tag(tag);
    this.#bytes[this.#at++] = vr.charCodeAt(0);
    this.#bytes[this.#at++] = vr.charCodeAt(1);
    const long = LONG_VRS.has(vr);
    // Two reserved bytes precede a four-byte length.
    if (!long) this.#view.setUint16(this.#at, length, true);
    this.#at += 2;
    if (long) this.#length(length);
  }

  #sequence({ tag, items }: SequenceElement): void {
    this.header(tag, 'SQ', 0);
    this.#measured(() => {
      for (const item of items) this.#item(item);
    });
  }

  #item(item: DataSet): void {
    this.#tag('FFFEE000');
    this.#length(0);
    this.#measured(() => this.dataSet(item));
  }

  /** The length before it is set afterwards: to ask items for theirs would make those within them anew at every depth. */
  #measured(write: () => void): void {
    const start = this.#at;
    write();
    this.#view.setUint32(start - 4, this.#at - start, true);
  }

  #tag(tag: string): void {
    this.#view.setUint16(this.#at, Number.parseInt(tag.slice(0, 4), 16), true);
    this.#view.setUint16(this.#at + 2, Number.parseInt(tag.slice(4), 16), true);
    this.#at += 4;
  }

  #length(length: number): void {
    this.#view.setUint32(this.#at, length, true);
    this.#at += 4;
  }

  #value(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }
}

function paddingOf({ vr }: Element): number {
  return BINARY_VRS.has(vr) ? 0 : 0x20;
}
