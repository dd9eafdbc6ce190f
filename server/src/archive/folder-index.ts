/**
 * Index of the archive's folders: identity and searchable attributes of every DICOM file, in memory. A file is read
 * again only if its size or modification time has changed. Takes about 5 KB per instance.
 */
import type { Stats } from 'node:fs';
import { opendir, realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StainError } from '../../../core/src/errors.ts';
import { type Element, isSequence } from '../dicom/dataset.ts';
import { type DicomJson, numberOf, textOf } from '../dicom/json-model.ts';
import { toDicomJson } from '../dicom/to-json.ts';
import { isUid } from '../dicom/uid.ts';
import { INDEXED_TAGS, TAG } from './attributes.ts';
import { type HeaderReader, isDicomFile } from './header.ts';

export interface IndexedInstance {
  readonly path: string;
  readonly size: number;
  readonly mtimeMs: number;
  /** When it was written here, even if an older time was copied with it: milliseconds since 1970. */
  readonly changedAtMs: number;
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly sopUid: string;
  readonly sopClassUid: string;
  readonly transferSyntaxUid: string;
  /** The attributes of `INDEXED_TAGS`. */
  readonly json: DicomJson;
}

/** A text that changes whenever the file does. */
export function versionOf({ sopUid, size, mtimeMs }: IndexedInstance): string {
  return `${sopUid} ${size} ${mtimeMs}`;
}

/** What lies in the folders but is not shown, for one reason: files, or a folder with everything in it. */
export interface LeftOutFiles {
  /** A sentence, without patient data. */
  readonly reason: string;
  /** May name a patient. */
  readonly paths: readonly string[];
}

export interface IndexStatistics {
  readonly instances: number;
  /** Most frequent reason first. */
  readonly leftOut: readonly LeftOutFiles[];
}

type Series = Map<string, IndexedInstance>;
type Study = Map<string, Series>;

interface Entry {
  readonly size: number;
  readonly mtimeMs: number;
  /** The instance, or the reason why it is left out. */
  readonly instance: IndexedInstance | string;
}

/** Per-frame groups and pixels come after all indexed attributes; the scan is fast because it does not read them. */
const BEHIND_INDEXED_TAGS = '00490000';
/**
 * Maximum size of an indexed attribute in bytes: no less than the standard allows for any of them. Longer ones are left
 * out.
 */
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
  /** The scan that follows the current one. */
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

  /** Instances of a study or series, sorted by Series and Instance Number; empty if there are none. */
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

  /** Path of an image; or of a series: its only file, the folder that holds nothing but its files, or its first file. */
  placeOf(studyUid: string, seriesUid: string, sopUid?: string): string | undefined {
    if (sopUid !== undefined) return this.instance(studyUid, seriesUid, sopUid)?.path;
    const files = this.instances(studyUid, seriesUid);
    const first = files[0]?.path;
    if (first === undefined || files.length === 1) return first;
    const folder = dirname(first);
    if (this.#folders.includes(folder)) return first;
    const beside = [...this.#bySop.values()].filter(({ path }) => dirname(path) === folder);
    const isOwn = beside.length === files.length && beside.every((one) => one.seriesUid === seriesUid);
    return isOwn ? folder : first;
  }

  /**
   * Scans the folders for everything that is there now. If a scan is already running, which may have missed something,
   * another one follows. Never rejects: what cannot be read is left out.
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
   * Scans again if the last scan is older than `maxAgeMs`, so that files added to the folder appear.
   * @returns false if the scan takes longer than `waitMs`: the index is then incomplete
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

  /**
   * Reads files again that have changed since the scan: their old size would cut the new file, and the old header may
   * name another patient.
   * @returns whether any has changed, or is gone
   */
  async recheck(instances: readonly IndexedInstance[]): Promise<boolean> {
    let isChanged = false;
    for (const instance of instances) {
      const { path, size, mtimeMs } = instance;
      const stats = await stat(path).catch(() => undefined);
      if (stats?.size === size && stats.mtimeMs === mtimeMs) continue;
      isChanged = true;
      this.#hide(instance);
      if (stats) await this.#take(path, stats);
    }
    return isChanged;
  }

  /** Adds a file that was just written. */
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
    // A first scan shows what it has found so far; removed and duplicate files are handled at its end.
    if (typeof instance !== 'string') this.#show(instance);
  }

  #rebuild(): void {
    this.#studies = new Map();
    this.#bySop = new Map();
    for (const { instance } of this.#files.values()) if (typeof instance !== 'string') this.#show(instance);
  }

  /** Shows the instance unless a better file with its SOP Instance UID is already shown. */
  #show(instance: IndexedInstance): void {
    const shown = this.#bySop.get(instance.sopUid);
    if (shown && shown.path !== instance.path) {
      if (!isBetter(instance, shown)) return;
      this.#hide(shown);
    }
    this.#bySop.set(instance.sopUid, instance);
    const study = getOrAdd(this.#studies, instance.studyUid, () => new Map<string, Series>());
    getOrAdd(study, instance.seriesUid, () => new Map<string, IndexedInstance>()).set(
      instance.sopUid,
      instance,
    );
  }

  /** Unless something newer has taken its place. */
  #hide(instance: IndexedInstance): void {
    const { studyUid, seriesUid, sopUid } = instance;
    if (this.#bySop.get(sopUid) !== instance) return;
    this.#bySop.delete(sopUid);
    const study = this.#studies.get(studyUid);
    const series = study?.get(seriesUid);
    series?.delete(sopUid);
    if (series?.size === 0) study!.delete(seriesUid);
    if (study?.size === 0) this.#studies.delete(studyUid);
  }
}

