import '../../../server/src/codec/node-codecs.ts';
import jpegTurbo from '@julusian/jpeg-turbo';
import { describe, expect, it } from 'vitest';
import { decodeFrame } from '../../../core/src/codec/decode-frame.ts';
import { asYbrFull422 } from '../../../core/src/codec/jpeg.ts';
import { encodeFrame } from '../../../server/src/codec/encode-frame.ts';
import { frameFormat, meanDifference, testFrame, toYbrFull } from '../../codec/frames.ts';

const BASELINE = '1.2.840.10008.1.2.4.50';
const APP14_RGB = Buffer.from('ffee000e41646f62650064000000000000', 'hex').subarray(0, 16);

function encode(rgb: Uint8Array, width: number, height: number, subsampling: number, quality = 95): Buffer {
  return jpegTurbo.compressSync(Buffer.from(rgb), {
    format: jpegTurbo.FORMAT_RGB,
    width,
    height,
    subsampling,
    quality,
  });
}

/** The codestream without its JFIF segment, and with another one in its place. */
function withoutJfif(jpeg: Buffer, instead = Buffer.alloc(0)): Buffer {
  expect(jpeg.subarray(2, 4).toString('hex')).toBe('ffe0');
  return Buffer.concat([jpeg.subarray(0, 2), instead, jpeg.subarray(4 + jpeg.readUInt16BE(4))]);
}

/** With other component identifiers in frame and scan header. */
function withIdentifiers(jpeg: Buffer, identifiers: string): Buffer {
  const copy = Buffer.from(jpeg);
  const [frame, scan] = [
    copy.indexOf(Buffer.from('ffc00011', 'hex')),
    copy.indexOf(Buffer.from('ffda000c', 'hex')),
  ];
  [...identifiers].forEach((letter, c) => {
    copy[frame + 10 + 3 * c] = letter.charCodeAt(0);
    copy[scan + 5 + 2 * c] = letter.charCodeAt(0);
  });
  return copy;
}

/** 16 x 16, baseline, one scan for each component: `cjpeg -quality 50 -sample 2x1 -baseline -scans FILE`. */
const THREE_SCANS = [
  '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19i',
  'Z2hnPk1xeXBkeFxlZ2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2Nj',
  'Y2NjY2NjY2P/wAARCAAQABADASEAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUF',
  'BAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVW',
  'V1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi',
  '4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/AOSgtenFaMFn04q1bWvTitW2s+nFf//EAB8BAAMBAQEBAQEBAQEAAAAAAAABAgME',
  'BQYHCAkKC//EALURAAIBAgQEAwQHBQQEAAECdwABAgMRBAUhMQYSQVEHYXETIjKBCBRCkaGxwQkjM1LwFWJy0QoWJDThJfEXGBka',
  'JicoKSo1Njc4OTpDREVGR0hJSlNUVVZXWFlaY2RlZmdoaWpzdHV2d3h5eoKDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2',
  't7i5usLDxMXGx8jJytLT1NXW19jZ2uLj5OXm5+jp6vLz9PX29/j5+v/aAAgBAhEAPwDnfvDoe8f/2gAIAQMRAD8A7sFV2PMwlU//',
  '2Q==',
];

describe('a stored frame in an instance of YBR_FULL_422', () => {
  const format = frameFormat(BASELINE, 16, 16);
  const named = { ...format, photometricInterpretation: 'YBR_FULL_422' };
  const other = { ...format, photometricInterpretation: 'RGB' };
  const jpeg = encode(testFrame(16, 16), 16, 16, jpegTurbo.SAMP_422);

  it('may be YCbCr by JFIF and by its subsampling, not RGB by the Adobe flag or the component identifiers', () => {
    expect(asYbrFull422(jpeg, other)).toEqual(jpeg);
    expect(asYbrFull422(withoutJfif(jpeg), other)).toBeDefined();
    expect(asYbrFull422(withoutJfif(jpeg, APP14_RGB), named)).toBeUndefined();
    expect(asYbrFull422(withIdentifiers(withoutJfif(jpeg), 'RGB'), named)).toBeUndefined();
  });

  it('has 4:2:2 subsampling, or an instance of its own that states the same', () => {
    const quarter = encode(testFrame(16, 16), 16, 16, jpegTurbo.SAMP_420);
    expect(asYbrFull422(quarter, other)).toBeUndefined();
    expect(asYbrFull422(quarter, named)).toBeDefined();
  });

  it('is baseline, complete, of the size in its header, and ends with its end marker', () => {
    const extended = Buffer.from(jpeg);
    extended[extended.indexOf(Buffer.from('ffc00011', 'hex')) + 1] = 0xc1;
    expect(asYbrFull422(extended, named)).toBeUndefined();
    for (const behind of ['00', '0d0a', 'ffd9', '0d0affd90000'])
      expect(asYbrFull422(Buffer.concat([jpeg, Buffer.from(behind, 'hex')]), named)).toEqual(jpeg);
    expect(asYbrFull422(jpeg.subarray(0, jpeg.length - 2), named)).toBeUndefined();
    expect(() => asYbrFull422(jpeg, frameFormat(BASELINE, 32, 16))).toThrow(/codestream holds/);
  });
});

