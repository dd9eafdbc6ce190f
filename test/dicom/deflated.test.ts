import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deflatedStart, inflateFile } from '../../server/src/dicom/deflated.ts';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { deflateFile } from '../support/deflate-file.ts';
import { EXPLICIT_LITTLE_ENDIAN } from '../support/make-slide.ts';
import { runs } from '../support/property-runs.ts';
import { collect, noise, storableSlide } from '../support/storable.ts';
import { temporaryFolder } from './temporary-folder.ts';

const frames = [1, 2, 3].map((seed) => noise(16 * 16 * 3, seed));
const uncompressed = { transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN, photometricInterpretation: 'RGB' };
const plain = storableSlide('deflated', { ...uncompressed, frames });
const deflated = deflateFile(plain.bytes);

async function* inSteps(bytes: Uint8Array, step: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
}

describe('a deflated file', () => {
  it('is inflated to a file with the same header and frames', async () => {
    await using folder = await temporaryFolder();
    const path = await folder.write('a.dcm', await collect(inflateFile(inSteps(deflated, 1000))));
    await using file = await openPart10(path);
    expect(file.transferSyntaxUid).toBe(EXPLICIT_LITTLE_ENDIAN);
    expect(file.meta.string('MediaStorageSOPInstanceUID')).toBe(plain.sopInstanceUid);
    expect(file.dataset.string('StudyInstanceUID')).toBe(plain.studyUid);
    for (const [i, frame] of frames.entries()) expect(Buffer.compare(await file.frame(i), frame)).toBe(0);
  });

  it('gives the same in steps of any size', async () => {
    const whole = await collect(inflateFile(inSteps(deflated, deflated.length)));
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: deflated.length }), async (step) => {
        expect((await collect(inflateFile(inSteps(deflated, step)))).equals(whole)).toBe(true);
      }),
      { numRuns: runs(20) },
    );
  });

  it('is refused if it ends too early or is damaged', async () => {
    const damaged = Buffer.from(deflated);
    damaged[deflatedStart(deflated)!.end] = 0xff;
    for (const bytes of [damaged, deflated.subarray(0, deflated.length - 8)])
      await expect(collect(inflateFile(inSteps(bytes, 1000)))).rejects.toMatchObject({
        code: 'DICOM_INVALID',
        message: expect.stringMatching(/deflated data set is damaged/),
      });
  });

  it('is inflated no further than it is read, and its source is released', async () => {
    const bomb = deflateFile(
      storableSlide('bomb', { ...uncompressed, frames: [new Uint8Array(300e6)] }).bytes,
    );
    let [taken, isClosed] = [0, false];
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for await (const chunk of inSteps(bomb, 16)) {
          taken += chunk.length;
          yield chunk;
        }
      } finally {
        isClosed = true;
      }
    }
    let read = 0;
    for await (const chunk of inflateFile(source())) {
      read += chunk.length;
      if (read > 1e6) break;
    }
    expect(read).toBeLessThan(2e6);
    expect(taken).toBeLessThan(bomb.length / 2);
    expect(isClosed).toBe(true);
  });
});

it('any other file passes through unchanged, even one that is not DICOM', async () => {
  for (const bytes of [
    plain.bytes,
    storableSlide('jpeg').bytes,
    noise(100_000, 1),
    noise(3, 1),
    new Uint8Array(0),
  ])
    expect((await collect(inflateFile(inSteps(bytes, 777)))).equals(bytes)).toBe(true);
});