/** Of two copies the larger one, because the other may have been cut off while it was copied; then the first by name. */
function isBetter(one: IndexedInstance, other: IndexedInstance): boolean {
  return one.size === other.size ? one.path < other.path : one.size > other.size;
}

/** Formats that are known for slides. TIFF is not among them: most of its files are pictures. */
const SCANNER_FILE = /\.(svs|ndpi|mrxs|scn|bif|vms|czi|vsi|isyntax|kfb|sdpc)$/i;

async function readInstance(
  path: string,
  stats: Pick<Stats, 'size' | 'mtimeMs' | 'ctimeMs'>,
  headers: HeaderReader,
  signal: AbortSignal,
): Promise<IndexedInstance | string> {
  if (!(await isDicomFile(path)))
    return SCANNER_FILE.test(path)
      ? "They are slides in a scanner's own format; convert them to DICOM first."
      : 'They are not DICOM files.';
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

/** The messages of system errors contain file names. */
function reasonOf(error: unknown): string {
  if (error instanceof StainError) return error.message;
  return `They cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}).`;
}

/** A file removed during the scan is not reported. */
function reasonUnlessGone(error: unknown): string | undefined {
  return codeOf(error) === 'ENOENT' ? undefined : reasonOf(error);
}

function isIndexed(element: Element): boolean {
  return INDEXED_TAGS.has(element.tag) && !isSequence(element) && element.bytes.length <= MAX_INDEXED_BYTES;
}

interface Found {
  readonly path: string;
  /** Why it is not a readable file. */
  readonly reason?: string;
}

/** Half-received instances are hidden (store.ts), and so is what systems and programs write for themselves. */
const NOT_FOR_USERS = /^\.(?!.*\.dcm$)|^\._/i;
/** In place of bytes that are not UTF-8. */
const REPLACEMENT = '\uFFFD';

/** All files below a folder, in any layout, without hidden ones. */
async function* filesIn(folder: string, visited: Set<string>): AsyncGenerator<Found> {
  try {
    // Follows symbolic links, but not in circles.
    const real = await realpath(folder);
    if (visited.has(real)) return;
    visited.add(real);
    // Entry by entry: a folder may have millions of them.
    for await (const entry of await opendir(folder)) {
      if (NOT_FOR_USERS.test(entry.name)) continue;
      const path = join(folder, entry.name);
      if (entry.name.startsWith('.')) {
        yield { path, reason: 'They are hidden: their names begin with a dot.' };
        continue;
      }
      if (entry.name.includes(REPLACEMENT) && (await stat(path).catch(codeOf)) === 'ENOENT') {
        yield { path, reason: 'Their names, or those of their folders, are not UTF-8; rename them.' };
        continue;
      }
      const found = entry.isSymbolicLink() ? await stat(path).catch(codeOf) : entry;
      if (typeof found === 'string') yield { path, reason: `They are broken links (${found}).` };
      else if (found.isDirectory()) yield* filesIn(path, visited);
      else if (found.isFile()) yield { path };
      else yield { path, reason: 'They are not regular files.' };
    }
  } catch (error) {
    const code = codeOf(error);
    // Removed during the scan.
    if (code !== 'ENOENT')
      yield {
        path: folder,
        reason: `They are folders that cannot be read, with everything in them (${code}).`,
      };
  }
}

/** @throws anything that is not a system error */
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
