/** Picture files: PNG, JPEG and TIFF, with sharp. */
import { basename } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { StainError } from '../../../core/src/errors.ts';
import type { Raster } from '../../../core/src/image/raster.ts';

/** A larger picture counts as a slide. */
const MAX_PIXELS = 268_402_689;
/** Supported formats. libvips reads more, but some of them can refer to other files. */
const FORMATS = new Set(['png', 'jpeg', 'tiff']);
/** Longer side of a template's thumbnail, in pixels. */
const THUMBNAIL_SIZE = 320;
/** Maximum size of a thumbnail from elsewhere. */
const MAX_THUMBNAIL_PIXELS = 4_000_000;

export interface Picture extends Raster {
  /** The embedded ICC profile, by which the pixels were converted. */
  readonly profile: Uint8Array | undefined;
}

/**
 * Reads a picture as sRGB, applying its ICC profile and EXIF orientation; transparency becomes white.
 * @param onNote called with a sentence about what is not read from the file
 * @throws IMAGE_INVALID
 */
export async function readImage(path: string, onNote: (note: string) => void): Promise<Picture> {
  try {
    const image = sharp(path, { limitInputPixels: MAX_PIXELS });
    const { format, depth, space, icc, pages = 1 } = await image.metadata();
    if (!FORMATS.has(format)) throw new Error(`its format is ${format}`);
    if (depth !== 'uchar' || space !== 'srgb') throw new Error(`its pixels are ${space} of type ${depth}`);
    if (pages > 1) onNote(`Only the first of the ${pages} pages of "${basename(path)}" is read.`);
    const rgb = image.autoOrient().flatten({ background: '#fff' }).toColourspace('srgb');
    const { data, info } = await rgb.raw().toBuffer({ resolveWithObject: true });
    return {
      width: info.width,
      height: info.height,
      rgb: new Uint8Array(data.buffer, data.byteOffset, data.length),
      profile: icc,
    };
  } catch (cause) {
    throw new StainError(
      'IMAGE_INVALID',
      `"${path}" cannot be read as an 8-bit RGB picture: ${(cause as Error).message}.`,
      { cause },
    );
  }
}

/**
 * Writes a picture in the format of its file name, with an sRGB profile.
 * @throws IMAGE_INVALID for a name without a picture extension, or a folder that cannot be written
 */
export async function writeImage(path: string, raster: Raster): Promise<void> {
  try {
    const image = fromRaster(raster).withIccProfile('srgb');
    // By default sharp would compress TIFF with JPEG.
    const written = /\.jpe?g$/i.test(path)
      ? image.jpeg({ quality: 95, chromaSubsampling: '4:4:4' })
      : /\.tiff?$/i.test(path)
        ? image.tiff({ compression: 'deflate' })
        : image;
    await written.toFile(path);
  } catch (cause) {
    throw new StainError('IMAGE_INVALID', `"${path}" cannot be written: ${(cause as Error).message}.`, {
      cause,
    });
  }
}

/** A small JPEG of the picture. */
export async function thumbnailJpeg(raster: Raster): Promise<Uint8Array> {
  return fromRaster(raster)
    .resize(THUMBNAIL_SIZE, THUMBNAIL_SIZE, { fit: 'inside' })
    .jpeg({ quality: 85 })
    .toBuffer();
}

/** A JPEG for a page of pictures: sides of at most `side` pixels, colours at full resolution. */
export async function sheetJpeg(raster: Raster, side: number): Promise<Uint8Array> {
  return fromRaster(raster)
    .resize(side, side, { fit: 'inside', withoutEnlargement: true })
    .jpeg({ quality: 88, chromaSubsampling: '4:4:4' })
    .toBuffer();
}

/**
 * The picture of a JPEG from elsewhere, encoded again: nothing but pixels remains.
 * @throws if it is not a JPEG, or much larger than a thumbnail
 */
export async function harmlessThumbnail(jpeg: Uint8Array): Promise<Uint8Array> {
  // Checked before libvips reads it, which would accept other formats too.
  if (jpeg[0] !== 0xff || jpeg[1] !== 0xd8 || jpeg[2] !== 0xff) throw new Error('it is not a JPEG');
  return sharp(jpeg, { limitInputPixels: MAX_THUMBNAIL_PIXELS, failOn: 'error' })
    .toColourspace('srgb')
    .resize(THUMBNAIL_SIZE, THUMBNAIL_SIZE, { fit: 'inside', withoutEnlargement: true })
    .jpeg({ quality: 85 })
    .toBuffer();
}

function fromRaster({ width, height, rgb }: Raster): Sharp {
  return sharp(rgb, { raw: { width, height, channels: 3 } });
}
