/**
 * A DICOMweb archive over a folder of DICOM files: QIDO-RS, WADO-RS and STOW-RS without delete, to try the product
 * without a PACS, and for tests. It has no access control of its own: the app decides who may reach it.
 */

import { relative, resolve } from 'node:path';
import { type NextFunction, type Request, type Response, Router } from 'express';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { setStoredStudies, setStoring } from '../audit/stored-studies.ts';
import { CodecPool } from '../codec/codec-pool.ts';
import { valuesOf } from '../dicom/json-model.ts';
import { PIXEL_DATA } from '../dicom/part10-header.ts';
import { isUid } from '../dicom/uid.ts';
import { parseMediaType } from '../dicomweb/media-type.ts';
import { makeFolder } from '../make-folder.ts';
import type { PrivateFolder } from '../spool/inflated-file.ts';
import { sendJson } from '../web/json-response.ts';
import { leaving } from '../web/leaving.ts';
import { sendProblem } from '../web/problem.ts';
import { requireDataSetsAccepted } from './accept.ts';
import { type QueryLevel, TAG } from './attributes.ts';
import { FolderIndex, type IndexedInstance, type IndexStatistics } from './folder-index.ts';
import { HeaderReader } from './header.ts';
import { write, writeAll } from './multipart-response.ts';
import { OpenFiles } from './open-files.ts';
import { Pictures } from './pictures.ts';
import { parseQuery, runQuery, type Scope } from './query.ts';
import { sendRendered } from './rendered.ts';
import { sendBulkData, sendFrames, sendInstances, sendMetadata } from './retrieve.ts';
import { searchResultPieces } from './search-result.ts';
import { Store } from './store.ts';

export interface ArchiveOptions {
  /** The user's DICOM files, in any layout; never changed unless it is also `writable`. */
  readonly folder: string;
  /** Where STOW-RS stores, as study/series/instance.dcm. Default: `folder`. Created if missing. */
  readonly writable?: string;
  /** Maximum size of a stored instance, and of a deflated one once inflated, in bytes. */
  readonly maxInstanceBytes: number;
  /** Maximum size of a header, in bytes. Default 256 MB. */
  readonly maxHeaderBytes?: number;
  /** For deflated instances whose frames are requested. */
  makeFolder(): Promise<PrivateFolder>;
}

export interface Archive {
  /** Can be mounted under any prefix, such as `/dicom-web`. */
  readonly router: Router;
  readonly statistics: IndexStatistics;
  /** Memory used by all requests together, each kind within its budget. */
  readonly memory: ArchiveMemory;
  /** Scans for new, changed and removed files; resolves when the scan is complete. */
  rescan(): Promise<void>;
  /** When the newest file of a series was written, as of the last scan: milliseconds since 1970. */
  changedAtMs(studyUid: string, seriesUid: string): number;
  /** Where a slide lies in `folder`, for people: see `FolderIndex.placeOf`. */
  placeOf(studyUid: string, seriesUid: string, sopUid?: string): string | undefined;
  close(): Promise<void>;
}

export interface ArchiveMemory {
  /** Headers being read, and headers of files that are open for their frames. */
  readonly headerBytes: number;
  /** Frames as stored and decoded, and the pictures made from them; three bytes count as one pixel. */
  readonly pixels: number;
  /** Number of requests waiting for memory. */
  readonly waiting: number;
}

/** A search scans for new files if the last scan is older than this. */
const MAX_INDEX_AGE_MS = 10_000;
/** While the folder is still being scanned, a search answers after this time with what was found so far. */
const MAX_SEARCH_WAIT_MS = 5_000;
const MAX_OPEN_FILES = 32;
const KEEP_INFLATED_MS = 60_000;
/** Threads that decode for viewers; jobs have their own, so that neither waits for the other. */
const CODEC_THREADS = 2;
/** How long to go on reading a refused upload, so that the client sees the refusal instead of a broken pipe. */
const LINGER_MS = 2_000;

