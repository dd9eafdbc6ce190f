/**
 * STOW-RS (PS3.18 10.5). A request is received completely before any of it is stored: a body that is aborted or breaks
 * off leaves nothing. Each instance then appears under its final name in one step, or not at all.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, opendir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN } from '../../../core/src/dicom/transfer-syntaxes.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import type { DicomJson, DicomJsonElement } from '../dicom/json-model.ts';
import { isUid } from '../dicom/uid.ts';
import { requireWholePixelData } from '../dicom/whole-pixel-data.ts';
import { parseMediaType } from '../dicomweb/media-type.ts';
import { boundaryOf, type MultipartPart, readMultipart } from '../dicomweb/multipart-reader.ts';
import type { FolderIndex } from './folder-index.ts';
import type { HeaderReader } from './header.ts';

export interface StoreRequest {
  readonly contentType: string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
  /** The study in the URL; instances of other studies are refused. */
  readonly studyUid: string | undefined;
  readonly baseUrl: string;
  /** Fires when the client leaves. */
  readonly signal: AbortSignal;
}

export interface StoreAnswer {
  readonly status: 200 | 202 | 409;
  readonly json: DicomJson;
}

const FAULTS = { malformed: 'REQUEST_INVALID', truncated: 'REQUEST_INVALID' } as const;
const MAX_PARTS = 1000;
/** Hidden, so that the index leaves it out; a request's own, so that nobody else uses or removes it. */
const INCOMING = '.stain-incoming-';
const IS_INCOMING = /^\.stain-incoming-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Nothing was received for so long: whoever was receiving it has ended. Other processes store here too. */
const ABANDONED_MS = 86_400_000;

/** Failure Reasons of PS3.18 table 10.5.3-2 and PS3.7 annex C. */
const REASON = { duplicate: 0x0111, mismatch: 0xa900, notUnderstood: 0xc000, processing: 0x0110 } as const;

/** An instance of a request: stored, or failed with a reason. */
interface Outcome {
  readonly sopClassUid?: string;
  readonly sopUid?: string;
  readonly studyUid?: string;
  readonly seriesUid?: string;
  readonly failure?: number;
}

export class Store {
  readonly #folder: string;
  readonly #index: FolderIndex;
  readonly #headers: HeaderReader;
  readonly #maxInstanceBytes: number;
  /**
   * The last store operation for each SOP Instance UID: two with the same UID run one after the other, and a slow
   * comparison with an existing file delays no other.
   */
  readonly #last = new Map<string, Promise<unknown>>();
  #clearing: Promise<void> | undefined;

  constructor(folder: string, index: FolderIndex, headers: HeaderReader, maxInstanceBytes: number) {
    this.#folder = folder;
    this.#index = index;
    this.#headers = headers;
    this.#maxInstanceBytes = maxInstanceBytes;
  }

