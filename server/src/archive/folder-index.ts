/**
 * What lies in the archive's folders: every DICOM file's identity and searchable attributes, in memory.
 * Files are read again only when their size or time of change differ. About 5 KB of memory an instance.
 */
import type { Stats } from 'node:fs';
import { opendir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Element } from '../dicom/element.ts';
import { isSequence } from '../dicom/element.ts';
import { isUid } from '../dicom/uid.ts';
import { type DicomJson, numberOf, textOf } from '../dicomweb/dicom-json.ts';
import { StainError } from '../errors.ts';
import { INDEXED_TAGS, TAG } from './attributes.ts';
import { type HeaderReader, isDicomFile } from './header.ts';
import { toDicomJson } from './to-dicom-json.ts';

export interface IndexedInstance {
  readonly path: string;
  readonly size: number;
  readonly mtimeMs: number;
  /** When it was written here, whatever time was copied with it: milliseconds since 1970. */
  readonly changedAtMs: number;
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly sopUid: string;
  readonly sopClassUid: string;
  readonly transferSyntaxUid: string;
  /** The attributes of `INDEXED_TAGS`. */
  readonly json: DicomJson;
}

/** What lies in the folders and is not shown, for one reason: files, or a folder with all that is in it. */
export interface LeftOutFiles {
  /** A sentence. Nothing of a patient is in it. */
  readonly reason: string;
  /** May name a patient. */
  readonly paths: readonly string[];
}

export interface IndexStatistics {
  readonly instances: number;
  /** The most frequent reason first. */
  readonly leftOut: readonly LeftOutFiles[];
}

type Series = Map<string, IndexedInstance>;
type Study = Map<string, Series>;

interface Entry {
  readonly size: number;
  readonly mtimeMs: number;
  /** Or why it is left out. */
  readonly instance: IndexedInstance | string;
}

/** Per-frame groups and pixels lie behind all that is indexed; leaving them unread makes the scan fast. */
const BEHIND_INDEXED_TAGS = '00490000';
/** Bytes of an attribute that is kept: no more than the standard allows for any of them. A longer one is left out. */
const MAX_INDEXED_BYTES = 1024;
const DOUBLE = 'Another file has the same SOP Instance UID.';
const UNKNOWN_SIZE = { size: -1, mtimeMs: -1 };

export class FolderIndex {
  readonly #folders: readonly string[];
  readonly #headers: HeaderReader;
  readonly #closed = new AbortController();
  readonly #files = new Map<string, Entry>();
  #studies = new Map<string, Study>();
  #bySop = new Map<string, IndexedInstance>();
  #scan: Promise<void> | undefined;
  /** The scan after the one that runs. */
  #next: Promise<void> | undefined;
  #scannedAt = Number.NEGATIVE_INFINITY;

  constructor(folders: readonly string[], headers: HeaderReader) {
    this.#folders = folders;
    this.#headers = headers;
  }

  get studies(): ReadonlyMap<string, ReadonlyMap<string, ReadonlyMap<string, IndexedInstance>>> {
    return this.#studies;
  }