/** Starts to scan the folder and returns at once. @throws Error if `writable` cannot be created */
export async function createArchive(options: ArchiveOptions): Promise<Archive> {
  const maxHeaderBytes = options.maxHeaderBytes ?? 256e6;
  const folder = resolve(options.folder);
  const writable = resolve(options.writable ?? options.folder);
  await makeFolder(writable);
  const headers = new HeaderReader(maxHeaderBytes);
  const index = new FolderIndex(folder === writable ? [folder] : [folder, writable], headers);
  const store = new Store(writable, index, headers, options.maxInstanceBytes);
  const files = new OpenFiles({
    ...options,
    maxHeaderBytes,
    capacity: MAX_OPEN_FILES,
    keepInflatedMs: KEEP_INFLATED_MS,
  });
  const codecs = new CodecPool({ threads: CODEC_THREADS });
  const pictures = new Pictures(codecs);
  void index.rescan();
  return {
    router: makeRouter({ index, store, files, pictures, headers }),
    get statistics() {
      return index.statistics;
    },
    get memory() {
      return {
        headerBytes: headers.room.bytes + files.headerBytes,
        pixels: pictures.pixels,
        waiting: headers.room.waiting + files.waiting + pictures.waiting,
      };
    },
    rescan: () => index.rescan(),
    changedAtMs: (studyUid, seriesUid) =>
      Math.max(0, ...index.instances(studyUid, seriesUid).map(({ changedAtMs }) => changedAtMs)),
    placeOf(...uids) {
      const place = index.placeOf(...uids);
      return place === undefined ? undefined : relative(folder, place);
    },
    async close() {
      await index.close();
      await files.close();
      await codecs.close();
    },
  };
}

interface ArchiveContext {
  readonly index: FolderIndex;
  readonly store: Store;
  readonly files: OpenFiles;
  readonly pictures: Pictures;
  readonly headers: HeaderReader;
}

interface UidParameters {
  readonly study: string;
  readonly series: string;
  readonly instance: string;
}

const SERIES = '/studies/:study/series/:series';
const INSTANCE = `${SERIES}/instances/:instance`;

function makeRouter(context: ArchiveContext): Router {
  const { index, files, pictures, headers } = context;
  const router = Router();
  for (const name of ['study', 'series', 'instance'])
    router.param(name, (_request, _response, next, uid: string) =>
      next(
        isUid(uid)
          ? undefined
          : new StainError('REQUEST_INVALID', `The ${name} in the URL is not a valid UID.`),
      ),
    );

  const searches: readonly (readonly [string, QueryLevel])[] = [
    ['/studies', 'studies'],
    ['/series', 'series'],
    ['/instances', 'instances'],
    ['/studies/:study/series', 'series'],
    ['/studies/:study/instances', 'instances'],
    [`${SERIES}/instances`, 'instances'],
  ];
  for (const [path, level] of searches)
    router.get(path, (request, response) => search(context, level, request, response));

  for (const path of ['/studies/:study', SERIES, INSTANCE]) {
    router.get(path, async (request, response) => {
      await sendInstances(request, response, await find(index, request.params), baseUrlOf(request));
    });
    router.get(`${path}/metadata`, async (request, response) => {
      await sendMetadata(request, response, await find(index, request.params), baseUrlOf(request), headers);
    });
    router.get([`${path}/rendered`, `${path}/thumbnail`], async (request, response) => {
      const { instance } = request.params as Partial<UidParameters>;
      const image = await (instance === undefined ? findShown : findImage)(index, request.params);
      await sendRendered(request, response, image, 1, files, pictures);
    });
  }
  router.get(`${INSTANCE}/frames/:frames`, async (request, response) => {
    await sendFrames(
      request,
      response,
      await findImage(index, request.params),
      request.params.frames,
      files,
      pictures,
    );
  });
  router.get(
    [`${INSTANCE}/frames/:frame/rendered`, `${INSTANCE}/frames/:frame/thumbnail`],
    async (request, response) => {
      await sendRendered(
        request,
        response,
        await findImage(index, request.params),
        oneFrame(String(request.params.frame)),
        files,
        pictures,
      );
    },
  );
  router.get(`${INSTANCE}/bulkdata/*path`, async (request, response) => {
    await sendBulkData(
      request,
      response,
      await findOne(index, request.params),
      request.params.path as unknown as string[],
      headers,
    );
  });

  router.post(['/studies', '/studies/:study'], (request, response) => {
    const storing = storeInstances(context, request, response);
    // For the audit trail: storing may end after the client has left.
    setStoring(response, storing);
    return storing;
  });

  router.use((_request, _response, next) =>
    next(new StainError('NOT_FOUND', 'The archive has no such resource.')),
  );
  // Unexpected errors go to the app, which has a log.
  router.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
    const known = toStainError(error);
    if (known.code === 'INTERNAL') next(error);
    else sendProblem(response, known);
  });
  return router;
}

