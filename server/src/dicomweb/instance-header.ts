/**
 * The header of one instance, up to its pixel data: by its metadata, or where an archive thins those, out of the instance
 * itself, which is fetched no further than its header goes.
 */
import { DataSet } from '../dicom/dataset.ts';
import { inflateFile } from '../dicom/deflated.ts';
import { type HeaderSource, readPart10Header } from '../dicom/part10-header.ts';
import { StainError } from '../errors.ts';
import { refusedStatus } from './archive-habits.ts';
import type { ArchiveConnection } from './connection.ts';
import { textOf } from './dicom-json.ts';
import { isNotFound } from './no-match.ts';
import { type InstanceAddress, instancePath } from './resource-path.ts';
import { retrieveInstance } from './retrieve-instance.ts';

export interface InstanceHeader {
  readonly dataSet: DataSet;
  /** That it came in. */
  readonly bytes: number;
}

const SOP_INSTANCE_UID = '00080018';

/**
 * @param isWhole whether a header tells what the caller needs
 * @returns the header of the instance itself where no metadata do; it may lack something too
 * @throws DICOM_INVALID where it is another instance, or takes more than `maxBytes`; what the connection throws
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

/** undefined where the archive has none of this instance. */
export async function instanceMetadata(
  connection: ArchiveConnection,
  address: InstanceAddress,
  maxBytes: number,
  signal: AbortSignal,
): Promise<InstanceHeader | undefined> {
  try {
    const path = [...instancePath(address), 'metadata'];
    const { items, bytes } = await connection.getJson({ path }, maxBytes, signal);
    const own = items.find((item) => textOf(item, SOP_INSTANCE_UID) === address.sopUid);
    return own && { dataSet: DataSet.fromDicomJson(own), bytes };
  } catch (error) {
    if (isNotFound(error) || refusedStatus(error) !== undefined) return undefined;
    throw error;
  }
}

/** The instance as stored, up to its pixel data. */
export async function storedHeader(
  connection: ArchiveConnection,
  address: InstanceAddress,
  maxBytes: number,
  signal: AbortSignal,
): Promise<InstanceHeader> {
  const source = new StreamBeginning(inflateFile(retrieveInstance(connection, address, signal)));
  try {
    const { dataSet } = await readPart10Header(source, maxBytes, signal);
    if (dataSet.string(SOP_INSTANCE_UID) !== address.sopUid)
      throw new StainError(
        'DICOM_INVALID',
        'The archive sent another instance than the one it was asked for.',
      );
    return { dataSet, bytes: source.held };
  } finally {
    await source.close();
  }
}

/** The beginning of a file that comes as a stream; what follows is never asked for. */
class StreamBeginning implements HeaderSource {
  size = Number.POSITIVE_INFINITY;
  held = 0;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  async first(length: number): Promise<Uint8Array> {
    const more: Uint8Array[] = [];
    while (this.held < length && this.size === Number.POSITIVE_INFINITY) {
      const { value, done } = await this.#chunks.next();
      if (done) this.size = this.held;
      else {
        more.push(value);
        this.held += value.length;
      }
    }
    this.#held = Buffer.concat([this.#held, ...more]);
    return this.#held;
  }

  /** Closes the connection. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
