/** Parses the JSON of an archive: short responses as a whole, metadata as they stream in. */
import { StainError } from '../../../core/src/errors.ts';
import { LazyList } from '../../../core/src/lazy-list.ts';
import { MAX_IN_MEMORY } from '../dicom/items.ts';
import { type DicomJson, isDicomJsonArray } from '../dicom/json-model.ts';
import { ByteRope } from './byte-rope.ts';
import { JsonStructure } from './json-structure.ts';

/** A DICOM JSON array. @throws ARCHIVE_PROTOCOL */
export function parseDataSets(body: Buffer): DicomJson[] {
  const structure = new JsonStructure();
  structure.read(body);
  // Checks the limits up to the end.
  while (structure.next() !== 'end');
  return dataSetsOf(body);
}

/** Nesting depth inside a data set, inside an attribute of it, and inside the array of its values. */
const [DATA_SET, ATTRIBUTE, VALUES] = [2, 3, 4];
/** Length of `"00080005"` with every character escaped. */
const MAX_KEY_BYTES = 50;
const TAG = /^[0-9A-Fa-f]{8}$/;

/** Some archives send a byte order mark, which is removed at the start of a text. Anywhere else it is not JSON. */
const WHOLE = new TextDecoder();
const PART = new TextDecoder('utf-8', { ignoreBOM: true });

/** The values of an attribute after the first ones. */
interface Rest {
  readonly dataSet: number;
  readonly tag: string;
  /** Start of the text of each value, and the end of the last. */
  readonly borders: number[];
}

/**
 * A DICOM JSON array, read as it streams in. If an attribute has very many values, as the per-frame functional groups
 * do, those after the first ones are kept as text and parsed on access: as objects they would take ten times the
 * memory.
 */
export class StreamedDataSets {
  readonly #structure = new JsonStructure();
  /** The text without the values kept in `#values`. */
  readonly #frame = new ByteRope();
  readonly #values = new ByteRope();
  readonly #rests = new Map<string, Rest>();
  /** In the current bytes: the start of what has not yet been copied to either. */
  #from = 0;
  /** Position in the frame of the last string of a data set or attribute: the key of what follows. */
  #key = { start: 0, end: 0 };
  #dataSet = -1;
  #tag: string | undefined;
  #isValue = false;
  #count = 0;
  #rest: Rest | undefined;

  /** The first bytes of the text. */
  beginning(length: number): Buffer {
    return this.#frame.slice(0, Math.min(length, this.#frame.length));
  }

  /** @throws ARCHIVE_PROTOCOL if the text is nested too deeply, contains too much or replaces malformed values */
  write(bytes: Uint8Array): void {
    const structure = this.#structure;
    structure.read(bytes);
    this.#from = 0;
    try {
      for (let met = structure.next(); met !== 'end'; met = structure.next()) {
        if (met === 'string' && structure.depth < VALUES) this.#onKey(bytes);
        else if (met === 'open' && structure.depth <= VALUES) this.#onOpen();
        else if (met === 'comma' && structure.depth === VALUES && this.#isValue) this.#onComma(bytes);
        else if (met === 'close' && structure.depth === ATTRIBUTE) this.#onClose(bytes);
      }
    } finally {
      this.#keep(bytes, bytes.length);
    }
  }

  /** Finishes the array. @throws ARCHIVE_PROTOCOL if it is not an array of data sets */
  end(): DicomJson[] {
    if (this.#frame.length === 0) return [];
    const dataSets: DicomJson[] = dataSetsOf(this.#frame.slice(0, this.#frame.length));
    for (const { dataSet, tag, borders } of this.#rests.values()) {
      const attribute = dataSets[dataSet]?.[tag] as { Value?: unknown } | undefined;
      const first = attribute?.Value;
      if (!attribute || !Array.isArray(first)) {
        this.#check(borders);
        continue;
      }
      attribute.Value = new LazyList<unknown>(first.length + borders.length - 1, (index) => {
        const at = index - first.length;
        return at < 0 ? first[at + first.length] : this.#parse(borders, at);
      });
    }
    return dataSets;
  }

  #parse(borders: readonly number[], at: number): unknown {
    return parse(this.#values.slice(borders[at]!, borders[at + 1]!), PART);
  }

  /** Values that a later key of the same name replaces are read by nobody, yet malformed ones must be refused. */
  #check(borders: readonly number[]): void {
    for (let at = 0; at < borders.length - 1; at++) this.#parse(borders, at);
  }

  #onKey(bytes: Uint8Array): void {
    const { position, stringStart } = this.#structure;
    this.#keep(bytes, position);
    const end = this.#frame.length;
    this.#key = { start: end - (position - stringStart), end };
  }

  #onOpen(): void {
    const { depth, isObject } = this.#structure;
    if (depth === DATA_SET) this.#dataSet++;
    else if (depth === ATTRIBUTE) {
      const key = isObject ? this.#lastKey() : undefined;
      this.#begin(key !== undefined && TAG.test(key) ? key : undefined);
    } else if (depth === VALUES) {
      this.#isValue = !isObject && this.#tag !== undefined && this.#lastKey() === 'Value';
      // The last of two equal keys counts.
      if (this.#isValue) this.#begin(this.#tag);
    }
  }

  /** @param tag undefined for what is no attribute: nothing of it is kept as text */
  #begin(tag: string | undefined): void {
    this.#tag = tag;
    this.#count = 0;
    const key = `${this.#dataSet} ${tag}`;
    this.#check(this.#rests.get(key)?.borders ?? []);
    this.#rests.delete(key);
  }

  #onComma(bytes: Uint8Array): void {
    this.#count++;
    if (this.#count < MAX_IN_MEMORY || this.#tag === undefined) return;
    this.#keep(bytes, this.#structure.position - 1);
    this.#rest ??= { dataSet: this.#dataSet, tag: this.#tag, borders: [] };
    this.#rest.borders.push(this.#values.length);
    // The comma is copied to neither.
    this.#from = this.#structure.position;
  }

  #onClose(bytes: Uint8Array): void {
    this.#isValue = false;
    if (!this.#rest) return;
    this.#keep(bytes, this.#structure.position - 1);
    this.#rest.borders.push(this.#values.length);
    this.#rests.set(`${this.#rest.dataSet} ${this.#rest.tag}`, this.#rest);
    this.#rest = undefined;
  }

  #keep(bytes: Uint8Array, end: number): void {
    (this.#rest ? this.#values : this.#frame).append(bytes.subarray(this.#from, end));
    this.#from = end;
  }

  /** undefined if the string cannot be a key that matters here. */
  #lastKey(): string | undefined {
    const { start, end } = this.#key;
    if (end - start > MAX_KEY_BYTES) return undefined;
    try {
      return JSON.parse(this.#frame.slice(start, end).toString('utf8')) as string;
    } catch {
      return undefined;
    }
  }
}

function dataSetsOf(text: Buffer): DicomJson[] {
  const value = parse(text, WHOLE);
  if (!isDicomJsonArray(value))
    throw new StainError(
      'ARCHIVE_PROTOCOL',
      'The archive answered with JSON that is not an array of data sets.',
    );
  return value;
}

function parse(text: Buffer, decoder: typeof WHOLE): unknown {
  try {
    return JSON.parse(decoder.decode(text));
  } catch (error) {
    throw new StainError('ARCHIVE_PROTOCOL', 'The archive answered with malformed JSON.', { cause: error });
  }
}
