import { describe, expect, it } from 'vitest';
import { parseDataSets, StreamedDataSets } from '../../server/src/dicomweb/parse-json.ts';

const parse = (text: string): unknown => parseDataSets(Buffer.from(text));
const refused = (message: RegExp): unknown =>
  expect.objectContaining({ code: 'ARCHIVE_PROTOCOL', message: expect.stringMatching(message) });

/** A list of one data set with nested sequences, and a person's name in the innermost one. */
function nested(sequences: number): string {
  const open = '{"00400275":{"vr":"SQ","Value":[';
  return `[${open.repeat(sequences)}{"00081048":{"vr":"PN","Value":[{"Alphabetic":"A"}]}}${']}}'.repeat(sequences)}]`;
}

describe('the JSON of an archive', () => {
  it('may contain 32 nested sequences, and no more', () => {
    expect(() => parse(nested(32))).not.toThrow();
    expect(() => parse(nested(33))).toThrow(refused(/nested too deeply/));
  });

  it('may contain 10 million objects and arrays, and no more', () => {
    // Malformed at the start, because parsing all of it would take long.
    const many = (count: number): string => `[x${',{}'.repeat(count - 1)}]`;
    expect(() => parse(many(10_000_000))).toThrow(refused(/malformed/));
    expect(() => parse(many(10_000_001))).toThrow(refused(/more than 10000000 objects/));
  });

  it('may contain 30 million values, and no more, streamed or not', () => {
    // Malformed at the start, as above.
    const many = (count: number): Buffer => Buffer.concat([Buffer.from('[x'), Buffer.alloc(2 * count, ',1')]);
    expect(() => parseDataSets(many(30_000_000))).toThrow(refused(/malformed/));
    expect(() => parseDataSets(many(30_000_001))).toThrow(refused(/more than 30000000 values/));
    expect(() => new StreamedDataSets().write(many(30_000_001))).toThrow(
      refused(/more than 30000000 values/),
    );
  });

  it('may contain braces and brackets in its strings, even after escaped quotes', () => {
    const text = (value: string): string => `[{"x":"${value}"}]`;
    expect(parse(text('[{'.repeat(1000)))).toHaveLength(1);
    expect(parse(text(`\\"${'[{'.repeat(1000)}\\\\`))).toHaveLength(1);
    expect(() => parse(`["\\\\",${'['.repeat(1000)}`)).toThrow(refused(/nested too deeply/));
    expect(() => parse('["no end \\')).toThrow(refused(/malformed/));
  });
});
