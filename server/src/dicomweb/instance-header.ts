/**
 * The header of one instance, up to its pixel data: from its metadata, or, if the archive's metadata are incomplete,
 * from the instance itself, which is fetched only as far as its header.
 */

import { createHash } from 'node:crypto';
import { StainError } from '../../../core/src/errors.ts';
import type { DataSet } from '../dicom/dataset.ts';
import { inflateFile } from '../dicom/deflated.ts';
import { dataSetFromJson } from '../dicom/from-json.ts';
import { textOf } from '../dicom/json-model.ts';
import { type HeaderSource, readPart10DataSet, readPart10Header } from '../dicom/part10-header.ts';
import { refusedStatus } from './archive-habits.ts';
import type { ArchiveConnection } from './connection.ts';
import { isNotFound } from './no-match.ts';
import { type InstanceAddress, instancePath } from './resource-path.ts';
import { retrieveInstance } from './retrieve-instance.ts';

export interface InstanceHeader {
  readonly dataSet: DataSet;
  /** Size of the response. */
  readonly bytes: number;
}

/** From the instance itself, byte for byte. */
export interface StoredHeader extends InstanceHeader {
  readonly transferSyntaxUid: string;
  /** SHA-256 of its bytes: a different header means a different instance, even under the same UID. */
  readonly sha256: string;
}

const SOP_INSTANCE_UID = '00080018';

/**
 * @param isWhole whether a header has everything the caller needs
 * @returns the header of the instance itself if no metadata suffice; it may be incomplete, too
 * @throws DICOM_INVALID if it is a different instance, or exceeds `maxBytes`; whatever the connection throws
 */
export async function instanceHeader(
  connection: ArchiveConnection,
  address: InstanceAddress,
  isWhole: (header: DataSet) => boolean,
  maxBytes: number,
  signal: AbortSignal,
): Promise<InstanceHeader> {
  const { habits } = connection;
  if (habits.known.headers !== 'instances') {
    const told = await instanceMetadata(connection, address, maxBytes, signal);
    if (told && isWhole(told.dataSet)) {
      habits.learn({ headers: 'instance metadata' });
      return told;
    }
  }
  const header = await storedHeader(connection, address, maxBytes, signal);
  if (isWhole(header.dataSet)) habits.learn({ headers: 'instances' });
  return header;
}

/** undefined if the archive has no metadata of this instance. */
export async function instanceMetadata(
  connection: ArchiveConnection,
  address: InstanceAddress,
  maxBytes: number,
  signal: AbortSignal,
): Promise<InstanceHeader | undefined> {
  try {
    const path = [...instancePath(address), 'metadata'];
    const { items, bytes } = await connection.getDataSets({ path }, maxBytes, signal);
    const own = items.find((item) => textOf(item, SOP_INSTANCE_UID) === address.sopUid);
    return own && { dataSet: dataSetFromJson(own), bytes };
  } catch (error) {
    if (isNotFound(error) || refusedStatus(error) !== undefined) return undefined;
    throw error;
  }
}

/**
 * The instance as stored, up to its pixel data.
 * @throws DICOM_INVALID if it is a different instance, or exceeds `maxBytes`; whatever the connection throws
 */
export async function storedHeader(
  connection: ArchiveConnection,
  address: InstanceAddress,
  maxBytes: number,
  signal: AbortSignal,
): Promise<StoredHeader> {
  const source = new StreamBeginning(inflateFile(retrieveInstance(connection, address, signal)));
  try {
    const { dataSet, transferSyntaxUid, pixelData } = await readPart10Header(source, maxBytes, signal);
    requireOwn(dataSet, address);
    const header = await source.first(pixelData.offset);
    const sha256 = createHash('sha256').update(header.subarray(0, pixelData.offset)).digest('hex');
    return { dataSet, transferSyntaxUid, sha256, bytes: source.held };
  } finally {
    await source.close();
  }
}

/**
 * A key object as stored: without pixels, so that all of it is its header.
 * @throws DICOM_INVALID if it is a different instance, or exceeds `maxBytes`; whatever the connection throws
 */
export async function storedDocument(
  connection: ArchiveConnection,
  address: InstanceAddress,
  maxBytes: number,
  signal: AbortSignal,
): Promise<InstanceHeader> {
  const source = new StreamBeginning(inflateFile(retrieveInstance(connection, address, signal)));
  try {
    const dataSet = requireOwn(await readPart10DataSet(source, maxBytes, signal), address);
    return { dataSet, bytes: source.held };
  } finally {
    await source.close();
  }
}

function requireOwn(dataSet: DataSet, { sopUid }: InstanceAddress): DataSet {
  if (dataSet.string(SOP_INSTANCE_UID) === sopUid) return dataSet;
  throw new StainError('DICOM_INVALID', 'The archive sent a different instance from the one requested.');
}

/** The beginning of a streamed file; the rest is never requested. */
class StreamBeginning implements HeaderSource {
  size = Number.POSITIVE_INFINITY;
  held = 0;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #bytes = Buffer.alloc(0);
  #filled = 0;
  /** The part of the last chunk behind the requested bytes. */
  #rest: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  async first(length: number): Promise<Uint8Array> {
    if (length > this.#bytes.length) {
      const longer = Buffer.allocUnsafeSlow(length);
      this.#bytes.copy(longer, 0, 0, this.#filled);
      this.#bytes = longer;
    }
    while (this.#filled < length && (this.#rest.length > 0 || (await this.#hasMore()))) {
      const part = this.#rest.subarray(0, length - this.#filled);
      this.#bytes.set(part, this.#filled);
      this.#filled += part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    return this.#bytes.subarray(0, this.#filled);
  }

  async #hasMore(): Promise<boolean> {
    if (this.size !== Number.POSITIVE_INFINITY) return false;
    const { value, done } = await this.#chunks.next();
    if (done) this.size = this.held;
    else {
      this.#rest = value;
      this.held += value.length;
    }
    return !done;
  }

  /** Closes the connection. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
