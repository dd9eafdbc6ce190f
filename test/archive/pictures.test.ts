import { expect, test } from 'vitest';
import { Pictures } from '../../server/src/archive/pictures.ts';
import type { CodecPool } from '../../server/src/codec/codec-pool.ts';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import type { Part10File } from '../../server/src/dicom/part10-file.ts';

const { signal } = new AbortController();

test('a stored tile does not wait for large pictures that are being decoded', async () => {
  const decoding = Promise.withResolvers<Uint8Array>();
  const pictures = new Pictures({ decode: () => decoding.promise } as unknown as CodecPool);
  const fileOf = (side: number, length: number): Part10File =>
    ({
      transferSyntaxUid: '1.2.840.10008.1.2.4.50',
      dataset: DataSet.of({ Rows: side, Columns: side }),
      frameLength: async () => length,
      frame: async () => new Uint8Array(length),
    }) as unknown as Part10File;
  const large = Array.from({ length: 4 }, () => pictures.decoded(fileOf(9000, 1000), 0, signal));
  await expect.poll(() => pictures.waiting).toBe(2);
  using tile = await pictures.stored(fileOf(256, 5000), 0, signal);
  expect(tile.bytes).toHaveLength(5000);
  // One that is as large as a picture waits with them.
  const stored = pictures.stored(fileOf(9000, 200e6), 0, signal);
  await expect.poll(() => pictures.waiting).toBe(3);
  decoding.resolve(new Uint8Array(3));
  for (const one of [...large, stored]) (await one)[Symbol.dispose]();
});