async function search(
  { index, headers }: ArchiveContext,
  level: QueryLevel,
  request: Request,
  response: Response,
): Promise<void> {
  requireDataSetsAccepted(request.get('accept'));
  const query = parseQuery(new URL(request.url, 'http://localhost').searchParams);
  const isComplete = await index.refresh(MAX_INDEX_AGE_MS, MAX_SEARCH_WAIT_MS);
  const { study, series } = request.params as Partial<UidParameters>;
  const scope: Scope = { ...(study && { studyUid: study }), ...(series && { seriesUid: series }) };
  const signal = leaving(response);
  const { page, total } = await runQuery(index, level, scope, query, baseUrlOf(request), signal);
  response.set({ 'Cache-Control': 'no-store', 'X-Total-Count': String(total) });
  const warnings = [
    ...(query.offset + page.length < total
      ? [`There are ${total - query.offset - page.length} additional results that can be requested`]
      : []),
    ...(isComplete ? [] : ['The folder is still being scanned']),
    ...(query.ignored.length > 0 ? ['Unsupported parameters were ignored'] : []),
  ];
  for (const warning of warnings) response.append('Warning', `299 stain-normalization "${warning}"`);
  response.setHeader('Content-Type', 'application/dicom+json');
  if (request.method === 'HEAD') return void response.end();
  const wanted = query.include;
  for (const [i, { json, instance }] of page.entries()) {
    const before = i === 0 ? '[' : ',';
    if (wanted === 'all' || ![...wanted].every((tag) => json[tag] || instance.json[tag])) {
      let isBegun = false;
      try {
        // One after the other: each result may be as large as a header.
        await headers.with(
          instance.path,
          signal,
          ({ dataset }) => {
            isBegun = true;
            return writeAll(response, before, searchResultPieces(json, dataset, wanted));
          },
          wanted === 'all' ? undefined : behind(wanted),
        );
        continue;
      } catch (error) {
        if (isBegun || !isUnreadable(error)) throw error;
        // Removed since the scan, or damaged behind what was indexed: one file must not take the others' results away.
      }
    }
    const indexed = Object.entries(instance.json).filter(([tag]) => wanted === 'all' || wanted.has(tag));
    const result = JSON.stringify({ ...Object.fromEntries(indexed), ...json });
    await write(response, Buffer.from(`${before}${result}`));
  }
  // An empty array rather than 204: viewers parse the body without checking the status.
  response.end(page.length === 0 ? '[]' : ']');
}

/** Whether a file is at fault, and not the request or the product. */
function isUnreadable(error: unknown): boolean {
  return error instanceof StainError || (error instanceof Error && 'syscall' in error);
}

/** The first tag after all of these: what follows may be hundreds of thousands of per-frame groups, and is not read. */
function behind(tags: ReadonlySet<string>): string {
  const last = Math.max(...Array.from(tags, (tag) => Number.parseInt(tag, 16)));
  return Math.min(last + 1, Number.parseInt(PIXEL_DATA, 16))
    .toString(16)
    .toUpperCase()
    .padStart(8, '0');
}

async function storeInstances(
  { store }: ArchiveContext,
  request: Request,
  response: Response,
): Promise<void> {
  const { study } = request.params as Partial<UidParameters>;
  const reason = notUnderstood(request);
  if (reason !== undefined) {
    leaveUnread(request, response);
    response.set('Accept-Encoding', 'identity');
    sendProblem(response, new StainError('REQUEST_INVALID', reason), 415);
    return;
  }
  try {
    const { status, json } = await store.store({
      contentType: request.get('content-type'),
      // Reading that stops halfway must leave the request intact: its answer is still to be sent and recorded.
      body: request.iterator({ destroyOnReturn: false }),
      signal: leaving(response),
      studyUid: study,
      baseUrl: baseUrlOf(request),
    });
    response.status(status).set('Cache-Control', 'no-store');
    setStoredStudies(response, json);
    sendJson(response, 'application/dicom+json', json);
  } catch (error) {
    leaveUnread(request, response);
    throw error;
  }
}

