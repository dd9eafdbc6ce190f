/** WADO-RS (PS3.18 10.4): metadata, instances, frames and bulk data, as stored and streamed from the files. */
import { open } from 'node:fs/promises';
import type { Request, Response } from 'express';
import {
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
} from '../../../core/src/dicom/transfer-syntaxes.ts';
import { isOfContent, StainError, toStainError } from '../../../core/src/errors.ts';
import { type BulkDataUri, binaryAt, dicomJsonPieces } from '../dicom/to-json.ts';
import { leaving } from '../web/leaving.ts';
import { negotiateBulkData, negotiateFrames, negotiateInstances, requireDataSetsAccepted } from './accept.ts';
import { isUnchanged } from './caching.ts';
import { type IndexedInstance, versionOf } from './folder-index.ts';
import type { HeaderReader } from './header.ts';
import { type OutgoingPart, onlyHead, sendParts, writeAll } from './multipart-response.ts';
import type { OpenFiles } from './open-files.ts';
import type { Pictures } from './pictures.ts';

/** Chunk size for reading files: large enough that the disk, not the event loop, sets the pace. */
const READ_BYTES = 1 << 20;
const MAX_FRAMES_PER_REQUEST = 100_000;

/**
 * Instances whose header was found damaged halfway through an answer, which could only be cut off: the next request is
 * refused with the reason, so that nobody repeats it for ever. A file that has changed is another instance.
 */
const damaged = new WeakMap<IndexedInstance, StainError>();

/** DICOM JSON of the instances, one in memory at a time. @throws DICOM_INVALID */
export async function sendMetadata(
  request: Request,
  response: Response,
  instances: readonly IndexedInstance[],
  baseUrl: string,
  headers: HeaderReader,
): Promise<void> {
  requireDataSetsAccepted(request.get('accept'));
  if (isUnchanged(request, response, instances.map(versionOf))) return;
  if (request.method === 'HEAD') return onlyHead(response, 'application/dicom+json');
  const known = instances.find((instance) => damaged.has(instance));
  if (known) throw damaged.get(known);
  const signal = leaving(response);
  response.setHeader('Content-Type', 'application/dicom+json');
  for (const [i, instance] of instances.entries())
    try {
      await headers.with(instance.path, signal, ({ dataset }) => {
        const uri: BulkDataUri = (path) => `${urlOf(instance, baseUrl)}/bulkdata/${path.join('/')}`;
        return writeAll(response, i === 0 ? '[' : ',', dicomJsonPieces(dataset, uri));
      });
    } catch (thrown) {
      const { code, message, data } = toStainError(thrown);
      if (!isOfContent(code)) throw thrown;
      const named = `Instance ${instance.sopUid}: ${message}`;
      damaged.set(instance, new StainError(code, named, { data, cause: thrown }));
      throw damaged.get(instance);
    }
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
  if (isUnchanged(request, response, instances.map(versionOf))) return;
  const parts = instances.map((instance): OutgoingPart => {
    const { size, transferSyntaxUid } = instance;
    return {
      contentType: `application/dicom; transfer-syntax=${transferSyntaxUid}`,
      location: urlOf(instance, baseUrl),
      body: fileChunks(instance),
      byteLength: size,
    };
  });
  await sendParts(response, 'application/dicom', parts, multipart);
}

/**
 * Frames in the requested order, as stored unless the client accepts only uncompressed pixels.
 * @param frameNumbers 1-based, separated by commas
 * @throws NOT_ACCEPTABLE, REQUEST_INVALID, NOT_FOUND for a frame that does not exist, DICOM_INVALID, and for deflated
 * instances whatever `openInflated` throws
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
  // Deflation applies to the whole data set; the frames themselves are uncompressed.
  const frameSyntax =
    transferSyntaxUid === DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN ? EXPLICIT_VR_LITTLE_ENDIAN : transferSyntaxUid;
  const answer = negotiateFrames(request.get('accept'), frameSyntax, numbers.length);
  await files.with(instance, signal, async (file) => {
    const missing = numbers.find((number) => number > file.numberOfFrames);
    if (missing !== undefined)
      throw new StainError(
        'NOT_FOUND',
        `There is no frame ${missing}; the instance has ${file.numberOfFrames}.`,
      );
    if (isUnchanged(request, response, [versionOf(instance)])) return;
    if (request.method === 'HEAD')
      return onlyHead(response, answer.multipart ? 'multipart/related' : answer.contentType);
    async function* parts(): AsyncGenerator<OutgoingPart> {
      for (const number of numbers) {
        // Held until the client has it: only then is the next one requested.
        using frame = await (answer.native
          ? pictures.stored(file, number - 1, signal)
          : pictures.decoded(file, number - 1, signal));
        yield { contentType: answer.contentType, body: frame.bytes };
      }
    }
    await sendParts(response, answer.contentType.split(';')[0]!, parts(), answer.multipart);
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
    if (isUnchanged(request, response, [versionOf(instance)])) return;
    await sendParts(
      response,
      'application/octet-stream',
      [{ contentType: 'application/octet-stream', body: bytes, byteLength: bytes.length }],
      multipart,
    );
  });
}

/**
 * Opened only when read: a series has many files, and a client that leaves reads none of the rest.
 * @throws SOURCE_CHANGED if it is no longer the file whose size was announced: the answer is cut off then
 */
async function* fileChunks({ path, size, mtimeMs, sopUid }: IndexedInstance): AsyncGenerator<Uint8Array> {
  await using file = await open(path, 'r');
  const found = await file.stat();
  if (found.size !== size || found.mtimeMs !== mtimeMs)
    throw new StainError('SOURCE_CHANGED', `The file of instance ${sopUid} was replaced.`);
  const options = { highWaterMark: READ_BYTES, start: 0, end: size - 1, autoClose: false };
  if (size > 0) yield* file.createReadStream(options);
}

function urlOf({ studyUid, seriesUid, sopUid }: IndexedInstance, baseUrl: string): string {
  return `${baseUrl}/studies/${studyUid}/series/${seriesUid}/instances/${sopUid}`;
}

function parseFrameNumbers(list: string): number[] {
  const numbers = list.split(',').map((text) => (/^\d{1,9}$/.test(text.trim()) ? Number(text) : 0));
  if (numbers.length > MAX_FRAMES_PER_REQUEST || numbers.some((number) => number < 1))
    throw new StainError('REQUEST_INVALID', 'Frame numbers must be positive integers, separated by commas.');
  return numbers;
}
