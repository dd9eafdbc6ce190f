/** Our codecs against independent ones: imagecodecs (libjpeg-turbo, OpenJPEG, OpenJPH, CharLS), Pillow (LittleCMS). */
import '../../server/src/codec/node-codecs.ts';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { applyColourTable } from '../../core/src/codec/colour-table.ts';
import { decodeFrame } from '../../core/src/codec/decode-frame.ts';
import { encodeFrame } from '../../server/src/codec/encode-frame.ts';
import { makeColourTable } from '../../server/src/codec/icc.ts';
import { openPart10, type Part10File } from '../../server/src/dicom/part10-file.ts';
import { frameFormat, largestDifference, meanDifference, testFrame } from '../codec/frames.ts';
import { ADOBE_RGB, matrixProfile, SRGB } from '../codec/profiles.ts';
import { python, runPython, sharedSlide } from '../support/peers.ts';

const [COLUMNS, ROWS] = [127, 65];
const rgb = testFrame(COLUMNS, ROWS);
let folder: string;
const read = async (name: string): Promise<Uint8Array> => new Uint8Array(await readFile(join(folder, name)));
const write = (name: string, bytes: Uint8Array): Promise<void> => writeFile(join(folder, name), bytes);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'codec-peers-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe.skipIf(python.missing)(`independent codecs${python.note}`, () => {
  it('decode our frames as we do', async () => {
    const encode = (encoding: 'jpeg' | 'jpeg2000' | 'htj2k') =>
      encodeFrame(rgb, { rows: ROWS, columns: COLUMNS, encoding, quality: 90 });
    const jpeg = await encode('jpeg');
    await write('ours.jpg', jpeg);
    await write('ours.j2k', await encode('jpeg2000'));
    await write('ours.jph', await encode('htj2k'));
    await runPython('codec_peers.py', 'decode', folder);
    expect(await read('ours.j2k.rgb')).toEqual(rgb);
    expect(await read('ours.jph.rgb')).toEqual(rgb);
    const decoded = await decodeFrame(jpeg, frameFormat('1.2.840.10008.1.2.4.50', COLUMNS, ROWS));
    // With another inverse DCT: the difference is a few grey levels at most.
    expect(largestDifference(await read('ours.jpg.rgb'), decoded)).toBeLessThanOrEqual(6);
    expect(meanDifference(await read('ours.jpg.rgb'), decoded)).toBeLessThan(1.5);
  });

  describe('are decoded', () => {
    beforeAll(async () => {
      await write('frame.rgb', rgb);
      await runPython('codec_peers.py', 'encode', folder, String(ROWS), String(COLUMNS));
    });

    it.each([
      ['lossless.jls', '1.2.840.10008.1.2.4.80', 'RGB'],
      ['lossless.rle', '1.2.840.10008.1.2.5', 'RGB'],
      ['lossless.j2k', '1.2.840.10008.1.2.4.90', 'YBR_RCT'],
      ['no-mct.j2k', '1.2.840.10008.1.2.4.90', 'RGB'],
      ['lossless.jph', '1.2.840.10008.1.2.4.201', 'YBR_RCT'],
    ])('exactly: %s', async (name, uid, photometricInterpretation) => {
      expect(
        await decodeFrame(await read(name), frameFormat(uid, COLUMNS, ROWS, { photometricInterpretation })),
      ).toEqual(rgb);
    });

    it.each([
      ['lossy.j2k', '1.2.840.10008.1.2.4.91', 'YBR_ICT', 2],
      ['ycc.jpg', '1.2.840.10008.1.2.4.50', 'YBR_FULL', 3],
      ['422.jpg', '1.2.840.10008.1.2.4.50', 'YBR_FULL_422', 4],
      ['420.jpg', '1.2.840.10008.1.2.4.50', 'YBR_FULL_422', 5],
      // The tags of the next two are wrong.
      ['422.jpg', '1.2.840.10008.1.2.4.50', 'RGB', 4],
      ['rgb.jpg', '1.2.840.10008.1.2.4.50', 'YBR_FULL_422', 3],
      ['rgb.jpg', '1.2.840.10008.1.2.4.50', 'RGB', 3],
    ])('closely: %s as %s %s', async (name, uid, photometricInterpretation, mean) => {
      const decoded = await decodeFrame(
        await read(name),
        frameFormat(uid, COLUMNS, ROWS, { photometricInterpretation }),
      );
      expect(meanDifference(decoded, rgb)).toBeLessThan(mean);
    });
  });

  it.each([
    ['gamma 1.8', matrixProfile(SRGB, 1.8)],
    ['wide primaries', matrixProfile(ADOBE_RGB, 2.2)],
  ])('convert by a profile as we do: %s', async (_name, profile) => {
    const colours = Uint8Array.from(
      { length: 3 * 16 ** 3 },
      (_, i) => ((Math.floor(i / 3) >> (4 * (i % 3))) & 15) * 17,
    );
    await write('profile.icc', profile);
    await write('colours.rgb', colours);
    await runPython('codec_peers.py', 'icc', folder);
    applyColourTable((await makeColourTable(profile))!, colours);
    const reference = await read('converted.rgb');
    // At the limits of the gamut of sRGB there is a bend within a cell of the lattice.
    expect(largestDifference(colours, reference)).toBeLessThanOrEqual(4);
    const off = colours.filter((value, i) => Math.abs(value - reference[i]!) > 2).length;
    expect(off / colours.length).toBeLessThan(0.005);
  });
});

