/**
 * A streaming DICOMweb client (PS3.18): QIDO-RS, WADO-RS and STOW-RS over undici.
 * Nothing of the size of a slide is held in memory, every call can be aborted, and everything thrown is a
 * StainError whose message names no token and no query string.
 */

import type { DataSet } from '../dicom/dataset.ts';
import type { Habits } from './archive-habits.ts';
import { ArchiveConnection, type ConnectionOptions } from './connection.ts';
import type { DicomJson } from './dicom-json.ts';
import { type Frame, retrieveFrames } from './retrieve-frames.ts';
import { retrieveInstance } from './retrieve-instance.ts';
import { type SearchOptions, type SearchParameters, search } from './search.ts';
import { seriesMetadata } from './series-metadata.ts';
import { type StorableInstance, storeInstance } from './store.ts';
import { type ExpectedInstance, verifyInstance } from './stored-instance.ts';

export type { ExpectedInstance, Frame, SearchOptions, SearchParameters, StorableInstance };

export interface DicomWebClientOptions extends ConnectionOptions {
  /** Most bytes of a JSON answer (metadata of a series, a page of a search). Default 256 MB. */
  readonly maxMetadataBytes?: number;
  /** Most frames asked for in one request; archives refuse long URLs. Default 1000. */
  readonly framesPerRequest?: number;
  /** Largest frame that is accepted, in bytes. Default 256 MB. */
  readonly maxFrameBytes?: number;
  /** Results asked for in one page of a search. Default 1000. */
  readonly pageSize?: number;
  /** Pauses before the tries to see a stored instance, in milliseconds. Default 0, 500, 1000, 2000, 4000. */
  readonly verifyDelaysMs?: readonly number[];
}

export interface DicomWebClient {
  /**
   * QIDO-RS. Parameters go into the query, `StudyInstanceUID` and `SeriesInstanceUID` into the path where
   * the standard has a path for them. Pages are fetched until the archive has no more, unless `limit` is given.
   * @throws ARCHIVE_UNREACHABLE, ARCHIVE_TIMEOUT, ARCHIVE_REFUSED, ARCHIVE_ERROR, ARCHIVE_PROTOCOL, PAYLOAD_TOO_LARGE,
   *   CANCELLED
   */
  searchStudies(
    parameters: SearchParameters,
    signal: AbortSignal,
    options?: SearchOptions,
  ): Promise<DicomJson[]>;
  searchSeries(
    parameters: SearchParameters,
    signal: AbortSignal,
    options?: SearchOptions,
  ): Promise<DicomJson[]>;
  searchInstances(
    parameters: SearchParameters,
    signal: AbortSignal,
    options?: SearchOptions,
  ): Promise<DicomJson[]>;

  /**
   * Headers of all instances of a series; empty where the archive answers with none.
   * @throws SERIES_NOT_FOUND, PAYLOAD_TOO_LARGE (above `maxMetadataBytes`), DICOM_INVALID, and those of the searches
   */
  seriesMetadata(studyUid: string, seriesUid: string, signal: AbortSignal): Promise<DataSet[]>;

  /**
   * One instance as stored, a DICOM Part 10 file in chunks. A connection that breaks is taken up again where
   * it broke, provided that the archive sends the same bytes again.
   * @param onLength awaited before the first byte, where the archive sends Content-Length: the instance has no more bytes
   * @throws NOT_FOUND, ARCHIVE_TRUNCATED, and those of the searches
   */
  retrieveInstance(
    studyUid: string,
    seriesUid: string,
    sopUid: string,
    signal: AbortSignal,
    onLength?: (bytes: number) => Promise<void>,
  ): AsyncIterable<Uint8Array>;

  /**
   * Frames as stored, in the order of `frameNumbers` (1-based), a batch a request.
   * @param maxFrameBytes where the size of a frame is known, less than the option of that name
   * @throws NOT_FOUND, ARCHIVE_TRUNCATED, and those of the searches
   */
  retrieveFrames(
    studyUid: string,
    seriesUid: string,
    sopUid: string,
    frameNumbers: readonly number[],
    signal: AbortSignal,
    maxFrameBytes?: number,
  ): AsyncIterable<Frame>;

  /**
   * STOW-RS of one instance, streamed. Sent again after a passing failure, but only when the archive does not
   * show the instance; one that it has already is success only when it is the same image.
   * @throws STORE_REJECTED with `data.failureReason`, STORE_UNVERIFIED, PAYLOAD_TOO_LARGE, and those of the searches
   */
  storeInstance(studyUid: string, instance: StorableInstance, signal: AbortSignal): Promise<void>;

  /**
   * Waits a few seconds for the archive to show a stored instance.
   * @throws STORE_UNVERIFIED where it does not, or shows another number of frames
   */
  verifyInstance(
    studyUid: string,
    seriesUid: string,
    sopUid: string,
    expected: ExpectedInstance,
    signal: AbortSignal,
  ): Promise<void>;

  /** What was learnt of the archive so far. */
  known(): Habits;

  /** Closes the connections; requests in flight fail with CANCELLED. */
  close(): Promise<void>;
}

/** @throws CONFIGURATION_INVALID where `url` is no http or https URL */
export function createDicomWebClient(options: DicomWebClientOptions): DicomWebClient {
  const connection = new ArchiveConnection(options);
  const limits = {
    maxMetadataBytes: options.maxMetadataBytes ?? 256e6,
    framesPerRequest: options.framesPerRequest ?? 1000,
    maxFrameBytes: options.maxFrameBytes ?? 256e6,
    pageSize: options.pageSize ?? 1000,
    verifyDelaysMs: options.verifyDelaysMs ?? [0, 500, 1000, 2000, 4000],
  };
  return {
    searchStudies: (parameters, signal, options) =>
      search(connection, 'studies', parameters, limits, signal, options),
    searchSeries: (parameters, signal, options) =>
      search(connection, 'series', parameters, limits, signal, options),
    searchInstances: (parameters, signal, options) =>
      search(connection, 'instances', parameters, limits, signal, options),
    seriesMetadata: (studyUid, seriesUid, signal) =>
      seriesMetadata(connection, { studyUid, seriesUid }, limits.maxMetadataBytes, signal),
    retrieveInstance: (studyUid, seriesUid, sopUid, signal, onLength) =>
      retrieveInstance(connection, { studyUid, seriesUid, sopUid }, signal, onLength),
    retrieveFrames: (studyUid, seriesUid, sopUid, frameNumbers, signal, most = limits.maxFrameBytes) => {
      const maxFrameBytes = Math.min(most, limits.maxFrameBytes);
      const address = { studyUid, seriesUid, sopUid };
      return retrieveFrames(connection, address, frameNumbers, { ...limits, maxFrameBytes }, signal);
    },
    storeInstance: (studyUid, instance, signal) =>
      storeInstance(connection, studyUid, instance, limits, signal),
    verifyInstance: (studyUid, seriesUid, sopUid, expected, signal) =>
      verifyInstance(connection, { studyUid, seriesUid, sopUid }, expected, limits, signal),
    known: () => connection.habits.known,
    close: () => connection.close(),
  };
}