  get statistics(): IndexStatistics {
    const reasonOf = ([path, { instance }]: [string, Entry]): string | undefined => {
      if (typeof instance === 'string') return instance;
      return this.#bySop.get(instance.sopUid)?.path === path ? undefined : DOUBLE;
    };
    const leftOut = [...Map.groupBy(this.#files, reasonOf)]
      .flatMap(([reason, files]) => (reason ? [{ reason, paths: files.map(([path]) => path) }] : []))
      .sort((a, b) => b.paths.length - a.paths.length);
    return { instances: this.#bySop.size, leftOut };
  }

  bySopInstanceUid(sopUid: string): IndexedInstance | undefined {
    return this.#bySop.get(sopUid);
  }

  /** Instances of a study or series by Series and Instance Number; empty where there are none. */
  instances(studyUid: string, seriesUid?: string): IndexedInstance[] {
    const study = this.#studies.get(studyUid) ?? new Map<string, Series>();
    const series =
      seriesUid === undefined
        ? [...study.values()]
        : [study.get(seriesUid) ?? new Map<string, IndexedInstance>()];
    return series.flatMap((one) => [...one.values()]).sort(byNumbers);
  }

  instance(studyUid: string, seriesUid: string, sopUid: string): IndexedInstance | undefined {
    return this.#studies.get(studyUid)?.get(seriesUid)?.get(sopUid);
  }

  /**
   * Scans the folders and sees all that is there now: where a scan runs already, which may have passed it by, another one
   * follows. Never rejects: what cannot be read is left out.
   */
  rescan(): Promise<void> {
    if (this.#scan === undefined) return this.#begin();
    this.#next ??= this.#scan.then(() => {
      this.#next = undefined;
      return this.rescan();
    });
    return this.#next;
  }

  /**
   * Scans again when the last scan is older than `maxAgeMs`, so that files put into the folder appear.
   * @returns false where the scan goes on after `waitMs`: the index is then not complete
   */
  async refresh(maxAgeMs: number, waitMs: number): Promise<boolean> {
    if (this.#scan === undefined && Date.now() - this.#scannedAt < maxAgeMs) return true;
    const scan = (this.#scan ?? this.#begin()).then(() => true);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), waitMs);
    });
    return Promise.race([scan, late]).finally(() => clearTimeout(timer));
  }

  /** Takes up one file that was just written. */
  async add(path: string): Promise<void> {
    await this.#take(path, await stat(path));
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#scan;
  }

  #begin(): Promise<void> {
    this.#scan = this.#scanAll().finally(() => {
      this.#scan = undefined;
      this.#scannedAt = Date.now();
    });
    return this.#scan;
  }

  async #scanAll(): Promise<void> {
    const before = [...this.#files.keys()];
    const seen = new Set<string>();
    for (const folder of this.#folders)
      for await (const { path, reason } of filesIn(folder, new Set())) {
        if (this.#closed.signal.aborted) return;
        const stats = reason ?? (await stat(path).catch(reasonUnlessGone));
        if (stats === undefined) continue;
        seen.add(path);
        if (typeof stats === 'string') this.#files.set(path, { ...UNKNOWN_SIZE, instance: stats });
        else await this.#take(path, stats);
      }
    for (const path of before) if (!seen.has(path)) this.#files.delete(path);
    this.#rebuild();
  }

  async #take(path: string, { size, mtimeMs, ctimeMs }: Stats): Promise<void> {
    const known = this.#files.get(path);
    if (known?.size === size && known.mtimeMs === mtimeMs) return;
    const instance = await readInstance(
      path,
      { size, mtimeMs, ctimeMs },
      this.#headers,
      this.#closed.signal,
    ).catch(reasonOf);
    if (this.#closed.signal.aborted) return;
    this.#files.set(path, { size, mtimeMs, instance });
    // A first scan shows what it has found so far; what was removed or doubled is settled at its end.
    if (typeof instance !== 'string') this.#show(instance);
  }

  #rebuild(): void {
    this.#studies = new Map();
    this.#bySop = new Map();
    for (const [, { instance }] of [...this.#files].sort(([a], [b]) => (a < b ? -1 : 1)))
      if (typeof instance !== 'string') this.#show(instance);
  }

  /** Unless another file of this SOP Instance UID is shown. */
  #show(instance: IndexedInstance): void {
    const shown = this.#bySop.get(instance.sopUid);
    if (shown && shown.path !== instance.path) return;
    this.#bySop.set(instance.sopUid, instance);
    const study = getOrAdd(this.#studies, instance.studyUid, () => new Map<string, Series>());
    getOrAdd(study, instance.seriesUid, () => new Map<string, IndexedInstance>()).set(
      instance.sopUid,
      instance,
    );
  }
}

async function readInstance(
  path: string,
  stats: Pick<Stats, 'size' | 'mtimeMs' | 'ctimeMs'>,
  headers: HeaderReader,
  signal: AbortSignal,
): Promise<IndexedInstance | string> {
  if (!(await isDicomFile(path))) return 'They are no DICOM files.';
  const { json, transferSyntaxUid } = await headers.with(
    path,
    signal,
    ({ dataset, transferSyntaxUid }) => ({ json: toDicomJson(dataset.filter(isIndexed)), transferSyntaxUid }),
    BEHIND_INDEXED_TAGS,
  );
  const studyUid = textOf(json, TAG.StudyInstanceUID);
  const seriesUid = textOf(json, TAG.SeriesInstanceUID);
  const sopUid = textOf(json, TAG.SOPInstanceUID);
  const sopClassUid = textOf(json, TAG.SOPClassUID);
  if (
    !isUid(studyUid) ||
    !isUid(seriesUid) ||
    !isUid(sopUid) ||
    !isUid(sopClassUid) ||
    !isUid(transferSyntaxUid)
  )
    return 'They have no valid Study, Series, SOP Instance or SOP Class UID.';
  return {
    path,
    size: stats.size,
    mtimeMs: stats.mtimeMs,
    changedAtMs: Math.max(stats.mtimeMs, stats.ctimeMs),
    studyUid,
    seriesUid,
    sopUid,
    sopClassUid,
    transferSyntaxUid,
    json,
  };
}

/** Texts of the system name the file. */
function reasonOf(error: unknown): string {
  if (error instanceof StainError) return error.message;
  return `They cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}).`;
}

/** Nobody misses what was removed while it was looked at. */
function reasonUnlessGone(error: unknown): string | undefined {
  return codeOf(error) === 'ENOENT' ? undefined : reasonOf(error);
}

function isIndexed(element: Element): boolean {
  return INDEXED_TAGS.has(element.tag) && !isSequence(element) && element.bytes.length <= MAX_INDEXED_BYTES;
}

interface Found {
  readonly path: string;
  /** Why it is no file that can be looked into. */
  readonly reason?: string;
}

/** All files below a folder, in any layout; hidden ones (and with them half-received instances) are left out. */
async function* filesIn(folder: string, visited: Set<string>): AsyncGenerator<Found> {
  try {
    // Symbolic links are followed, but not in circles.
    const real = await realpath(folder);
    if (visited.has(real)) return;
    visited.add(real);
    // Entry by entry: a folder may have millions of them.
    for await (const entry of await opendir(folder)) {
      if (entry.name.startsWith('.')) continue;
      const path = join(folder, entry.name);
      const found = entry.isSymbolicLink() ? await stat(path).catch(codeOf) : entry;
      if (typeof found === 'string') yield { path, reason: `They are links that lead nowhere (${found}).` };
      else if (found.isDirectory()) yield* filesIn(path, visited);
      else if (found.isFile()) yield { path };
      else yield { path, reason: 'They are no files.' };
    }
  } catch (error) {
    const code = codeOf(error);
    // Removed while it was read.
    if (code !== 'ENOENT')
      yield {
        path: folder,
        reason: `They are folders that cannot be read, with all that is in them (${code}).`,
      };
  }
}

/** @throws what is no error of the system */
function codeOf(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) throw error;
  return code;
}

function byNumbers(a: IndexedInstance, b: IndexedInstance): number {
  return (
    (numberOf(a.json, TAG.SeriesNumber) ?? 0) - (numberOf(b.json, TAG.SeriesNumber) ?? 0) ||
    a.seriesUid.localeCompare(b.seriesUid) ||
    (numberOf(a.json, TAG.InstanceNumber) ?? 0) - (numberOf(b.json, TAG.InstanceNumber) ?? 0) ||
    a.sopUid.localeCompare(b.sopUid)
  );
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