/** Why a body is of no use, whatever it contains. */
function notUnderstood(request: Request): string | undefined {
  if (parseMediaType(request.get('content-type') ?? '').essence !== 'multipart/related')
    return 'Instances are stored only as multipart/related; type="application/dicom".';
  const encoding = request.get('content-encoding')?.trim().toLowerCase() || 'identity';
  return encoding === 'identity' ? undefined : 'The body must have no Content-Encoding.';
}

/** For a request that is refused before all of it was read. */
function leaveUnread(request: Request, response: Response): void {
  response.set('Connection', 'close');
  request.resume();
  setTimeout(() => request.destroy(), LINGER_MS).unref();
}

/** Instances of a study or series, or a single one. @throws SERIES_NOT_FOUND, NOT_FOUND */
async function find(index: FolderIndex, parameters: Partial<UidParameters>): Promise<IndexedInstance[]> {
  const look = (): IndexedInstance[] => {
    const all = index.instances(parameters.study ?? '', parameters.series);
    return parameters.instance === undefined
      ? all
      : all.filter(({ sopUid }) => sopUid === parameters.instance);
  };
  const found = look();
  const current = (await index.recheck(found)) ? look() : found;
  if (current.length > 0) return current;
  // It may be in a file that was only just added, or that the first scan has not reached.
  await index.refresh(1000, 60_000);
  const again = look();
  if (again.length > 0) return again;
  throw parameters.instance === undefined
    ? new StainError('SERIES_NOT_FOUND', 'The archive has no such study or series.')
    : new StainError('NOT_FOUND', 'The archive has no such instance.');
}

async function findOne(index: FolderIndex, parameters: Partial<UidParameters>): Promise<IndexedInstance> {
  return (await find(index, parameters))[0]!;
}

/** @throws NOT_ACCEPTABLE for a list: a picture shows one frame */
function oneFrame(list: string): number {
  if (list.includes(','))
    throw new StainError('NOT_ACCEPTABLE', 'Only one frame can be rendered per request.');
  return Number(list);
}

/** @throws NOT_FOUND also for reports, notes and whatever else has no frames */
async function findImage(index: FolderIndex, parameters: Partial<UidParameters>): Promise<IndexedInstance> {
  const found = await findOne(index, parameters);
  if (!isImage(found)) throw new StainError('NOT_FOUND', 'The instance is not an image: it has no frames.');
  return found;
}

/**
 * The smallest file of the best kind shows a study or series: a thumbnail, a level, or else the whole glass. A label
 * names the patient, and is shown only to whoever asks for that instance.
 * @throws SERIES_NOT_FOUND, NOT_FOUND if there is no such image
 */
async function findShown(index: FolderIndex, parameters: Partial<UidParameters>): Promise<IndexedInstance> {
  const images = (await find(index, parameters)).filter((one) => isImage(one) && !isKind(one, 'LABEL'));
  const rank = (one: IndexedInstance): number =>
    isKind(one, 'THUMBNAIL') ? 0 : isKind(one, 'OVERVIEW') ? 2 : 1;
  const [best] = images.toSorted((a, b) => rank(a) - rank(b) || a.size - b.size);
  if (!best) throw new StainError('NOT_FOUND', 'There is no image to show; labels are not shown.');
  return best;
}

function isImage({ json }: IndexedInstance): boolean {
  return json[TAG.Rows] !== undefined;
}

/** As Image Type says, which some scanners write in lower case. */
function isKind({ json }: IndexedInstance, kind: string): boolean {
  return valuesOf(json[TAG.ImageType]).some((value) => String(value).trim().toUpperCase() === kind);
}

/** Absolute, because clients use the URLs in responses as they are. */
function baseUrlOf(request: Request): string {
  return `${request.protocol}://${request.host}${request.baseUrl}`;
}
