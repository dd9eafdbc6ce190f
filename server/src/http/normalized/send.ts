/** WADO-RS of the normalised archive: metadata, frames, pictures and bulk data, made on request. */
import type { Request, Response } from 'express';
import { outputSyntax } from '../../../../core/src/dicom/transfer-syntaxes.ts';
import { isOfContent, StainError, toStainError } from '../../../../core/src/errors.ts';
import { blankRaster, copyOverlap, type Raster, WHITE } from '../../../../core/src/image/raster.ts';
import { negotiateBulkData, negotiateFrames, negotiateRendered } from '../../archive/accept.ts';
import { isUnchanged } from '../../archive/caching.ts';
import { type OutgoingPart, onlyHead, sendParts, write, writeAll } from '../../archive/multipart-response.ts';
import { pictureOf, readRendering } from '../../archive/rendered.ts';
import { type BulkDataUri, binaryAt, dicomJsonPieces } from '../../dicom/to-json.ts';
import type { ListedSeries } from '../../normalized/catalogue.ts';
import { PICTURE_PIXELS } from '../../normalized/normalized-archive.ts';
import type { Level } from '../../slide/types.ts';
import type { Asked } from './asked.ts';

/** An instance of the normalised archive. */
export interface Instance {
  readonly series: ListedSeries;
  /** Index among the images of the slide. */
  readonly image: number;
  readonly sopInstanceUid: string;
}

/** Number of frames made at once for one request. */
const AHEAD = 4;

/** DICOM JSON, one instance in memory at a time. If there are several series, those that are refused are omitted. */
export async function sendMetadata(
  response: Response,
  instances: readonly Instance[],
  { archive, principal, baseUrl, signal }: Asked,
): Promise<void> {
  const isOneSeries = instances.every(({ series }) => series === instances[0]!.series);
  response.set('Cache-Control', 'private, no-cache');
  let before = '[';
  for (const instance of instances) {
    const open = await archive.open(instance.series, principal.id, signal).catch((error: unknown) => {
      if (isOneSeries || !isOfContent(toStainError(error).code)) throw error;
    });
    // A damaged thumbnail is omitted.
    if (!open?.images[instance.image]) continue;
    if (before === '[') response.setHeader('Content-Type', 'application/dicom+json');
    const uri: BulkDataUri = (path) => `${urlOf(instance, baseUrl)}/bulkdata/${path.join('/')}`;
    await writeAll(response, before, dicomJsonPieces(open.header(instance.image), uri));
    before = ',';
  }
  if (before === '[') throw new StainError('NOT_FOUND', 'There is no such instance that can be normalised.');
  response.end(']');
}

/**
 * Frames in the requested order, encoded unless the client accepts only uncompressed pixels.
 * @param numbers 1-based
 */
export async function sendFrames(
  request: Request,
  response: Response,
  instance: Instance,
  numbers: readonly number[],
  asked: Asked,
): Promise<void> {
  const { series, image, sopInstanceUid } = instance;
  const syntax = outputSyntax(series.request.encoding);
  const { multipart, native, contentType } = negotiateFrames(request.get('accept'), syntax, numbers.length);
  const { archive, principal, signal } = asked;
  requireFrames(await levelOf(instance, asked), numbers);
  if (isUnchanged(request, response, [sopInstanceUid])) return;
  if (request.method === 'HEAD') return onlyHead(response, multipart ? 'multipart/related' : contentType);
  const make = (number: number): Promise<Uint8Array> =>
    archive.frame(series, image, number - 1, principal.id, signal);
  async function* parts(): AsyncGenerator<OutgoingPart> {
    const begun: Promise<Uint8Array>[] = [];
    let next = 0;
    for (const [i, number] of numbers.entries()) {
      for (; next < Math.min(numbers.length, i + AHEAD); next++) {
        const frame = make(numbers[next]!);
        // A failure is reported when the frame's turn comes.
        frame.catch(() => {});
        begun.push(frame);
      }
      // Release each frame once it is sent.
      const body = await begun.shift()!;
      if (native) {
        yield { contentType, body };
        continue;
      }
      // Held until the client has it: only then is the next one requested.
      using decoded = await archive.decodedFrame(series, image, number - 1, principal.id, signal);
      yield { contentType, body: decoded.bytes };
    }
  }
  await sendParts(response, contentType.split(';')[0]!, await begunParts(parts()), multipart);
}

/**
 * Parts of which the first is ready, so that an error in it gets a response of its own. Whatever is held is released
 * when the reader stops.
 */
async function begunParts(parts: AsyncGenerator<OutgoingPart>): Promise<AsyncGenerator<OutgoingPart>> {
  const first = await parts.next();
  return (async function* (): AsyncGenerator<OutgoingPart> {
    try {
      if (!first.done) yield first.value;
      yield* parts;
    } finally {
      await parts.return(undefined);
    }
  })();
}

/**
 * One frame as a picture, or a whole small image; of several images the smallest.
 * @param numbers 1-based
 */
