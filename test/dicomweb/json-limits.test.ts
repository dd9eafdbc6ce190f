import { describe, expect, it } from 'vitest';
import { requireModestJson } from '../../server/src/dicomweb/json-limits.ts';

const check = (text: string): void => requireModestJson(Buffer.from(text));
const refused = expect.objectContaining({ code: 'ARCHIVE_PROTOCOL' });

/** A list of one data set in which sequences are nested, a person's name in the innermost. */
function nested(sequences: number): string {
  const open = '{"00400275":{"vr":"SQ","Value":[';
  return `[${open.repeat(sequences)}{"00081048":{"vr":"PN","Value":[{"Alphabetic":"A"}]}}${']}}'.repeat(sequences)}]`;
}

describe('the JSON of an archive', () => {
  it('may hold 32 nested sequences, and no more', () => {
    expect(() => check(nested(32))).not.toThrow();
    expect(() => check(nested(33))).toThrow(refused);
  });

  it('may hold 10 million objects and lists, and no more', () => {
    const many = (count: number): string => `[${'{},'.repeat(count - 2)}{}]`;
    expect(() => check(many(10_000_000))).not.toThrow();
    expect(() => check(many(10_000_001))).toThrow(refused);
  });

  it('may hold braces and brackets in its text, behind escaped quotes too', () => {
    expect(() => check(`["${'[{'.repeat(1000)}"]`)).not.toThrow();
    expect(() => check(`["\\"${'[{'.repeat(1000)}\\\\"]`)).not.toThrow();
    expect(() => check(`["\\\\",${'['.repeat(1000)}`)).toThrow(refused);
    expect(() => check('["no end \\')).not.toThrow();
  });
});