describe('the colour space of a JPEG frame', () => {
  const rgb = testFrame(32, 32);
  const [full, half] = [jpegTurbo.SAMP_444, jpegTurbo.SAMP_422].map((sampling) =>
    withoutJfif(encode(rgb, 32, 32, sampling, 100)),
  );
  const decode = (bytes: Buffer, photometricInterpretation: string): Promise<Uint8Array> =>
    decodeFrame(bytes, frameFormat(BASELINE, 32, 32, { photometricInterpretation }));

  // The components contain YCbCr: read as RGB they equal the output of toYbrFull.
  it.each([
    ['identifiers 1 2 3', full!, 'RGB', 'YCbCr'],
    ['identifiers 0 1 2, tagged RGB', withIdentifiers(full!, '\0\x01\x02'), 'RGB', 'RGB'],
    ['identifiers 0 1 2, tagged YBR_FULL', withIdentifiers(full!, '\0\x01\x02'), 'YBR_FULL', 'YCbCr'],
    ['identifiers 0 1 2, subsampled, tagged RGB', withIdentifiers(half!, '\0\x01\x02'), 'RGB', 'YCbCr'],
    ['identifiers R G B, tagged YBR_FULL_422', withIdentifiers(full!, 'RGB'), 'YBR_FULL_422', 'RGB'],
  ])('%s', async (_name, bytes, tag, colours) => {
    const expected = colours === 'RGB' ? toYbrFull(rgb) : rgb;
    expect(meanDifference(await decode(bytes, tag), expected)).toBeLessThan(4);
  });
});

