/** Rendered frames and thumbnails (PS3.18 10.4.1.1.3): pictures for a browser, made on request. */
import type { Request, Response } from 'express';
import sharp from 'sharp';
import { StainError } from '../../../core/src/errors.ts';
import type { Raster } from '../../../core/src/image/raster.ts';
import type { Rectangle } from '../../../core/src/image/windows.ts';
import { leaving } from '../web/leaving.ts';
import { negotiateRendered } from './accept.ts';
import { isUnchanged } from './caching.ts';
import { type IndexedInstance, versionOf } from './folder-index.ts';
import { onlyHead, write } from './multipart-response.ts';
import type { OpenFiles } from './open-files.ts';
import type { Pictures } from './pictures.ts';

const JPEG_QUALITY = 90;
const MAX_VIEWPORT = 4096;

/** How a picture is asked for (PS3.18 8.3.5.1). Windows and annotations are for other images than colour slides. */
export interface Rendering {
  /** Of JPEG. */
  readonly quality: number;
  /** Its greatest size. */
  readonly viewport: { readonly width: number; readonly height: number } | undefined;
  /** The part that is shown; a negative width or height mirrors it. */
  readonly region: Rectangle | undefined;
}

/**
 * One frame as JPEG or PNG.
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
  const rendering = readRendering(request.url);
  using held = new DisposableStack();
  const picture = await files.with(instance, signal, async (file) => {
    if (!Number.isInteger(frameNumber) || frameNumber < 1 || frameNumber > file.numberOfFrames)
      throw new StainError(
        'NOT_FOUND',
        `There is no such frame; the instance has ${file.numberOfFrames} frames.`,
      );
    if (isUnchanged(request, response, [versionOf(instance)])) return undefined;
    if (request.method === 'HEAD') return void onlyHead(response, type);
    const frame = held.use(await pictures.decoded(file, frameNumber - 1, signal));
    const size = { width: file.dataset.number('Columns') ?? 0, height: file.dataset.number('Rows') ?? 0 };
    const made = await pictureOf({ ...size, rgb: frame.bytes }, type, rendering);
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

/** @throws REQUEST_INVALID if the region reaches beyond the picture */
export async function pictureOf(
  { width, height, rgb }: Raster,
  type: PictureType,
  { quality, viewport, region }: Rendering,
): Promise<Buffer> {
  const image = sharp(rgb, { raw: { width, height, channels: 3 } });
  if (region) {
    const [across, down] = [Math.abs(region.width), Math.abs(region.height)];
    if (region.x + across > width || region.y + down > height)
      throw new StainError(
        'REQUEST_INVALID',
        `The region of the viewport reaches beyond the picture of ${width} x ${height} pixels.`,
      );
    image.extract({ left: region.x, top: region.y, width: across, height: down });
    if (region.width < 0) image.flop();
    if (region.height < 0) image.flip();
  }
  if (viewport) image.resize({ ...viewport, fit: 'inside', withoutEnlargement: true });
  return (type === 'image/png' ? image.png() : image.jpeg({ quality })).toBuffer();
}

/** Reads `viewport=width,height,x,y,width,height`, of which the last four may be absent, and `quality`. @throws REQUEST_INVALID */
export function readRendering(url: string): Rendering {
  const query = new URL(url, 'http://localhost').searchParams;
  const quality = Number(query.get('quality') || JPEG_QUALITY);
  if (!isBetween(quality, 1, 100))
    throw new StainError('REQUEST_INVALID', 'quality must be a whole number from 1 to 100.');
  const text = query.get('viewport');
  if (!text) return { quality, viewport: undefined, region: undefined };
  const [width, height, ...region] = text.split(',').map((part) => Math.round(Number(part)));
  if (!isBetween(width, 1, MAX_VIEWPORT) || !isBetween(height, 1, MAX_VIEWPORT))
    throw new StainError(
      'REQUEST_INVALID',
      `viewport must begin with a width and a height from 1 to ${MAX_VIEWPORT}.`,
    );
  return { quality, viewport: { width, height }, region: region.length > 0 ? regionOf(region) : undefined };
}

function regionOf([x = -1, y = -1, width = 0, height = 0, ...more]: readonly number[]): Rectangle {
  const isSide = (side: number): boolean => isBetween(Math.abs(side), 1, MAX_SIDE);
  if (
    !isBetween(x, 0, MAX_SIDE) ||
    !isBetween(y, 0, MAX_SIDE) ||
    !isSide(width) ||
    !isSide(height) ||
    more.length > 0
  )
    throw new StainError(
      'REQUEST_INVALID',
      'The region of a viewport is x, y, width and height in pixels of the picture.',
    );
  return { x, y, width, height };
}

/** More than any picture has. */
const MAX_SIDE = 1e6;

function isBetween(value: number | undefined, least: number, most: number): value is number {
  return value !== undefined && Number.isInteger(value) && value >= least && value <= most;
}
