/** WADO-RS (PS3.18 10.4): metadata, instances, frames and bulk data, as stored and streamed from the files. */
import { createReadStream } from 'node:fs';
import type { Request, Response } from 'express';
import { DEFLATED, EXPLICIT_VR_LITTLE_ENDIAN } from '../dicom/transfer-syntax.ts';
import { StainError } from '../errors.ts';
import { leaving } from '../leaving.ts';
import { negotiateBulkData, negotiateFrames, negotiateInstances } from './accept.ts';
import { isUnchanged } from './caching.ts';
import type { IndexedInstance } from './folder-index.ts';
import type { HeaderReader } from './header.ts';
import { type OutgoingPart, sendMultipart, write } from './multipart-response.ts';
import type { OpenFiles } from './open-files.ts';
import type { Pictures } from './pictures.ts';
import { binaryAt, toDicomJson } from './to-dicom-json.ts';

/** Steps in which files are read: large enough that the disk and not the loop sets the pace. */
const READ_BYTES = 1 << 20;
const MAX_FRAMES_PER_REQUEST = 100_000;

/** DICOM JSON of the instances, one in memory at a time. @throws DICOM_INVALID */
export async function sendMetadata(
  request: Request,
  response: Response,
  instances: readonly IndexedInstance[],
  baseUrl: string,
  headers: HeaderReader,
): Promise<void> {
  if (isUnchanged(request, response, instances)) return;
  const signal = leaving(response);
  response.setHeader('Content-Type', 'application/dicom+json');
  for (const [i, instance] of instances.entries())
    await headers.with(instance.path, signal, ({ dataset }) => {
      const json = toDicomJson(dataset, (path) => `${urlOf(instance, baseUrl)}/bulkdata/${path.join('/')}`);
      return write(response, Buffer.from(`${i === 0 ? '[' : ','}${JSON.stringify(json)}`));
    });
  response.end(']');
}

/** The files, streamed. @throws NOT_ACCEPTABLE */
export async function sendInstances(
  request: Request,
  response: Response,
  instances: readonly IndexedInstance[],
  baseUrl: string,
): Promise<void> {
  const { multipart } = negotiateInstances(
    request.get('accept'),
    instances.map(({ transferSyntaxUid }) => transferSyntaxUid),
  );
  if (isUnchanged(request, response, instances)) return;
  const parts = instances.map((instance): OutgoingPart => {
    const { path, size, transferSyntaxUid } = instance;
    return {
      contentType: `application/dicom; transfer-syntax=${transferSyntaxUid}`,
      location: urlOf(instance, baseUrl),
      body: fileChunks(path, size),
      byteLength: size,
    };
  });
  await send(response, 'application/dicom', parts, multipart);
}

/**
 * Frames in the order they are asked for, as stored unless the client takes only uncompressed pixels.
 * @param frameNumbers 1-based, separated by commas
 * @throws NOT_ACCEPTABLE, REQUEST_INVALID, NOT_FOUND for a frame that is not there, DICOM_INVALID, and for deflated
 *   instances what `openInflated` throws
 */
export async function sendFrames(
  request: Request,
  response: Response,
  instance: IndexedInstance,
  frameNumbers: string,
  files: OpenFiles,
  pictures: Pictures,
): Promise<void> {
  const signal = leaving(response);
  const numbers = parseFrameNumbers(frameNumbers);
  const { transferSyntaxUid } = instance;
  // What is deflated is the whole data set; its frames are uncompressed.
  const frameSyntax = transferSyntaxUid === DEFLATED ? EXPLICIT_VR_LITTLE_ENDIAN : transferSyntaxUid;
  const answer = negotiateFrames(request.get('accept'), frameSyntax);
  if (!answer.multipart && numbers.length > 1)
    throw new StainError('NOT_ACCEPTABLE', 'Several frames are sent in multipart/related only.');
  await files.with(instance, signal, async (file) => {
    const missing = numbers.find((number) => number > file.numberOfFrames);
    if (missing !== undefined)
      throw new StainError(
        'NOT_FOUND',
        `There is no frame ${missing}; the instance has ${file.numberOfFrames}.`,
      );
    if (isUnchanged(request, response, [instance])) return;
    async function* parts(): AsyncGenerator<OutgoingPart> {
      for (const number of numbers) {
        // Held until the client has it: the next one is asked for only then.
        using frame = await (answer.native
          ? pictures.stored(file, number - 1, signal)
          : pictures.decoded(file, number - 1, signal));
        yield { contentType: answer.contentType, body: frame.bytes };
      }
    }
    await send(response, answer.contentType.split(';')[0]!, parts(), answer.multipart);
  });
}

/** One binary value. @throws NOT_ACCEPTABLE, NOT_FOUND, DICOM_INVALID */
export async function sendBulkData(
  request: Request,
  response: Response,
  instance: IndexedInstance,
  path: readonly string[],
  headers: HeaderReader,
): Promise<void> {
  const { multipart } = negotiateBulkData(request.get('accept'));
  await headers.with(instance.path, leaving(response), async ({ dataset }) => {
    const bytes = binaryAt(dataset, path);
    if (bytes === undefined) throw new StainError('NOT_FOUND', 'The instance has no such bulk data.');
    if (isUnchanged(request, response, [instance])) return;
    await send(
      response,
      'application/octet-stream',
      [{ contentType: 'application/octet-stream', body: bytes, byteLength: bytes.length }],
      multipart,
    );
  });
}

/** Opened only when it is read: a series has many files, and a client that leaves reads none of the rest. */
async function* fileChunks(path: string, size: number): AsyncGenerator<Uint8Array> {
  // No more than was announced, should the file be growing.
  if (size > 0) yield* createReadStream(path, { highWaterMark: READ_BYTES, end: size - 1 });
}

async function send(
  response: Response,
  type: string,
  parts: readonly OutgoingPart[] | AsyncGenerator<OutgoingPart>,
  multipart: boolean,
): Promise<void> {
  if (multipart) {
    await sendMultipart(response, type, parts);
    return;
  }
  for await (const { contentType, body, byteLength } of parts) {
    // Not through `type()`, which would add a character set.
    response.setHeader('Content-Type', contentType);
    if (byteLength !== undefined) response.setHeader('Content-Length', byteLength);
    if (body instanceof Uint8Array) await write(response, body);
    else for await (const chunk of body) await write(response, chunk);
  }
  response.end();
}

function urlOf({ studyUid, seriesUid, sopUid }: IndexedInstance, baseUrl: string): string {
  return `${baseUrl}/studies/${studyUid}/series/${seriesUid}/instances/${sopUid}`;
}

function parseFrameNumbers(list: string): number[] {
  const numbers = list.split(',').map((text) => (/^\d{1,9}$/.test(text.trim()) ? Number(text) : 0));
  if (numbers.length > MAX_FRAMES_PER_REQUEST || numbers.some((number) => number < 1))
    throw new StainError(
      'REQUEST_INVALID',
      'Frame numbers are whole numbers from 1 on, separated by commas.',
    );
  return numbers;
}