describe('JPEG baseline', () => {
  it.each([
    ['4:4:4', jpegTurbo.SAMP_444, 64, 48],
    ['4:2:2', jpegTurbo.SAMP_422, 64, 48],
    ['4:2:0', jpegTurbo.SAMP_420, 64, 48],
    ['4:4:4', jpegTurbo.SAMP_444, 37, 21],
    ['4:2:2', jpegTurbo.SAMP_422, 37, 21],
    ['4:2:0', jpegTurbo.SAMP_420, 37, 21],
  ])('decodes %s (%#)', async (_name, subsampling, width, height) => {
    const rgb = testFrame(width, height);
    const decoded = await decodeFrame(
      encode(rgb, width, height, subsampling),
      frameFormat(BASELINE, width, height),
    );
    expect(meanDifference(decoded, rgb)).toBeLessThan(5);
  });

  it('reads YCbCr as YCbCr even if the header says RGB, as in CMU-1', async () => {
    const rgb = testFrame(32, 32);
    const jpeg = encode(rgb, 32, 32, jpegTurbo.SAMP_422);
    const asRgb = await decodeFrame(
      jpeg,
      frameFormat(BASELINE, 32, 32, { photometricInterpretation: 'RGB' }),
    );
    const asYbr = await decodeFrame(
      jpeg,
      frameFormat(BASELINE, 32, 32, { photometricInterpretation: 'YBR_FULL_422' }),
    );
    expect(asRgb).toEqual(asYbr);
    expect(meanDifference(asRgb, rgb)).toBeLessThan(6);
  });

  it.each([
    ['an Adobe marker with transform 0', (jpeg: Buffer) => withoutJfif(jpeg, APP14_RGB)],
    ['component identifiers R, G, B', (jpeg: Buffer) => withIdentifiers(withoutJfif(jpeg), 'RGB')],
  ])('reads RGB as RGB by %s, whatever the header says', async (_name, mark) => {
    const rgb = testFrame(32, 32);
    const jpeg = encode(rgb, 32, 32, jpegTurbo.SAMP_444);
    const format = frameFormat(BASELINE, 32, 32, { photometricInterpretation: 'YBR_FULL_422' });
    // The components of this codestream are the YCbCr of the frame; marked as RGB they come out unchanged.
    expect(meanDifference(await decodeFrame(mark(jpeg), format), toYbrFull(rgb))).toBeLessThan(3);
  });

  it('refuses a frame of another size before it decodes it', async () => {
    const jpeg = encode(testFrame(32, 16), 32, 16, jpegTurbo.SAMP_422);
    await expect(decodeFrame(jpeg, frameFormat(BASELINE, 16, 32))).rejects.toMatchObject({
      code: 'FRAME_SIZE_MISMATCH',
    });
    const huge = Buffer.from(jpeg);
    huge.writeUInt32BE(0xffffffff, huge.indexOf(Buffer.from('ffc00011', 'hex')) + 5);
    await expect(decodeFrame(huge, frameFormat(BASELINE, 32, 16))).rejects.toMatchObject({
      code: 'FRAME_SIZE_MISMATCH',
    });
  });

  it('refuses a header that libjpeg would read differently', async () => {
    const jpeg = encode(testFrame(32, 16), 32, 16, jpegTurbo.SAMP_422);
    // RST0 has no length: libjpeg would find the second frame header inside what a naive reader skips.
    const hidden = Buffer.from('ffd00013ffc00011083fffffff03012200021101031101', 'hex');
    const hostile = Buffer.concat([jpeg.subarray(0, 2), hidden, jpeg.subarray(2)]);
    await expect(decodeFrame(hostile, frameFormat(BASELINE, 32, 16))).rejects.toMatchObject({
      code: 'FRAME_INVALID',
    });
  });

  it('refuses grey and progressive frames', async () => {
    const grey = jpegTurbo.compressSync(Buffer.alloc(256), {
      format: jpegTurbo.FORMAT_GRAY,
      width: 16,
      height: 16,
      subsampling: jpegTurbo.SAMP_GRAY,
    });
    await expect(decodeFrame(grey, frameFormat(BASELINE, 16, 16))).rejects.toMatchObject({
      code: 'PIXEL_FORMAT_UNSUPPORTED',
    });
    const progressive = encode(testFrame(16, 16), 16, 16, jpegTurbo.SAMP_444);
    progressive[progressive.indexOf(Buffer.from('ffc00011', 'hex')) + 1] = 0xc2;
    await expect(decodeFrame(progressive, frameFormat(BASELINE, 16, 16))).rejects.toMatchObject({
      code: 'FRAME_INVALID',
    });
  });

  it.each([1, 2])('reads a frame that only lacks %i bytes of its end marker', async (missing) => {
    const jpeg = encode(testFrame(64, 64), 64, 64, jpegTurbo.SAMP_422);
    const format = frameFormat(BASELINE, 64, 64);
    expect(await decodeFrame(jpeg.subarray(0, -missing), format)).toEqual(await decodeFrame(jpeg, format));
  });

  it.each([8, 50, 500])('refuses a frame that lacks its last %i bytes', async (missing) => {
    const jpeg = encode(testFrame(64, 64), 64, 64, jpegTurbo.SAMP_422);
    await expect(
      decodeFrame(jpeg.subarray(0, -missing), frameFormat(BASELINE, 64, 64)),
    ).rejects.toMatchObject({
      code: 'FRAME_INVALID',
    });
  });

  it('reads a frame without its end marker, but with padding, whatever its last byte', async () => {
    for (let seed = 0; seed < 40; seed++) {
      const jpeg = encode(testFrame(24, 16, seed), 24, 16, jpegTurbo.SAMP_422);
      const cut = Buffer.concat([jpeg.subarray(0, -2), Buffer.alloc(1)]);
      const format = frameFormat(BASELINE, 24, 16);
      expect(await decodeFrame(cut, format), String(seed)).toEqual(await decodeFrame(jpeg, format));
    }
  });

  it('refuses a frame that lacks a whole scan, of which libjpeg does not warn', async () => {
    const jpeg = Buffer.from(THREE_SCANS.join(''), 'base64');
    const format = frameFormat(BASELINE, 16, 16);
    await decodeFrame(jpeg, format);
    const scans = [...jpeg.keys()].filter((at) => jpeg[at] === 0xff && jpeg[at + 1] === 0xda);
    expect(scans).toHaveLength(3);
    for (const scan of scans.slice(1))
      for (const cut of [
        jpeg.subarray(0, scan),
        Buffer.concat([jpeg.subarray(0, scan), jpeg.subarray(-2)]),
      ]) {
        await expect(decodeFrame(cut, format)).rejects.toMatchObject({ code: 'FRAME_INVALID' });
        expect(() => asYbrFull422(cut, format)).toThrow('lacks a scan');
      }
  });

  it('accepts padding after the end', async () => {
    const jpeg = encode(testFrame(64, 64), 64, 64, jpegTurbo.SAMP_422);
    const padded = Buffer.concat([jpeg, Buffer.alloc(33)]);
    expect(await decodeFrame(padded, frameFormat(BASELINE, 64, 64))).toEqual(
      await decodeFrame(jpeg, frameFormat(BASELINE, 64, 64)),
    );
  });

  it.each([
    [256, 256],
    [37, 21],
    [1, 1],
  ])('encodes %i x %i as JFIF YCbCr 4:2:2', async (columns, rows) => {
    const rgb = testFrame(columns, rows);
    const jpeg = Buffer.from(await encodeFrame(rgb, { columns, rows, encoding: 'jpeg', quality: 90 }));
    expect(jpeg.subarray(0, 11).toString('latin1')).toContain('JFIF');
    expect(jpeg.includes(Buffer.from('ffee', 'hex').subarray(0, 2)) && jpeg.includes('Adobe')).toBe(false);
    const frame = jpeg.indexOf(Buffer.from('ffc00011', 'hex'));
    expect([jpeg[frame + 11], jpeg[frame + 14], jpeg[frame + 17]]).toEqual([0x21, 0x11, 0x11]);
    const decoded = await decodeFrame(jpeg, frameFormat(BASELINE, columns, rows));
    expect(meanDifference(decoded, rgb)).toBeLessThan(6);
  });
});
