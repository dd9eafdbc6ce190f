/**
 * A data set that keeps the bytes it was read with. Patient and study attributes must go into the derived
 * series byte for byte, in whatever character set they are, so nothing is decoded until it is asked for.
 */
import { decodeText } from './character-set.ts';
import { type DicomJsonDataSet, elementsFromJson } from './dicom-json.ts';
import { entryOfKeyword, tagOf } from './dictionary.ts';
import { type Element, isSequence } from './element.ts';
import { attributeTags, binaryNumbers, encodeValue, splitText, type Value } from './element-value.ts';

/** Values by keyword; a list of data sets for a sequence. */
export type Attributes = Readonly<Record<string, Value | readonly DataSet[]>>;

export class DataSet {
  /** In ascending order of tags, each tag once. */
  readonly elements: readonly Element[];
  readonly #characterSet: string;

  /** @param characterSet Specific Character Set of the enclosing data set, for the items of a sequence */
  constructor(elements: readonly Element[] = [], characterSet = '') {
    this.elements = inOrder(elements);
    const own = find(this.elements, '00080005');
    this.#characterSet =
      own && !isSequence(own) ? (splitText('CS', decodeText(own.bytes, 'CS', ''))[0] ?? '') : characterSet;
  }

  /** A new data set of our own ASCII values. */
  static of(attributes: Attributes): DataSet {
    return new DataSet().with(attributes);
  }

  /**
   * From the DICOM JSON model (PS3.18 annex F), such as the answer to /metadata. Bulk data is left out.
   * @throws DICOM_INVALID where the JSON is not of that model
   */
  static fromDicomJson(json: DicomJsonDataSet): DataSet {
    return new DataSet(
      elementsFromJson(json, (elements) => new DataSet(elements, 'ISO_IR 192')),
      'ISO_IR 192',
    );
  }

  /** The element of a keyword or of a tag of eight hexadecimal digits. */
  element(keywordOrTag: string): Element | undefined {
    return find(this.elements, tagOf(keywordOrTag));
  }

  /** Whether the element is there, with a value or without. */
  has(keywordOrTag: string): boolean {
    return this.element(keywordOrTag) !== undefined;
  }

  /** Values as text, without padding; empty where the element is absent, empty or a sequence. */
  strings(keywordOrTag: string): string[] {
    const element = this.element(keywordOrTag);
    if (!element || isSequence(element)) return [];
    if (element.vr === 'AT') return attributeTags(element.bytes);
    return (
      binaryNumbers(element.vr, element.bytes)?.map(String) ??
      splitText(element.vr, decodeText(element.bytes, element.vr, this.#characterSet))
    );
  }

  /** First value as text; undefined where there is none or it is empty. */
  string(keywordOrTag: string): string | undefined {
    return this.strings(keywordOrTag)[0] || undefined;
  }

  /** Values as numbers; what is not a number is left out. */
  numbers(keywordOrTag: string): number[] {
    const element = this.element(keywordOrTag);
    if (!element || isSequence(element)) return [];
    return (
      binaryNumbers(element.vr, element.bytes) ??
      this.strings(keywordOrTag)
        .filter((text) => text !== '')
        .map(Number)
        .filter(Number.isFinite)
    );
  }

  number(keywordOrTag: string): number | undefined {
    return this.numbers(keywordOrTag)[0];
  }

  /** Items of a sequence; empty where it is absent. */
  items(keywordOrTag: string): readonly DataSet[] {
    const element = this.element(keywordOrTag);
    return element && isSequence(element) ? element.items : [];
  }

  /** The stored bytes of a value; undefined where the element is absent, empty or a sequence. */
  bytes(keywordOrTag: string): Uint8Array | undefined {
    const element = this.element(keywordOrTag);
    return element && !isSequence(element) && element.bytes.length > 0 ? element.bytes : undefined;
  }

  /** A copy in which these attributes have these values. */
  with(attributes: Attributes): DataSet {
    return this.withElements(
      Object.entries(attributes).map(([keyword, value]): Element => {
        const { tag, vr } = entryOfKeyword(keyword);
        if (vr === 'SQ') return { tag, vr, items: value as readonly DataSet[] };
        return { tag, vr, bytes: encodeValue(vr, value as Value) };
      }),
    );
  }

  /** A copy with these elements as they are, in place of those of the same tag. */
  withElements(elements: readonly Element[]): DataSet {
    const replaced = new Set(elements.map(({ tag }) => tag));
    return new DataSet(
      [...this.elements.filter(({ tag }) => !replaced.has(tag)), ...elements],
      this.#characterSet,
    );
  }

  /** A copy without these attributes. */
  without(...keywordsOrTags: readonly string[]): DataSet {
    const removed = new Set(keywordsOrTags.map(tagOf));
    return this.filter(({ tag }) => !removed.has(tag));
  }

  /** A copy with the elements that are to be kept. */
  filter(keep: (element: Element) => boolean): DataSet {
    return new DataSet(this.elements.filter(keep), this.#characterSet);
  }
}

function inOrder(elements: readonly Element[]): readonly Element[] {
  const ordered = elements.every((element, i) => i === 0 || elements[i - 1]!.tag < element.tag);
  return ordered ? elements : [...elements].sort((a, b) => (a.tag < b.tag ? -1 : 1));
}

/** Binary search: a data set of a slide is asked for the same few attributes hundreds of thousands of times. */
function find(elements: readonly Element[], tag: string): Element | undefined {
  let [low, high] = [0, elements.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (elements[middle]!.tag < tag) low = middle + 1;
    else high = middle;
  }
  return elements[low]?.tag === tag ? elements[low] : undefined;
}
