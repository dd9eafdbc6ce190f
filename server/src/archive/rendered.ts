/** Rendered frames and thumbnails (PS3.18 10.4.1.1.3): pictures for a browser, made on request. */
import type { Request, Response } from 'express';
import sharp from 'sharp';
import { StainError } from '../../../core/src/errors.ts';
import type { Raster } from '../../../core/src/image/raster.ts';
import { leaving } from '../web/leaving.ts';
import { negotiateRendered } from './accept.ts';
import { isUnchanged } from './caching.ts';
import { type IndexedInstance, versionOf } from './folder-index.ts';
import { write } from './multipart-response.ts';
import type { OpenFiles } from './open-files.ts';
import type { Pictures } from './pictures.ts';

const JPEG_QUALITY = 90;
const MAX_VIEWPORT = 4096;

/**
 * One frame as JPEG or PNG; `viewport=width,height` bounds its size.
 * @param frameNumber 1-based
 * @throws NOT_ACCEPTABLE, REQUEST_INVALID, NOT_FOUND, and the errors of decoding
 */
export async function sendRendered(
  request: Request,
  response: Response,
  instance: IndexedInstance,
  frameNumber: number,
  files: OpenFiles,
  pictures: Pictures,
): Promise<void> {
  const signal = leaving(response);
  const type = negotiateRendered(request.get('accept'));
  const viewport = parseViewport(request.query.viewport);
  using held = new DisposableStack();
  const picture = await files.with(instance, signal, async (file) => {
    if (!Number.isInteger(frameNumber) || frameNumber < 1 || frameNumber > file.numberOfFrames)
      throw new StainError(
        'NOT_FOUND',
        `There is no such frame; the instance has ${file.numberOfFrames} frames.`,
      );
    if (isUnchanged(request, response, [versionOf(instance)])) return undefined;
    const frame = held.use(await pictures.decoded(file, frameNumber - 1, signal));
    const size = { width: file.dataset.number('Columns') ?? 0, height: file.dataset.number('Rows') ?? 0 };
    const made = await pictureOf({ ...size, rgb: frame.bytes }, type, viewport);
    frame.replacedBy(made);
    return made;
  });
  if (!picture) return;
  response.setHeader('Content-Type', type);
  response.setHeader('Content-Length', picture.length);
  await write(response, picture);
  response.end();
}

export type PictureType = 'image/jpeg' | 'image/png';

/** @param viewport maximum size */
export function pictureOf(
  { width, height, rgb }: Raster,
  type: PictureType,
  viewport: { readonly width: number; readonly height: number } | undefined,
): Promise<Buffer> {
  const image = sharp(rgb, { raw: { width, height, channels: 3 } });
  if (viewport) image.resize({ ...viewport, fit: 'inside', withoutEnlargement: true });
  return (type === 'image/png' ? image.png() : image.jpeg({ quality: JPEG_QUALITY })).toBuffer();
}

/** @throws REQUEST_INVALID */
export function parseViewport(text: unknown): { width: number; height: number } | undefined {
  if (text === undefined) return undefined;
  const [width, height] = String(text).split(',').map(Number);
  if (!isSize(width) || !isSize(height))
    throw new StainError(
      'REQUEST_INVALID',
      `viewport must be a width and a height from 1 to ${MAX_VIEWPORT}.`,
    );
  return { width, height };
}

function isSize(value: number | undefined): value is number {
  return value !== undefined && Number.isInteger(value) && value >= 1 && value <= MAX_VIEWPORT;
}
