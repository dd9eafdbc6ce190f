/**
 * A data set that keeps the bytes from which it was read. Patient and study attributes must be copied to the derived
 * series byte for byte, in whatever character set, so nothing is decoded until it is accessed.
 */
import { LazyList } from '../../../core/src/lazy-list.ts';
import { decodeText } from './character-set.ts';
import { entryOfKeyword, tagOf } from './dictionary.ts';
import type { ValueElement } from './element.ts';
import { attributeTags, binaryNumbers, encodeValue, splitText, type Value } from './element-value.ts';

/** Items of a sequence (PS3.5 section 7.5): a few are in memory; those of a long sequence are created on access. */
export type Items = readonly DataSet[] | LazyList<DataSet>;

export interface SequenceElement {
  readonly tag: string;
  readonly vr: 'SQ';
  readonly items: Items;
}

export type Element = ValueElement | SequenceElement;

export function isSequence(element: Element): element is SequenceElement {
  return 'items' in element;
}

/** Values by keyword; data sets for a sequence. */
export type Attributes = Readonly<Record<string, Value | Items>>;

export class DataSet {
  /** In ascending order of tags, each tag once. */
  readonly elements: readonly Element[];
  readonly #characterSet: string;

  /** @param characterSet Specific Character Set of the enclosing data set, for the items of a sequence */
  constructor(elements: readonly Element[] = [], characterSet = '') {
    this.elements = inOrder(elements);
    const own = find(this.elements, '00080005');
    this.#characterSet =
      own && !isSequence(own) ? splitText('CS', decodeText(own.bytes, 'CS', '')).join('\\') : characterSet;
  }

  /** A new data set with our own ASCII values. */
  static of(attributes: Attributes): DataSet {
    return new DataSet().with(attributes);
  }

  /** The element with this keyword, or with this tag of eight hexadecimal digits. */
  element(keywordOrTag: string): Element | undefined {
    return find(this.elements, tagOf(keywordOrTag));
  }

  /** Whether the element is present, with or without a value. */
  has(keywordOrTag: string): boolean {
    return this.element(keywordOrTag) !== undefined;
  }

  /** Values as text, without padding; empty if the element is absent, empty or a sequence. */
  strings(keywordOrTag: string): string[] {
    const element = this.element(keywordOrTag);
    if (!element || isSequence(element)) return [];
    if (element.vr === 'AT') return attributeTags(element.bytes);
    return (
      binaryNumbers(element.vr, element.bytes)?.map(String) ??
      splitText(element.vr, decodeText(element.bytes, element.vr, this.#characterSet))
    );
  }

  /** First value as text; undefined if it is absent or empty. */
  string(keywordOrTag: string): string | undefined {
    return this.strings(keywordOrTag)[0] || undefined;
  }

  /** Values as numbers; anything that is not a number is omitted. */
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

  /** Items of a sequence, all in memory; empty if it is absent. */
  items(keywordOrTag: string): readonly DataSet[] {
    const items = this.sequence(keywordOrTag);
    return items instanceof LazyList ? [...items] : items;
  }

  /** The same for a sequence that may have an item per frame: one at a time. */
  sequence(keywordOrTag: string): Items {
    const element = this.element(keywordOrTag);
    return element && isSequence(element) ? element.items : [];
  }

  /** The stored bytes of a value; undefined if the element is absent, empty or a sequence. */
  bytes(keywordOrTag: string): Uint8Array | undefined {
    const element = this.element(keywordOrTag);
    return element && !isSequence(element) && element.bytes.length > 0 ? element.bytes : undefined;
  }

  /** A copy in which these attributes are set to these values. */
  with(attributes: Attributes): DataSet {
    return this.withElements(
      Object.entries(attributes).map(([keyword, value]): Element => {
        const { tag, vr } = entryOfKeyword(keyword);
        if (vr === 'SQ') return { tag, vr, items: value as Items };
        return { tag, vr, bytes: encodeValue(vr, value as Value) };
      }),
    );
  }

  /** A copy in which these elements replace those with the same tag. */
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

  /** A copy with only the elements to keep. */
  filter(keep: (element: Element) => boolean): DataSet {
    return new DataSet(this.elements.filter(keep), this.#characterSet);
  }
}

function inOrder(elements: readonly Element[]): readonly Element[] {
  const ordered = elements.every((element, i) => i === 0 || elements[i - 1]!.tag < element.tag);
  return ordered ? elements : [...elements].sort((a, b) => (a.tag < b.tag ? -1 : 1));
}

/** Binary search: the same few attributes of a slide's data set are read hundreds of thousands of times. */
function find(elements: readonly Element[], tag: string): Element | undefined {
  let [low, high] = [0, elements.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (elements[middle]!.tag < tag) low = middle + 1;
    else high = middle;
  }
  return elements[low]?.tag === tag ? elements[low] : undefined;
}
