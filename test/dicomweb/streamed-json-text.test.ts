/**
 * A JSON text parsed as a stream gives the same result as JSON.parse, or the same refusal, however it is written and
 * split into chunks.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LazyList } from '../../core/src/lazy-list.ts';
import { MAX_IN_MEMORY } from '../../server/src/dicom/items.ts';
import { parseDataSets, StreamedDataSets } from '../../server/src/dicomweb/parse-json.ts';
import { runs } from '../support/property-runs.ts';

/** Plain values, or the code of the error. */
function outcome(read: () => unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(read(), (_, value) => (value instanceof LazyList ? [...value] : value)));
  } catch (error) {
    return (error as { code?: string }).code ?? error;
  }
}

function streamed(bytes: Buffer, sizes: readonly number[]): unknown {
  return outcome(() => {
    const dataSets = new StreamedDataSets();
    for (let at = 0, chunk = 0; at < bytes.length; chunk++) {
      const size = sizes[chunk % sizes.length]!;
      dataSets.write(bytes.subarray(at, at + size));
      at += size;
    }
    return dataSets.end();
  });
}

const whole = (bytes: Buffer): unknown => outcome(() => (bytes.length === 0 ? [] : parseDataSets(bytes)));

const LONG = 3 * MAX_IN_MEMORY;
const list = (item: string, count = LONG): string => `[${Array(count).fill(item).join(',')}]`;

const blank = fc.constantFrom('', '', '', ' ', '\r\n\t ');
/** A string in which no character, one or all are escaped. */
const string = (...texts: string[]): fc.Arbitrary<string> =>
  fc.tuple(fc.constantFrom(...texts), fc.constantFrom(0, 1, Number.POSITIVE_INFINITY)).map(([text, cut]) => {
    const escaped = text
      .slice(0, cut)
      .replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
    return `"${escaped}${text.slice(Math.min(cut, text.length))}"`;
  });
const key = string(
  ...['52009230', '52009230', '7fe00010', '00080008', 'Value', 'vr', 'undefined', '__proto__', 'ü😀'],
  'A'.repeat(60),
);
const leaf = fc.oneof(
  fc.constantFrom('0', '-1.5e3', 'null', 'true', '{}', '[]', '"\\"[{,"', '"\\\\"', '" ]},{"'),
  string('Value', '52009230', 'ü😀'),
);
const object = (value: fc.Arbitrary<string>, maxLength: number): fc.Arbitrary<string> =>
  fc
    .array(
      fc.tuple(blank, key, blank, value, blank).map(([a, name, b, of, c]) => `${a}${name}${b}:${of}${c}`),
      { maxLength },
    )
    .map((members) => `{${members.join(',')}}`);
