import { describe, expect, it } from 'vitest';
import { parseDataSets } from '../../server/src/dicomweb/parse-json.ts';

const parse = (text: string): unknown => parseDataSets(Buffer.from(text));
const refused = (message: RegExp): unknown =>
  expect.objectContaining({ code: 'ARCHIVE_PROTOCOL', message: expect.stringMatching(message) });

/** A list of one data set in which sequences are nested, a person's name in the innermost. */
function nested(sequences: number): string {
  const open = '{"00400275":{"vr":"SQ","Value":[';
  return `[${open.repeat(sequences)}{"00081048":{"vr":"PN","Value":[{"Alphabetic":"A"}]}}${']}}'.repeat(sequences)}]`;
}

describe('the JSON of an archive', () => {
  it('may hold 32 nested sequences, and no more', () => {
    expect(() => parse(nested(32))).not.toThrow();
    expect(() => parse(nested(33))).toThrow(refused(/nested too deeply/));
  });

  it('may hold 10 million objects and lists, and no more', () => {
    const many = (count: number): string => `[${'{},'.repeat(count - 2)}{}`;
    // Malformed at its end: to parse it whole would take long.
    expect(() => parse(many(10_000_000))).toThrow(refused(/malformed/));
    expect(() => parse(many(10_000_001))).toThrow(refused(/more than 10000000 objects/));
  });

  it('may hold braces and brackets in its text, behind escaped quotes too', () => {
    const text = (value: string): string => `[{"x":"${value}"}]`;
    expect(parse(text('[{'.repeat(1000)))).toHaveLength(1);
    expect(parse(text(`\\"${'[{'.repeat(1000)}\\\\`))).toHaveLength(1);
    expect(() => parse(`["\\\\",${'['.repeat(1000)}`)).toThrow(refused(/nested too deeply/));
    expect(() => parse('["no end \\')).toThrow(refused(/malformed/));
  });
});
