/**
 * A DICOMweb archive over a folder of DICOM files: QIDO-RS, WADO-RS and STOW-RS without delete, for trying the
 * product without a PACS, and for tests. It has no access control of its own; who may reach it decides the app.
 */
import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Request, type Response, Router } from 'express';
import { CodecPool } from '../codec/codec-pool.ts';
import { isUid } from '../dicom/uid.ts';
import type { DicomJson } from '../dicomweb/dicom-json.ts';
import { StainError } from '../errors.ts';
import { leaving } from '../leaving.ts';
import { setStoredStudies, setStoring } from '../stored-studies.ts';
import type { QueryLevel } from './attributes.ts';
import { FolderIndex, type IndexedInstance, type IndexStatistics } from './folder-index.ts';
import { HeaderReader } from './header.ts';
import type { PrivateFolder } from './inflated-file.ts';
import { sendJson } from './json-response.ts';
import { write } from './multipart-response.ts';
import { OpenFiles } from './open-files.ts';
import { Pictures } from './pictures.ts';
import { sendProblem } from './problem.ts';
import { parseQuery, runQuery, type Scope } from './query.ts';
import { sendRendered } from './rendered.ts';
import { sendBulkData, sendFrames, sendInstances, sendMetadata } from './retrieve.ts';
import { Store } from './store.ts';
import { toDicomJson } from './to-dicom-json.ts';

export interface ArchiveOptions {
  /** The user's DICOM files, in any layout; never changed unless it is also `writable`. */
  readonly folder: string;
  /** Where STOW-RS stores, as study/series/instance.dcm. Default: `folder`. Made when missing. */
  readonly writable?: string;
  /** Largest instance that is stored, and that a deflated one may hold, in bytes. */
  readonly maxInstanceBytes: number;
  /** Largest header that is read, in bytes. Default 256 MB. */
  readonly maxHeaderBytes?: number;
  /** For deflated instances whose frames are asked for. */
  makeFolder(): Promise<PrivateFolder>;
}

export interface Archive {
  /** To be mounted under any prefix, such as `/dicom-web`. */
  readonly router: Router;
  readonly statistics: IndexStatistics;
  /** What is in memory for all requests together, each within its budget. */
  readonly memory: ArchiveMemory;
  /** Looks for new, changed and removed files; resolves when all have been seen. */
  rescan(): Promise<void>;
  /** When the newest file of a series was written, by what was seen last: milliseconds since 1970. */
  changedAtMs(studyUid: string, seriesUid: string): number;
  close(): Promise<void>;
}

export interface ArchiveMemory {
  /** Of headers that are read, and of the files that are open for their frames. */
  readonly headerBytes: number;
  /** Of frames as stored and decoded, and of the pictures made of them, three bytes being one pixel. */
  readonly pixels: number;
  /** Requests that wait for room. */
  readonly waiting: number;
}

/** A search looks for new files when the last look is older than this. */
const MAX_INDEX_AGE_MS = 10_000;
/** A search in a folder that is still being scanned answers after this with what was found so far. */
const MAX_SEARCH_WAIT_MS = 5_000;
const MAX_OPEN_FILES = 32;
const KEEP_INFLATED_MS = 60_000;
/** Threads that decode for viewers; those of the jobs are others, so that neither waits for the other. */
const CODEC_THREADS = 2;
/** How long the rest of a refused upload is read, so that the client sees the refusal instead of a broken pipe. */
const LINGER_MS = 2_000;

/** Begins to scan the folder and returns at once. @throws Error where `writable` cannot be made */
export async function createArchive(options: ArchiveOptions): Promise<Archive> {
  const maxHeaderBytes = options.maxHeaderBytes ?? 256e6;
  const folder = resolve(options.folder);
  const writable = resolve(options.writable ?? options.folder);
  await mkdir(writable, { recursive: true });
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
  await store.clear();
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
    async close() {
      await index.close();
      await files.close();
      await codecs.close();
    },
  };
}

