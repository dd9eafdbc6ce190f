/** DICOM JSON, as a whole and in chunks of every size. */
import { isDeepStrictEqual } from 'node:util';
import { StainError } from '../../core/src/errors.ts';
import { LazyList } from '../../core/src/lazy-list.ts';
import { dataSetFromJson } from '../../server/src/dicom/from-json.ts';
import { MAX_IN_MEMORY } from '../../server/src/dicom/items.ts';
import { type DicomJson, itemsOf, numberOf, textOf } from '../../server/src/dicom/json-model.ts';
import { toDicomJson } from '../../server/src/dicom/to-json.ts';
import { parseDataSets, StreamedDataSets } from '../../server/src/dicomweb/parse-json.ts';
import { readStoreAnswer } from '../../server/src/dicomweb/store-answer.ts';
import { makeSlideHeader, type SlideInstanceOptions } from '../support/make-slide.ts';
import type { Seed } from './mutate.ts';
import { VARIANTS } from './slide-variants.ts';
import type { Targets } from './targets.ts';
import { use } from './use-data-set.ts';

/** More frames than are kept in memory. */
const LONG: SlideInstanceOptions = {
  ...VARIANTS[1]!,
  totalRows: 8,
  totalColumns: 8 * (MAX_IN_MEMORY + 10),
  frames: Array.from({ length: MAX_IN_MEMORY + 10 }, () => new Uint8Array(8)),
};

/** Strings that are no keys and numbers; lists and objects that hold no others. */
const JSON_TOKENS = [/(?<=[:[,])"(?:[^"\\]|\\.)*"(?!:)|(?<=[:[,])-?\d[\d.eE+-]*/g, /\[[^[\]]*\]|\{[^{}]*\}/g];
const ODD_VALUES = [
  ...[
    'null',
    '{}',
    '[]',
    'true',
    '1e999',
    '-0',
    '0.5',
    '1e300',
    '""',
    '"\\u0000"',
    '"SQ"',
    '"PN"',
    '"AT"',
    '"US"',
    '"UV"',
  ],
  ...[
    '{"toString":null,"valueOf":1}',
    '{"__proto__":[]}',
    '{"length":1e9}',
    '[[[[]]]]',
    '"\\\\"',
    '"00080005"',
    '2147483647',
  ],
  `"${' '.repeat(9000)}x"`,
  `"${'\\\\'.repeat(9000)}"`,
];

const metadataOf = (options: SlideInstanceOptions): DicomJson =>
  toDicomJson(makeSlideHeader(options), () => 'http://x/');

function jsonSeeds(): Seed[] {
  const answer = {
    '00081199': { vr: 'SQ', Value: [{ '00081155': { vr: 'UI', Value: ['1.2.3'] } }] },
    '00081198': {
      vr: 'SQ',
      Value: [{ '00081155': { vr: 'UI', Value: ['1.2'] }, '00081197': { vr: 'US', Value: [272] } }],
    },
  };
  const xml =
    '<DicomAttribute tag="00081198"><DicomAttribute tag="00081197" vr="US"><Value number="1">272</Value>';
  return [
    JSON.stringify(VARIANTS.map(metadataOf)),
    JSON.stringify([metadataOf(LONG), metadataOf(VARIANTS[0]!)]),
    JSON.stringify([answer]),
    xml,
  ].map((text) => ({
    bytes: Buffer.from(text),
    places: [...text.matchAll(/[[\]{}":,<>]/g)].map(({ index }) => index),
    tokens: JSON_TOKENS,
    odd: ODD_VALUES,
  }));
}

function streamed(bytes: Uint8Array): DicomJson[] {
  const dataSets = new StreamedDataSets();
  // The sizes of the chunks follow from the input, so that they are the same when it is tried again.
  let size = bytes.length % 97;
  for (let at = 0; at < bytes.length; at += size) {
    size = 1 + ((size * 31 + bytes[at]!) % 997);
    dataSets.write(bytes.subarray(at, at + size));
  }
  return dataSets.end();
}

/** Everything in memory. */
function plain(value: unknown): unknown {
  if (Array.isArray(value) || value instanceof LazyList) return Array.from(value, plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value).map(([key, of]) => [key, plain(of)]);
}

/** What is read, or the code of the error. */
function outcome(read: () => DicomJson[]): unknown {
  try {
    return plain(read());
  } catch (error) {
    if (error instanceof StainError) return error.code;
    throw error;
  }
}

function readJson(bytes: Uint8Array): void {
  const body = Buffer.from(bytes);
  readStoreAnswer(409, body.toString(), '1.2.3');
  const whole = outcome(() => (body.length === 0 ? [] : parseDataSets(body)));
  if (
    !isDeepStrictEqual(
      outcome(() => streamed(bytes)),
      whole,
    )
  )
    throw new Error('The text says something else when it is streamed.');
  for (const json of streamed(bytes)) {
    for (const tag of Object.keys(json)) for (const read of [textOf, numberOf, itemsOf]) read(json, tag);
    use(dataSetFromJson(json));
  }
}

export const jsonTarget: Targets = {
  json: async () => ({ seeds: jsonSeeds(), count: 20_000, read: async (bytes) => readJson(bytes) }),
};
