/** Fetches one instance of an archive into a file of the spool, and opens that file. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { StainError } from '../../../core/src/errors.ts';
import { inflateFile } from '../dicom/deflated.ts';
import { openPart10, type Part10File } from '../dicom/part10-file.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import type { Spool } from '../spool/spool.ts';
import { placed } from './damage.ts';
import { requireSeries, type SeriesReference } from './series-reference.ts';

/** Maximum size of a header: enough for the per-frame functional groups of a few hundred thousand frames. */
const MAX_HEADER_BYTES = 256e6;

/** Chunks are collected up to this size before they are written. */
const WRITE_BYTES = 4 * 1024 * 1024;

export interface FetchAccess {
  readonly source: DicomWebClient;
  readonly limits: { readonly maxInstanceBytes: number };
}

/** A fetched instance. */
export interface FetchedFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Resolved when the disk has all of it. Whoever relies on what was read must await it; @throws what the disk says */
  readonly kept: Promise<void>;
}

/**
 * Fetches one instance into a file of a spool, which reserves room for every byte before it is written. A deflated
 * instance is inflated on the way, within the same limits.
 * @param onLength awaited before the first byte, if the archive announces the maximum length
 * @throws SPOOL_FULL, SPOOL_TOO_SMALL, SLIDE_TOO_LARGE and whatever `retrieveInstance` throws; no file is left then,
 * nor if `kept` is rejected
 */
export async function fetchInstance(
  { studyInstanceUid, seriesInstanceUid }: SeriesReference,
  sopInstanceUid: string,
  spool: Spool,
  { source, limits }: FetchAccess,
  signal: AbortSignal,
  onLength?: (bytes: number) => Promise<void>,
): Promise<FetchedFile> {
  const path = spool.newFile('source');
  const hash = createHash('sha256');
  let bytes = 0;
  async function* counted(): AsyncIterable<Uint8Array> {
    const body = source.retrieveInstance(
      studyInstanceUid,
      seriesInstanceUid,
      sopInstanceUid,
      signal,
      onLength,
    );
    for await (const chunk of inflateFile(body)) {
      if (bytes + chunk.length > limits.maxInstanceBytes)
        throw new StainError(
          'SLIDE_TOO_LARGE',
          `An instance is larger than the limit of ${limits.maxInstanceBytes} bytes.`,
        );
      await spool.take(chunk.length);
      bytes += chunk.length;
      hash.update(chunk);
      yield chunk;
    }
  }
  const discard = async (error: unknown): Promise<never> => {
    await rm(path, { force: true });
    spool.give(bytes);
    throw placed(error, sopInstanceUid);
  };
  try {
    const options = { flags: 'wx', mode: 0o600, highWaterMark: WRITE_BYTES };
    await pipeline(counted, createWriteStream(path, options), { signal });
    // A disk that fails must end the job, or other bytes could be read back later. Reading need not wait for it.
    const kept = flushed(path).catch(discard);
    kept.catch(() => {});
    return { path, bytes, sha256: hash.digest('hex'), kept };
  } catch (error) {
    return discard(error);
  }
}

/** Resolves when the disk has all of a file. */
async function flushed(path: string): Promise<void> {
  await using file = await open(path);
  await file.sync();
}

/** Opens a fetched instance. @throws DICOM_INVALID if it is a different instance */
export async function openInstance(
  series: SeriesReference,
  sopInstanceUid: string,
  path: string,
  signal: AbortSignal,
): Promise<Part10File> {
  try {
    await using cleanup = new AsyncDisposableStack();
    const file = cleanup.use(await openPart10(path, { signal, maxHeaderBytes: MAX_HEADER_BYTES }));
    requireIdentity(file, series, sopInstanceUid);
    cleanup.move();
    return file;
  } catch (error) {
    throw placed(error, sopInstanceUid);
  }
}

/**
 * After moving a study, an archive may still hold files with the old UIDs: the result would go to the wrong place. And
 * if one level were sent in place of another, the slide would lack the other.
 */
function requireIdentity({ dataset }: Part10File, series: SeriesReference, sopInstanceUid: string): void {
  requireSeries([dataset], series);
  if (dataset.string('SOPInstanceUID') !== sopInstanceUid)
    throw new StainError('DICOM_INVALID', 'The archive sent a different instance from the one requested.');
}