describe('real slides', () => {
  const format = (file: Part10File) =>
    frameFormat(file.transferSyntaxUid, file.dataset.number('Columns')!, file.dataset.number('Rows')!, {
      photometricInterpretation: file.dataset.string('PhotometricInterpretation')!,
      planarConfiguration: file.dataset.number('PlanarConfiguration') ?? 0,
    });

  const cmu1 = sharedSlide('cmu1/level-3-frames-0-1.dcm');
  it.skipIf(cmu1.missing)(`CMU-1: tagged RGB, stored YCbCr${cmu1.note}`, async () => {
    await using file = await openPart10(cmu1.path);
    expect(file.dataset.string('PhotometricInterpretation')).toBe('RGB');
    const pixels = await decodeFrame(await file.frame(0), format(file));
    await file.close();
    // Read as RGB, chroma would be green and blue: near 128 everywhere, and never as bright as glass.
    for (const channel of [1, 2])
      expect(pixels.filter((_, i) => i % 3 === channel).toSorted()[pixels.length / 6]).toBeGreaterThan(180);
  });

  const srgb = sharedSlide('highdicom_sm_image.dcm');
  it.skipIf(srgb.missing)(
    `the sRGB profile of the International Color Consortium is recognised${srgb.note}`,
    async () => {
      await using file = await openPart10(srgb.path);
      const profile = file.dataset.items('OpticalPathSequence')[0]!.bytes('ICCProfile')!;
      await file.close();
      expect(profile.length).toBe(3144);
      expect(await makeColourTable(profile)).toBeUndefined();
    },
  );

  const jpegLs = sharedSlide('highdicom_sm_image_jpegls.dcm');
  const native = sharedSlide('highdicom_sm_image.dcm');
  it.skipIf(jpegLs.missing || native.missing)(
    `the same frames as JPEG-LS and uncompressed${jpegLs.note}${native.note}`,
    async () => {
      await using a = await openPart10(jpegLs.path);
      await using b = await openPart10(native.path);
      expect(a.numberOfFrames).toBe(b.numberOfFrames);
      for (let frame = 0; frame < a.numberOfFrames; frame++)
        expect(await decodeFrame(await a.frame(frame), format(a))).toEqual(
          await decodeFrame(await b.frame(frame), format(b)),
        );
      await a.close();
      await b.close();
    },
  );
});