const { value, long } = fc.letrec<{ value: string; short: string; long: string }>((tie) => ({
  value: fc.oneof({ maxDepth: 3 }, leaf, object(tie('value'), 3), tie('short'), tie('long')),
  short: fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join(' ,')}]`),
  long: fc
    .tuple(fc.integer({ min: MAX_IN_MEMORY - 2, max: MAX_IN_MEMORY + 20 }), leaf, blank, tie('value'))
    .map(([count, item, gap, last]) => `[${`${item},${gap}`.repeat(count)}${last}]`),
}));
const often = (usual: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof({ weight: 8, arbitrary: usual }, { weight: 1, arbitrary: value });
const attribute = object(often(long), 3);
const dataSet = object(often(attribute), 4);
const text = fc
  .tuple(fc.constantFrom('', '', '\ufeff'), blank, fc.array(often(dataSet), { maxLength: 3 }), blank)
  .map(([mark, before, dataSets, after]) => Buffer.from(`${mark}${before}[${dataSets.join(',')}]${after}`));

/** A byte inserted, removed or replaced, or everything after it cut off. */
const damage = fc.record({
  place: fc.double({ min: 0, max: 1, noNaN: true }),
  kind: fc.constantFrom('insert', 'remove', 'replace', 'truncate'),
  byte: fc.constantFrom(...Buffer.from('"\\,[]{} 1:\xff\xc3', 'latin1')),
});
function damaged(
  bytes: Buffer,
  { place, kind, byte }: { place: number; kind: string; byte: number },
): Buffer {
  const at = Math.floor(place * bytes.length);
  const put = kind === 'insert' || kind === 'replace' ? [Buffer.of(byte)] : [];
  const rest = kind === 'truncate' ? bytes.length : at + (kind === 'insert' ? 0 : 1);
  return Buffer.concat([bytes.subarray(0, at), ...put, bytes.subarray(rest)]);
}

const sizes = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 });

describe('a JSON text parsed as a stream', () => {
  it('gives the same as parsed as a whole', () => {
    fc.assert(
      fc.property(text, sizes, (bytes, chunks) => {
        expect(streamed(bytes, chunks)).toEqual(whole(bytes));
      }),
      { numRuns: runs(300) },
    );
  });

  it('is refused if it is refused as a whole', () => {
    fc.assert(
      fc.property(text, damage, sizes, (bytes, harm, chunks) => {
        const broken = damaged(bytes, harm);
        expect(streamed(broken, chunks)).toEqual(whole(broken));
      }),
      { numRuns: runs(300) },
    );
  });

  it.each([
    ['attribute is a list that has "Value" in it', `[{"52009230":["Value",${list('1')}]}]`],
    ['data set has a list of lists for "Value"', `[{"Value":[${list('1')}]}]`],
    ['key is too long to be a tag', `[{"undefined":{"Value":${list('1')}},"${'A'.repeat(60)}":{}}]`],
    [
      'key that is not a tag occurs again, escaped',
      `[{"${'A'.repeat(20)}":{"Value":${list('1')}},"${'\\u0041'.repeat(20)}":{"Value":[2]}}]`,
    ],
    [
      'Value is an object',
      `[{"52009230":{"Value":{${Array.from({ length: LONG }, (_, i) => `"${i}":1`).join(',')}}}}]`,
    ],
    ['Value occurs twice, the second time as text', `[{"52009230":{"Value":${list('1')},"Value":"none"}}]`],
    ['item has a byte order mark', `[{"52009230":{"Value":[${'1,'.repeat(LONG)}\ufeff1]}}]`],
    [
      'tag is that of an attribute in another data set',
      `[{"52009230":{"Value":${list('1')}}},{"52009230":{"Value":${list('2')}}}]`,
    ],
    [
      'string is longer than a block of memory',
      `[{"52009230":{"Value":[${'1,'.repeat(LONG)}"${'ü'.repeat(2 ** 20)}"]}}]`,
    ],
    ['list ends with a comma', `[{"52009230":{"Value":[${'1,'.repeat(LONG)}]}}]`],
    [
      'malformed values are those of an attribute that occurs again',
      `[{"52009230":{"Value":[${'1,'.repeat(LONG)}"\\["]},"52009230":{}}]`,
    ],
    [
      'malformed values are replaced within their attribute',
      `[{"52009230":{"Value":[${'1,'.repeat(LONG)}x],"Value":[2]}}]`,
    ],
    [
      'malformed values are replaced by a text',
      `[{"52009230":{"Value":[${'1,'.repeat(LONG)}x],"Value":"none"}}]`,
    ],
  ])('gives the same result if its %s', (_, json) => {
    const bytes = Buffer.from(json);
    expect(streamed(bytes, [997])).toEqual(whole(bytes));
  });

  it('may be split within a character, an escape or a byte order mark', () => {
    const bytes = Buffer.from(`\ufeff[{"52009230":{"\\u0056alue":${list('"ü😀\\ud83d\\ude00\\\\\\""')}}}]`);
    expect(streamed(bytes, [1])).toEqual(whole(bytes));
    expect(whole(bytes)).toHaveLength(1);
  });
});
