import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rewriteBulkData } from '../../server/src/dicomweb/rewrite-bulk-data.ts';
import { runs } from '../support/property-runs.ts';

/** Rewrites addresses of `archive` only. */
const replace = (address: string) =>
  address.startsWith('archive') ? address.replace('archive', 'ours') : undefined;

async function rewrite(text: string | Buffer, chunkBytes = Number.POSITIVE_INFINITY): Promise<string> {
  const bytes = Buffer.from(text);
  const step = Math.min(chunkBytes, Math.max(1, bytes.length));
  const chunks = Array.from({ length: Math.ceil(bytes.length / step) }, (_, i) =>
    bytes.subarray(i * step, (i + 1) * step),
  );
  return (await buffer(rewriteBulkData(Readable.from(chunks), replace))).toString();
}

describe('URLs of bulk data', () => {
  it.each([
    ['{"vr":"OB","BulkDataURI":"archive/1"}', '{"vr":"OB","BulkDataURI":"ours/1"}'],
    ['{"BulkDataURI" : "archive/1" , "vr":"OB"}', '{"BulkDataURI" : "ours/1" , "vr":"OB"}'],
    ['{"vr":"OB","BulkDataURI":"evil/1"}', '{"vr":"OB"}'],
    ['{"BulkDataURI":"evil/1","vr":"OB"}', '{"vr":"OB"}'],
    ['{"BulkDataURI":"evil/1"}', '{}'],
    ['{ "BulkDataURI":"evil/1","BulkDataURI":"evil/2" }', '{}'],
    ['{"BulkDataURI":"evil","BulkDataURI":"archive","a":1}', '{"BulkDataURI":"ours","a":1}'],
    ['{"a":1,"BulkDataURI":"evil","BulkDataURI":"evil","b":2}', '{"a":1,"b":2}'],
    ['{"Bulk\\u0044ataURI":"evil/1"}', '{}'],
    ['{"BulkDataURI":"\\u0061rchive\\/1"}', '{"BulkDataURI":"ours/1"}'],
    ['{"BulkDataURI":"evil\\"archive"}', '{}'],
    ['["BulkDataURI","evil",{"BulkDataURI":"evil"}]', '["BulkDataURI","evil",{}]'],
    [
      '{"x":"BulkDataURI","y":"\\"BulkDataURI\\":\\"evil\\""}',
      '{"x":"BulkDataURI","y":"\\"BulkDataURI\\":\\"evil\\""}',
    ],
    ['', ''],
    ['[]', '[]'],
    ['{"a":', '{"a":'],
  ])('%s', async (given, expected) => {
    for (const chunkBytes of [1, 2, 7, 1000])
      expect((await rewrite(given, chunkBytes)).replaceAll(/(?<=\{) +(?=\})/g, '')).toBe(expected);
  });

  it.each([
    '{"BulkDataURI":["evil"]}',
    '{"BulkDataURI":{"x":"evil"}}',
    '{"BulkDataURI":"\\x"}',
    `{"BulkDataURI":"${'x'.repeat(20_000)}"}`,
    `{"a":1,${' '.repeat(20_000)}"BulkDataURI":"evil"}`,
  ])('a malformed URL ends the response', async (given) => {
    await expect(rewrite(given)).rejects.toMatchObject({ code: 'ARCHIVE_PROTOCOL' });
  });

  it('nothing else in the JSON changes, however it is split into chunks', async () => {
    const strings = fc.oneof(
      fc.constantFrom('BulkDataURI', 'archive/1', 'evil', 'vr', '"', '\\', '{"BulkDataURI":"evil"}'),
      fc.string(),
    );
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        strings,
        fc.integer(),
        fc.constant(null),
        fc.array(tie('tree'), { maxLength: 4 }),
        fc.dictionary(
          strings.filter((key) => key !== 'BulkDataURI' && key !== '__proto__'),
          tie('tree'),
          { maxKeys: 4 },
        ),
        fc.record({ vr: fc.constant('OB'), BulkDataURI: strings, x: tie('tree') }),
      ),
    }));
    const expected = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(expected);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value).flatMap(([key, member]) => {
          if (key !== 'BulkDataURI') return [[key, expected(member)]];
          const address = replace(member as string);
          return address === undefined ? [] : [[key, address]];
        }),
      );
    };
    await fc.assert(
      fc.asyncProperty(
        tree,
        fc.nat(40),
        fc.constantFrom(undefined, 1, '\t'),
        async (value, bytes, indent) => {
          const rewritten = await rewrite(JSON.stringify(value, undefined, indent), bytes + 1);
          expect(JSON.parse(rewritten)).toEqual(expected(JSON.parse(JSON.stringify(value))));
        },
      ),
      { numRuns: runs(1000) },
    );
  });

  it('hundreds of megabytes pass through in little memory', async () => {
    const part = Buffer.from(
      `,{"00480105":{"vr":"SQ","Value":[{"BulkDataURI":"evil"},${'1.25,"text",'.repeat(80_000)}0]}}`,
    );
    let bytes = 0;
    let maxBytes = 0;
    const parts = 300;
    const stream = rewriteBulkData(
      Readable.from(
        (function* () {
          for (let i = 0; i < parts; i++) yield part;
        })(),
      ),
      replace,
    );
    const before = process.memoryUsage();
    for await (const chunk of stream) {
      bytes += chunk.length;
      const { heapUsed, external } = process.memoryUsage();
      maxBytes = Math.max(maxBytes, heapUsed + external - before.heapUsed - before.external);
    }
    expect(bytes).toBe(parts * (part.length - '"BulkDataURI":"evil"'.length));
    expect(bytes).toBeGreaterThan(250e6);
    expect(maxBytes).toBeLessThan(150e6);
  });
});