export async function sendRendered(
  request: Request,
  response: Response,
  instances: readonly Instance[],
  numbers: readonly number[] | undefined,
  asked: Asked,
): Promise<void> {
  const type = negotiateRendered(request.get('accept'));
  const rendering = readRendering(request.url);
  if (numbers && numbers.length > 1)
    throw new StainError('NOT_ACCEPTABLE', 'Only one frame can be rendered per request.');
  const { instance, level } = await smallestOf(instances, asked);
  if (numbers) requireFrames(level, numbers);
  if (isUnchanged(request, response, [instance.sopInstanceUid])) return;
  if (request.method === 'HEAD') return onlyHead(response, type);
  using held = new DisposableStack();
  const raster = await (numbers
    ? frameRaster(instance, level, numbers[0]! - 1, asked, held)
    : wholeImage(instance, level, asked, held));
  const picture = await pictureOf(raster, type, rendering);
  held.dispose();
  response.setHeader('Content-Type', type);
  response.setHeader('Content-Length', picture.length);
  await write(response, picture);
  response.end();
}

/** One binary value of a header. */
export async function sendBulkData(
  request: Request,
  response: Response,
  { series, image, sopInstanceUid }: Instance,
  path: readonly string[],
  { archive, principal, signal }: Asked,
): Promise<void> {
  const { multipart } = negotiateBulkData(request.get('accept'));
  const open = await archive.open(series, principal.id, signal);
  const bytes = open.images[image] && binaryAt(open.header(image), path);
  if (bytes === undefined) throw new StainError('NOT_FOUND', 'The instance has no such bulk data.');
  if (isUnchanged(request, response, [sopInstanceUid])) return;
  const part = { contentType: 'application/octet-stream', body: bytes, byteLength: bytes.length };
  await sendParts(response, 'application/octet-stream', [part], multipart);
}

/** @param held receives the memory reservation of the pixels */
async function frameRaster(
  { series, image }: Instance,
  { rows, columns }: Level,
  frame: number,
  { archive, principal, signal }: Asked,
  held: DisposableStack,
): Promise<Raster> {
  const decoded = held.use(await archive.decodedFrame(series, image, frame, principal.id, signal));
  return { width: columns, height: rows, rgb: decoded.bytes };
}

/** @throws FRAME_TOO_LARGE */
async function wholeImage(
  instance: Instance,
  level: Level,
  asked: Asked,
  held: DisposableStack,
): Promise<Raster> {
  const { totalColumns, totalRows, frames } = level;
  const pixels = Math.max(pixelsOf(level), totalColumns * totalRows);
  if (pixels > PICTURE_PIXELS)
    throw new StainError(
      'FRAME_TOO_LARGE',
      `The image has ${Math.round(pixels / 1e6)} megapixels; the limit for a picture is ${PICTURE_PIXELS / 1e6}.`,
      { data: { limit: PICTURE_PIXELS } },
    );
  held.use(await asked.archive.reservePicture(totalColumns * totalRows, asked.signal));
  const whole = blankRaster(totalColumns, totalRows, WHITE);
  for (const [frame, at] of frames.entries()) {
    using ofFrame = new DisposableStack();
    const raster = await frameRaster(instance, level, frame, asked, ofFrame);
    copyOverlap(raster, at, whole, { x: 0, y: 0 });
  }
  return whole;
}

/**
 * The image as found when its slide was opened.
 * @throws NOT_FOUND for an image that is left out, such as a damaged thumbnail
 */
async function levelOf({ series, image }: Instance, { archive, principal, signal }: Asked): Promise<Level> {
  const { images } = await archive.open(series, principal.id, signal);
  return requireImage(images[image]);
}

/** @throws NOT_FOUND */
function requireImage<T>(image: T | undefined): T {
  if (image !== undefined) return image;
  throw new StainError('NOT_FOUND', 'The image cannot be read and was left out.');
}

async function smallestOf(
  instances: readonly Instance[],
  asked: Asked,
): Promise<{ instance: Instance; level: Level }> {
  // The first slide of a study.
  const ofOne = instances.filter(({ series }) => series === instances[0]!.series);
  const { images } = await asked.archive.open(ofOne[0]!.series, asked.principal.id, asked.signal);
  const there = ofOne.flatMap((instance) => {
    const level = images[instance.image];
    return level ? [{ instance, level }] : [];
  });
  const [smallest] = there.toSorted((a, b) => pixelsOf(a.level) - pixelsOf(b.level));
  return requireImage(smallest);
}

/** @throws NOT_FOUND */
function requireFrames({ frames }: Level, numbers: readonly number[]): void {
  const missing = numbers.find((number) => number > frames.length);
  if (missing !== undefined)
    throw new StainError('NOT_FOUND', `There is no frame ${missing}; the instance has ${frames.length}.`);
}

function pixelsOf({ frames, rows, columns }: Level): number {
  return frames.length * rows * columns;
}

function urlOf({ series, sopInstanceUid }: Instance, baseUrl: string): string {
  const { slide, seriesInstanceUid } = series;
  return `${baseUrl}/studies/${slide.studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`;
}