  /** @throws REQUEST_INVALID for a body that is not multipart, PAYLOAD_TOO_LARGE, SPOOL_FULL */
  async store(request: StoreRequest): Promise<StoreAnswer> {
    const boundary = boundaryOf(request.contentType, FAULTS);
    // Not before: nothing is removed from a folder that is only read.
    this.#clearing ??= removeAbandoned(this.#folder);
    await this.#clearing;
    const incoming = join(this.#folder, `${INCOMING}${randomUUID()}`);
    await mkdir(incoming, { recursive: true, mode: 0o700 });
    try {
      const files: (string | undefined)[] = [];
      for await (const part of readMultipart(request.body, boundary, { maxParts: MAX_PARTS }, FAULTS))
        files.push(
          isDicom(part) ? await this.#receive(part.body, join(incoming, String(files.length))) : undefined,
        );
      if (files.length === 0) throw new StainError('REQUEST_INVALID', 'The multipart body has no parts.');
      // All of them first: if the client leaves while its headers wait for memory, nothing is stored.
      const received: (ReceivedFile | undefined)[] = [];
      for (const file of files)
        received.push(file === undefined ? undefined : await this.#identify(file, request.signal));
      const outcomes: Outcome[] = [];
      for (const one of received)
        outcomes.push(one ? await this.#file(one, request.studyUid) : { failure: REASON.notUnderstood });
      return answerOf(outcomes, request.baseUrl);
    } finally {
      await rm(incoming, { recursive: true, force: true });
    }
  }

  async #receive(body: AsyncIterable<Uint8Array>, path: string): Promise<string> {
    const file = await open(path, 'wx', 0o600);
    try {
      let bytes = 0;
      for await (const chunk of body) {
        bytes += chunk.length;
        if (bytes > this.#maxInstanceBytes)
          throw new StainError('PAYLOAD_TOO_LARGE', `An instance exceeds ${this.#maxInstanceBytes} bytes.`, {
            data: { maxInstanceBytes: this.#maxInstanceBytes },
          });
        await writeAll(file, chunk);
      }
      await file.sync();
      return path;
    } finally {
      await file.close();
    }
  }

  /**
   * Undefined if it is not a DICOM file, lacks valid UIDs, which also become its folder names, or was cut off: stored, it
   * would stand in the way of the whole file.
   */
  async #identify(path: string, signal: AbortSignal): Promise<ReceivedFile | undefined> {
    try {
      const found = await this.#headers.with(
        path,
        signal,
        ({ meta, dataset, transferSyntaxUid, pixelData }) => {
          const [sopClassUid, sopUid, studyUid, seriesUid] = [
            'SOPClassUID',
            'SOPInstanceUID',
            'StudyInstanceUID',
            'SeriesInstanceUID',
          ].map((keyword) => dataset.string(keyword));
          if (!isUid(sopClassUid) || !isUid(sopUid) || !isUid(studyUid) || !isUid(seriesUid))
            return undefined;
          const isInconsistent =
            meta.string('MediaStorageSOPInstanceUID') !== sopUid ||
            meta.string('MediaStorageSOPClassUID') !== sopClassUid;
          return {
            identity: { sopClassUid, sopUid, studyUid, seriesUid, isInconsistent },
            pixelData: pixelData && {
              ...pixelData,
              isDeflated: transferSyntaxUid === DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
              numberOfFrames: dataset.number('NumberOfFrames') ?? 1,
            },
          };
        },
      );
      if (found?.pixelData) await requireWholePixelData(path, found.pixelData, signal);
      return found && { path, identity: found.identity };
    } catch (error) {
      if (error instanceof StainError) return undefined;
      throw error;
    }
  }

  /** Moves a received file to its final place. */
  async #file({ path, identity }: ReceivedFile, studyUid: string | undefined): Promise<Outcome> {
    if (identity.isInconsistent || (studyUid !== undefined && identity.studyUid !== studyUid))
      return { ...identity, failure: REASON.mismatch };
    const { sopUid } = identity;
    const filed = (this.#last.get(sopUid) ?? Promise.resolve()).then(() => this.#place(path, identity));
    const settled = filed.catch(() => {});
    this.#last.set(sopUid, settled);
    try {
      return await filed;
    } catch (error) {
      if (toStainError(error).code === 'SPOOL_FULL') throw error;
      return { ...identity, failure: REASON.processing };
    } finally {
      if (this.#last.get(sopUid) === settled) this.#last.delete(sopUid);
    }
  }

  /** If the same bytes are already stored, that is success; another image under a known UID is refused. */
  async #place(
    path: string,
    identity: Required<Pick<Outcome, 'sopUid' | 'studyUid' | 'seriesUid'>>,
  ): Promise<Outcome> {
    const folder = join(this.#folder, identity.studyUid, identity.seriesUid);
    const target = join(folder, `${identity.sopUid}.dcm`);
    const known = this.#index.bySopInstanceUid(identity.sopUid)?.path ?? target;
    const size = (await stat(known).catch(() => undefined))?.size;
    if (size !== undefined) {
      // Perhaps another process has just put it there: whoever is refused sees why.
      await this.#index.add(known);
      return (await areEqual(path, known)) ? identity : { ...identity, failure: REASON.duplicate };
    }
    await mkdir(folder, { recursive: true });
    await rename(path, target);
    await syncFolder(folder);
    await this.#index.add(target);
    return identity;
  }
}

interface Identity extends Required<Omit<Outcome, 'failure'>> {
  /** The file meta information names a different instance from the data set. */
  readonly isInconsistent: boolean;
}

interface ReceivedFile {
  readonly path: string;
  readonly identity: Identity;
}

/** Removes what processes were still receiving when they ended. A failure takes disk space, but stops no request. */
async function removeAbandoned(folder: string): Promise<void> {
  try {
    for await (const entry of await opendir(folder)) {
      const path = join(folder, entry.name);
      if (!entry.isDirectory() || !IS_INCOMING.test(entry.name)) continue;
      if (Date.now() - (await changedAtMs(path)) > ABANDONED_MS) await rm(path, { recursive: true });
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
  }
}

/** When the folder, or a file in it, was last written: milliseconds since 1970. */
async function changedAtMs(folder: string): Promise<number> {
  let latest = (await stat(folder)).mtimeMs;
  for await (const { name } of await opendir(folder))
    latest = Math.max(latest, (await stat(join(folder, name))).mtimeMs);
  return latest;
}

function isDicom({ headers }: MultipartPart): boolean {
  const { essence } = parseMediaType(headers.get('content-type') ?? 'application/dicom');
  return essence === 'application/dicom';
}

async function areEqual(a: string, b: string): Promise<boolean> {
  const [{ size }, { size: other }] = await Promise.all([stat(a), stat(b)]);
  if (size !== other) return false;
  const options = { highWaterMark: 1 << 20 };
  const second = createReadStream(b, options)[Symbol.asyncIterator]();
  try {
    // Both streams read chunks of the same size, so their chunks line up.
    for await (const chunk of createReadStream(a, options)) {
      const { value } = await second.next();
      if (value === undefined || !(chunk as Buffer).equals(value)) return false;
    }
    return true;
  } finally {
    await second.return?.();
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length; ) written += (await file.write(bytes, written)).bytesWritten;
}

/** Makes a rename survive a power failure. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Store Instances Response (PS3.18 10.5.3): 200 all, 202 some, 409 none. */
function answerOf(outcomes: readonly Outcome[], baseUrl: string): StoreAnswer {
  const stored = outcomes.filter(({ failure }) => failure === undefined);
  const failed = outcomes.filter(({ failure, sopUid }) => failure !== undefined && sopUid !== undefined);
  const unread = outcomes.filter(({ failure, sopUid }) => failure !== undefined && sopUid === undefined);
  const json: Record<string, DicomJsonElement> = {};
  if (stored.length > 0) {
    json['00081190'] = { vr: 'UR', Value: [`${baseUrl}/studies/${stored[0]!.studyUid}`] };
    json['00081199'] = {
      vr: 'SQ',
      Value: stored.map((outcome) => ({
        ...reference(outcome),
        '00081190': {
          vr: 'UR',
          Value: [
            `${baseUrl}/studies/${outcome.studyUid}/series/${outcome.seriesUid}/instances/${outcome.sopUid}`,
          ],
        },
      })),
    };
  }
  if (failed.length > 0)
    json['00081198'] = {
      vr: 'SQ',
      Value: failed.map((outcome) => ({ ...reference(outcome), ...failure(outcome) })),
    };
  if (unread.length > 0) json['0008119A'] = { vr: 'SQ', Value: unread.map(failure) };
  return { status: stored.length === outcomes.length ? 200 : stored.length > 0 ? 202 : 409, json };
}

function reference({ sopClassUid, sopUid }: Outcome): Record<string, DicomJsonElement> {
  return { '00081150': { vr: 'UI', Value: [sopClassUid!] }, '00081155': { vr: 'UI', Value: [sopUid!] } };
}

function failure({ failure: reason }: Outcome): Record<string, DicomJsonElement> {
  return { '00081197': { vr: 'US', Value: [reason!] } };
}
