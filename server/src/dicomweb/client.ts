/**
 * A streaming DICOMweb client (PS3.18): QIDO-RS, WADO-RS and STOW-RS over undici.
 * Nothing the size of a slide is held in memory, every call can be aborted, and every error is a StainError whose
 * message contains no token and no query string.
 */

import type { DataSet } from '../dicom/dataset.ts';
import type { DicomJson } from '../dicom/json-model.ts';
import type { Habits } from './archive-habits.ts';
import { ArchiveConnection, type ConnectionOptions } from './connection.ts';
import { type StoredHeader, storedHeader } from './instance-header.ts';
import { type Frame, retrieveFrames } from './retrieve-frames.ts';
import { retrieveInstance } from './retrieve-instance.ts';
import { type SearchOptions, type SearchParameters, search } from './search.ts';
import { seriesMetadata } from './series-metadata.ts';
import { type StorableInstance, storeInstance } from './store.ts';
import { type ExpectedInstance, verifyInstance } from './stored-instance.ts';

export type { ExpectedInstance, Frame, SearchOptions, SearchParameters, StorableInstance };

export interface DicomWebClientOptions extends ConnectionOptions {
  /** Maximum size of a JSON response (metadata of a series, a page of a search), in bytes. Default 256 MB. */
  readonly maxMetadataBytes?: number;
  /** Maximum number of frames per request; archives refuse long URLs. Default 1000. */
  readonly framesPerRequest?: number;
  /** Maximum size of a frame, in bytes. Default 256 MB. */
  readonly maxFrameBytes?: number;
  /** Results per page of a search. Default 1000. */
  readonly pageSize?: number;
  /** Delays before the attempts to find a stored instance, in milliseconds. Default 0, 500, 1000, 2000, 4000. */
  readonly verifyDelaysMs?: readonly number[];
}

export interface DicomWebClient {
  /**
   * QIDO-RS. Parameters go into the query; `StudyInstanceUID` and `SeriesInstanceUID` go into the path if the standard
   * has a path for them. Pages are fetched until the archive has no more, unless `limit` is given.
   * @throws ARCHIVE_UNREACHABLE, ARCHIVE_TIMEOUT, ARCHIVE_REFUSED, ARCHIVE_ERROR, ARCHIVE_PROTOCOL, PAYLOAD_TOO_LARGE,
   * CANCELLED
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
   * Headers of all instances of a series; empty if the archive returns none.
   * @throws SERIES_NOT_FOUND, PAYLOAD_TOO_LARGE (above `maxMetadataBytes`), DICOM_INVALID, and the errors of the
   * searches
   */
  seriesMetadata(studyUid: string, seriesUid: string, signal: AbortSignal): Promise<DataSet[]>;

  /**
   * The header of one instance as stored, byte for byte, unlike metadata: the instance is fetched up to its pixel data.
   * @throws NOT_FOUND, DICOM_INVALID, and the errors of the searches
   */
  retrieveHeader(
    studyUid: string,
    seriesUid: string,
    sopUid: string,
    signal: AbortSignal,
  ): Promise<StoredHeader>;

  /**
   * One instance as stored, a DICOM Part 10 file in chunks. A broken connection resumes where it broke, provided that
   * the archive sends the same bytes again.
   * @param onLength awaited before the first byte, if the archive sends Content-Length: the instance is not longer
   * @throws NOT_FOUND, ARCHIVE_TRUNCATED, and the errors of the searches
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
   * Frames as stored, in the order of `frameNumbers` (1-based), one request per batch.
   * @param maxFrameBytes if the size of a frame is known, a lower limit than the option of that name
   * @throws NOT_FOUND, ARCHIVE_TRUNCATED, and the errors of the searches
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
   * STOW-RS of one instance, streamed. Sent again after a transient failure, but only if the archive does not have the
   * instance; if it already has one, that counts as success only if it is the same image.
   * @throws STORE_REJECTED with `data.failureReason`, STORE_UNVERIFIED, PAYLOAD_TOO_LARGE, and the errors of the
   * searches
   */
  storeInstance(studyUid: string, instance: StorableInstance, signal: AbortSignal): Promise<void>;

  /**
   * Waits a few seconds for a stored instance to appear in the archive.
   * @throws STORE_UNVERIFIED if it does not appear, or has a different number of frames
   */
  verifyInstance(
    studyUid: string,
    seriesUid: string,
    sopUid: string,
    expected: ExpectedInstance,
    signal: AbortSignal,
  ): Promise<void>;

  /** What has been learnt about the archive so far. */
  known(): Habits;

  /** Closes the connections; requests in flight fail with CANCELLED. */
  close(): Promise<void>;
}

/** @throws CONFIGURATION_INVALID if `url` is not an http or https URL */
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
      seriesMetadata(connection, { studyUid, seriesUid }, limits, signal),
    retrieveHeader: (studyUid, seriesUid, sopUid, signal) =>
      storedHeader(connection, { studyUid, seriesUid, sopUid }, limits.maxMetadataBytes, signal),
    retrieveInstance: (studyUid, seriesUid, sopUid, signal, onLength) =>
      retrieveInstance(connection, { studyUid, seriesUid, sopUid }, signal, onLength),
    retrieveFrames: (studyUid, seriesUid, sopUid, frameNumbers, signal, maxBytes = limits.maxFrameBytes) => {
      const maxFrameBytes = Math.min(maxBytes, limits.maxFrameBytes);
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
