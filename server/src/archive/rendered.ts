/** Rendered frames and thumbnails (PS3.18 10.4.1.1.3): pictures for a browser, made on request. */
import type { Request, Response } from 'express';
import sharp from 'sharp';
import type { CodecPool } from '../codec/codec-pool.ts';
import type { Part10File } from '../dicom/part10-file.ts';
import { StainError } from '../errors.ts';
import { negotiateRendered } from './accept.ts';
import { isUnchanged } from './caching.ts';
import type { IndexedInstance } from './folder-index.ts';
import { signalOf } from './multipart-response.ts';
import type { OpenFiles } from './open-files.ts';

const JPEG_QUALITY = 90;
const MAX_VIEWPORT = 4096;

/** Pixels of a stored frame as rows x columns RGB. @throws FRAME_INVALID, TRANSFER_SYNTAX_UNSUPPORTED, and those of decoding */
export function decodeStoredFrame(
  { dataset, transferSyntaxUid }: Part10File,
  stored: Uint8Array,
  codecs: CodecPool,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const format = {
    transferSyntaxUid,
    rows: dataset.number('Rows') ?? 0,
    columns: dataset.number('Columns') ?? 0,
    photometricInterpretation: dataset.string('PhotometricInterpretation') ?? 'RGB',
    planarConfiguration: dataset.number('PlanarConfiguration') ?? 0,
  };
  return codecs.decode(stored, format, { table: undefined, signal });
}

/**
 * One frame as JPEG or PNG; `viewport=width,height` bounds its size.
 * @param frameNumber 1-based
 * @throws NOT_ACCEPTABLE, REQUEST_INVALID, NOT_FOUND, and those of decoding
 */
export async function sendRendered(
  request: Request,
  response: Response,
  instance: IndexedInstance,
  frameNumber: number,
  files: OpenFiles,
  codecs: CodecPool,
): Promise<void> {
  const type = negotiateRendered(request.get('accept'));
  const viewport = parseViewport(request.query.viewport);
  const picture = await files.with(instance, async (file) => {
    if (!Number.isInteger(frameNumber) || frameNumber < 1 || frameNumber > file.numberOfFrames)
      throw new StainError('NOT_FOUND', `There is no such frame; the instance has ${file.numberOfFrames}.`);
    if (isUnchanged(request, response, [instance])) return undefined;
    const rgb = await decodeStoredFrame(file, await file.frame(frameNumber - 1), codecs, signalOf(response));
    const raw = {
      width: file.dataset.number('Columns') ?? 0,
      height: file.dataset.number('Rows') ?? 0,
      channels: 3,
    } as const;
    const image = sharp(rgb, { raw });
    if (viewport) image.resize({ ...viewport, fit: 'inside', withoutEnlargement: true });
    return type === 'image/png' ? image.png().toBuffer() : image.jpeg({ quality: JPEG_QUALITY }).toBuffer();
  });
  if (picture) response.type(type).send(picture);
}

function parseViewport(text: unknown): { width: number; height: number } | undefined {
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
