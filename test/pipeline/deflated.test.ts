/** Jobs on deflated instances: the same result as for the original slide, within the same limits. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { deflateFile } from '../support/deflate-file.ts';
import { EXPLICIT_LITTLE_ENDIAN } from '../support/make-slide.ts';
import { createWorkplace, normalizeOnlySlide, type Workplace } from '../support/normalize.ts';
import { storableSlide } from '../support/storable.ts';
import { tissueSlide } from '../support/tissue-slide.ts';

const MAX_BYTES = 2e6;
let place: Workplace;
beforeEach(async () => {
  place = await createWorkplace({ STAIN_LIMITS_MAX_INSTANCE_BYTES: `${MAX_BYTES}` });
});
afterEach(() => place[Symbol.asyncDispose]());

/** Frames of the derived level. */
async function normalized(name: string, file: Uint8Array): Promise<string[]> {
  const [source, derived] = [join(place.folder, name), join(place.folder, `${name}-derived`)];
  await mkdir(source);
  await writeFile(join(source, 'base.dcm'), file);
  await using from = await place.open(source);
  await using to = await place.open(derived);
  await normalizeOnlySlide(place, from, to, { model: 'fast' });
  const [made] = (await readdir(derived, { recursive: true })).filter((one) => one.endsWith('.dcm'));
  await using part10 = await openPart10(join(derived, made!));
  const frames: string[] = [];
  for (let i = 0; i < part10.numberOfFrames; i++)
    frames.push(Buffer.from(await part10.frame(i)).toString('base64'));
  return frames;
}

it('gives the same pixels as the uncompressed slide', async () => {
  const { bytes } = tissueSlide('deflated');
  expect(await normalized('deflated', deflateFile(bytes))).toEqual(await normalized('plain', bytes));
});

it('is fetched only up to the maximum size of an instance, and leaves nothing behind', async () => {
  const bomb = storableSlide('bomb', {
    frames: [new Uint8Array(100 * MAX_BYTES)],
    transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN,
    photometricInterpretation: 'RGB',
  });
  await expect(normalized('bomb', deflateFile(bomb.bytes))).rejects.toMatchObject({
    code: 'SLIDE_TOO_LARGE',
    message: expect.stringContaining(`limit of ${MAX_BYTES} bytes`),
  });
  expect(await readdir(place.spool)).toEqual([]);
});