interface Rooms {
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

function makeRouter(rooms: Rooms): Router {
  const { index, files, pictures, headers } = rooms;
  const router = Router();
  for (const name of ['study', 'series', 'instance'])
    router.param(name, (_request, _response, next, uid: string) =>
      next(isUid(uid) ? undefined : new StainError('REQUEST_INVALID', `The ${name} of the URL is no UID.`)),
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
    router.get(path, (request, response) => search(rooms, level, request, response));

  for (const path of ['/studies/:study', SERIES, INSTANCE]) {
    router.get(path, async (request, response) => {
      await sendInstances(request, response, await find(index, request.params), baseUrlOf(request));
    });
    router.get(`${path}/metadata`, async (request, response) => {
      await sendMetadata(request, response, await find(index, request.params), baseUrlOf(request), headers);
    });
    router.get([`${path}/rendered`, `${path}/thumbnail`], async (request, response) => {
      await sendRendered(request, response, smallest(await find(index, request.params)), 1, files, pictures);
    });
  }
  router.get(`${INSTANCE}/frames/:frames`, async (request, response) => {
    await sendFrames(
      request,
      response,
      await findOne(index, request.params),
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
        await findOne(index, request.params),
        Number(request.params.frame),
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
    const storing = storeInstances(rooms, request, response);
    // For the audit trail: it may end after the client has left.
    setStoring(response, storing);
    return storing;
  });

  router.use((_request, _response, next) =>
    next(new StainError('NOT_FOUND', 'The archive has no such resource.')),
  );
  router.use((error: unknown, _request: Request, response: Response, _next: unknown) =>
    sendProblem(response, error),
  );
  return router;
}

async function search(
  { index, headers }: Rooms,
  level: QueryLevel,
  request: Request,
  response: Response,
): Promise<void> {
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
    ...(query.ignored.length > 0 ? ['Some parameters are not supported and had no effect'] : []),
  ];
  for (const warning of warnings) response.append('Warning', `299 stain-normalization "${warning}"`);
  response.setHeader('Content-Type', 'application/dicom+json');
  const wanted = query.include;
  for (const [i, { json, instance }] of page.entries()) {
    // One after the other: where attributes beyond the index are wanted, each may be as large as a header.
    const sendWith = (source: DicomJson): Promise<void> => {
      const extra = Object.entries(source).filter(([tag]) => wanted === 'all' || wanted.has(tag));
      const result = JSON.stringify({ ...Object.fromEntries(extra), ...json });
      return write(response, Buffer.from(`${i === 0 ? '[' : ','}${result}`));
    };
    if (wanted !== 'all' && [...wanted].every((tag) => json[tag] || instance.json[tag]))
      await sendWith(instance.json);
    else await headers.with(instance.path, signal, ({ dataset }) => sendWith(toDicomJson(dataset)));
  }
  // An empty array rather than 204: viewers parse the body without looking at the status.
  response.end(page.length === 0 ? '[]' : ']');
}

async function storeInstances({ store }: Rooms, request: Request, response: Response): Promise<void> {
  const { study } = request.params as Partial<UidParameters>;
  try {
    const { status, json } = await store.store({
      contentType: request.get('content-type'),
      body: request,
      signal: leaving(response),
      studyUid: study,
      baseUrl: baseUrlOf(request),
    });
    response.status(status).set('Cache-Control', 'no-store');
    setStoredStudies(response, json);
    sendJson(response, 'application/dicom+json', json);
  } catch (error) {
    response.set('Connection', 'close');
    sendProblem(response, error);
    request.resume();
    setTimeout(() => request.destroy(), LINGER_MS).unref();
  }
}

/** Instances of a study, series or one instance. @throws SERIES_NOT_FOUND, NOT_FOUND */
async function find(index: FolderIndex, parameters: Partial<UidParameters>): Promise<IndexedInstance[]> {
  const look = (): IndexedInstance[] => {
    const all = index.instances(parameters.study ?? '', parameters.series);
    return parameters.instance === undefined
      ? all
      : all.filter(({ sopUid }) => sopUid === parameters.instance);
  };
  const found = look();
  if (found.length > 0) return found;
  // It may be in a file that was put there a moment ago, or that the first scan has not come to.
  await index.refresh(1000, 60_000);
  const again = look();
  if (again.length > 0) return again;
  throw parameters.instance === undefined
    ? new StainError('SERIES_NOT_FOUND', 'The archive holds no such study or series.')
    : new StainError('NOT_FOUND', 'The archive holds no such instance.');
}

async function findOne(index: FolderIndex, parameters: Partial<UidParameters>): Promise<IndexedInstance> {
  return (await find(index, parameters))[0]!;
}

/** The smallest file stands for a series when a picture of it is asked for: a thumbnail or the coarsest level. */
function smallest(instances: readonly IndexedInstance[]): IndexedInstance {
  return instances.reduce((least, one) => (one.size < least.size ? one : least));
}

/** Absolute, because clients use the URLs in answers as they are. */
function baseUrlOf(request: Request): string {
  return `${request.protocol}://${request.host}${request.baseUrl}`;
}
