import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readImage as read, thumbnailJpeg, writeImage } from '../../server/src/codec/image-file.ts';
import { meanDifference, testFrame } from './frames.ts';

const raster = { width: 60, height: 40, rgb: testFrame(60, 40) };
const image = () => sharp(raster.rgb, { raw: { width: 60, height: 40, channels: 3 } });
let folder: string;
let notes: string[] = [];
const readImage = (path: string) => read(path, (note) => notes.push(note));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-file-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('image files', () => {
  it.each(['a.png', 'a.tif', 'a.TIFF'])('returns exactly what was written: %s', async (name) => {
    await writeImage(join(folder, name), raster);
    expect(await readImage(join(folder, name))).toMatchObject(raster);
  });

  it('says that further pages of a TIFF are not read', async () => {
    notes = [];
    await image()
      .tiff({ compression: 'none', tile: true, tileWidth: 16, tileHeight: 16, pyramid: true })
      .toFile(join(folder, 'pages.tif'));
    expect(await readImage(join(folder, 'pages.tif'))).toMatchObject(raster);
    expect(notes).toEqual([
      expect.stringMatching(/^Only the first of the \d pages of "pages.tif" is read\.$/),
    ]);
    await writeImage(join(folder, 'one.tif'), raster);
    await readImage(join(folder, 'one.tif'));
    expect(notes).toHaveLength(1);
  });

  it('writes JPEG close to the picture', async () => {
    await writeImage(join(folder, 'a.jpg'), raster);
    const { rgb } = await readImage(join(folder, 'a.jpg'));
    expect(meanDifference(rgb, raster.rgb)).toBeLessThan(3);
  });

  it('turns a picture by its EXIF orientation', async () => {
    await image().withMetadata({ orientation: 6 }).png().toFile(join(folder, 'turned.png'));
    expect(await readImage(join(folder, 'turned.png'))).toMatchObject({ width: 40, height: 60 });
  });

  it('converts to sRGB by the embedded profile', async () => {
    const p3 = await image().withIccProfile('p3').png().toBuffer();
    const stored = await sharp(p3, { ignoreIcc: true }).raw().toBuffer();
    expect(meanDifference(stored, raster.rgb)).toBeGreaterThan(2);
    await writeFile(join(folder, 'p3.png'), p3);
    expect(meanDifference((await readImage(join(folder, 'p3.png'))).rgb, raster.rgb)).toBeLessThan(1);
  });

  it.each([
    ['16 bits', () => image().toColourspace('rgb16').png()],
    ['grey', () => image().toColourspace('b-w').png()],
    ['CMYK', () => image().toColourspace('cmyk').jpeg()],
    ['another format', () => image().webp()],
  ])('refuses %s', async (name, make) => {
    const path = join(folder, `${name}.png`);
    await writeFile(path, await make().toBuffer());
    await expect(readImage(path)).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
  });

  it('refuses files that are not pictures, are truncated, or cannot be written', async () => {
    await writeFile(join(folder, 'text.png'), 'not a picture');
    const png = await image().png().toBuffer();
    await writeFile(join(folder, 'half.png'), png.subarray(0, png.length / 2));
    for (const name of ['absent.png', 'text.png', 'half.png'])
      await expect(readImage(join(folder, name))).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
    for (const name of ['a.dcm', 'absent/a.png'])
      await expect(writeImage(join(folder, name), raster)).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
  });

  it('makes thumbnails of at most 320 pixels', async () => {
    const big = { width: 1000, height: 500, rgb: testFrame(1000, 500) };
    expect(await sharp(await thumbnailJpeg(big)).metadata()).toMatchObject({
      format: 'jpeg',
      width: 320,
      height: 160,
    });
  });
});
