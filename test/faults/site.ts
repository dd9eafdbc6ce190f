/**
 * A small hospital: an archive behind a fault proxy, and the service and its workers as processes. A slide is first
 * normalised undisturbed. Its derived series is then removed from the archive. The same request makes the next
 * revision, which must have the same bytes under faults, apart from whatever identifies the revision.
 */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isFinal, type Job, type JobList } from '../../core/src/contract/index.ts';
import { derivedUids } from '../../server/src/derived/derived-uids.ts';
import { textOf } from '../../server/src/dicom/json-model.ts';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { uuidFromUid } from '../../server/src/dicom/uid.ts';
import { createDicomWebClient, type DicomWebClient } from '../../server/src/dicomweb/client.ts';
import { type CopiedSlide, copySample } from '../support/copy-slide.ts';
import { type DerivedContent, derivedContent } from '../support/derived-content.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { type ServiceProcess, startProcess } from '../support/service-process.ts';
import { type ArchiveKind, EMBEDDED, type TestArchive } from './archives.ts';
import type { Finding } from './record.ts';

/** Levels of the sample slide. */
export const PYRAMID = [0, 1, 2, 3];
export const TWO_LEVELS = [2, 3];
export const TINY = [3];

const TEMPLATE = 'he-pink-violet';
const MODEL = 'fast';

/** Maximum duration of the longest chain of faults and retries here. */
const END_TIMEOUT_MS = 120_000;
const TIDY_TIMEOUT_MS = 10_000;

export interface SiteOptions {
  /** Default: the embedded archive. */
  readonly archive?: ArchiveKind;
  /** Folder for the spool. Default: a temporary one. */
  readonly spool?: string;
  /** PostgreSQL server. Default: the embedded database. */
  readonly databaseUrl?: string;
  /** Workers beside the service, which then runs no jobs itself. Default 0. */
  readonly workers?: number;
  readonly environment?: Readonly<Record<string, string>>;
  readonly workerEnvironment?: Readonly<Record<string, string>>;
}

/** A slide in the archive, and the result of an undisturbed job. */
export interface SiteSlide extends CopiedSlide {
  /** SHA-256 of the content of each derived instance, by the UID of its source. */
  readonly derived: ReadonlyMap<string, string>;
  /** SOP Instance UID of the source's base level. */
  readonly baseUid: string;
}

export class Site implements AsyncDisposable {
  readonly proxy: FaultProxy;
  readonly service: ServiceProcess;
  readonly workers: readonly ServiceProcess[];
  readonly spool: string;
  readonly #archive: TestArchive;
  readonly #client: DicomWebClient;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    parts: Pick<Site, 'proxy' | 'service' | 'workers' | 'spool'>,
    archive: TestArchive,
    client: DicomWebClient,
    resources: AsyncDisposableStack,
  ) {
    ({ proxy: this.proxy, service: this.service, workers: this.workers, spool: this.spool } = parts);
    this.#archive = archive;
    this.#client = client;
    this.#resources = resources;
  }

  static async open(options: SiteOptions = {}): Promise<Site> {
    const { workers: count = 0, databaseUrl } = options;
    await using resources = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'faults-'));
    resources.defer(() => rm(folder, { recursive: true, force: true }));
    const spool = options.spool ?? join(folder, 'spool');
    await mkdir(spool, { recursive: true });
    const archive = resources.use(await (options.archive ?? EMBEDDED).start());
    const proxy = resources.use(await startFaultProxy(archive.url));
    const client = createDicomWebClient({ url: archive.url });
    resources.defer(() => client.close());
    const environment = {
      STAIN_DICOMWEB_URL: proxy.url,
      STAIN_SPOOL_DIRECTORY: spool,
      STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
      STAIN_JOBS_HEARTBEAT_SECONDS: '10',
      // After each row of windows: the slides are small, and must be interrupted between two checkpoints too.
      STAIN_SPOOL_CHECKPOINT_SECONDS: '0',
      ...(databaseUrl === undefined
        ? { STAIN_DATABASE_DIRECTORY: join(folder, 'database') }
        : { STAIN_DATABASE_URL: databaseUrl }),
      ...options.environment,
    };
    const service = resources.use(
      await startProcess('serve', { ...environment, ...(count > 0 && { STAIN_JOBS_CONCURRENCY: '0' }) }),
    );
    const workers: ServiceProcess[] = [];
    for (let i = 0; i < count; i++)
      workers.push(
        resources.use(await startProcess('worker', { ...environment, ...options.workerEnvironment })),
      );
    return new Site({ proxy, service, workers, spool }, archive, client, resources.move());
  }

  /** Copies the sample into the archive and normalises it undisturbed. */
  async add(name: string, levels: readonly number[]): Promise<SiteSlide> {
    const copy = await copySample(name, levels);
    await this.put(copy);
    const { id } = await this.submit(copy);
    const { state, result, error } = await this.end(id);
    if (!result) throw new Error(`The undisturbed job is ${state}: ${JSON.stringify(error)}`);
    const slide = {
      ...copy,
      derived: new Map((await this.#derivedInstances(copy)).map(({ source, sha256 }) => [source, sha256])),
      baseUid: copy.baseUid,
    };
    if (slide.derived.size !== levels.length) throw new Error('The undisturbed series is incomplete.');
    await this.forget(slide);
    return slide;
  }

  /** Copies a slide into the archive. */
  async put({ files }: CopiedSlide): Promise<void> {
    await this.#archive.put(files);
  }

  /** Removes derived instances from the archive. */
  async forget(slide: SiteSlide): Promise<void> {
    for (const uid of await this.derivedSeries(slide)) await this.#archive.remove(uid);
  }

  async submit({ studyInstanceUid, seriesInstanceUid }: CopiedSlide): Promise<Job> {
    const body = { studyInstanceUid, seriesInstanceUid, template: TEMPLATE, model: MODEL };
    return this.#json('/api/normalizations', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  job(id: string): Promise<Job> {
    return this.#json(`/api/normalizations/${id}`);
  }

  cancel(id: string): Promise<Job> {
    return this.#json(`/api/normalizations/${id}`, { method: 'DELETE' });
  }

  /** The job as soon as it satisfies the condition; undefined if it ended without. */
  async see(id: string, isSo: (job: Job) => boolean): Promise<Job | undefined> {
    const deadline = Date.now() + END_TIMEOUT_MS;
    for (;;) {
      const job = await this.job(id);
      if (isSo(job)) return job;
      if (isFinal(job.state)) return undefined;
      if (Date.now() > deadline) throw new Error(`The job does not get there: ${JSON.stringify(job)}`);
      await pause(10);
    }
  }

  async end(id: string): Promise<Job> {
    return (await this.see(id, ({ state }) => isFinal(state)))!;
  }

  /** What is wrong after a job that should have stored the series. */
  async findings(slide: SiteSlide, job: Job): Promise<Finding> {
    const derived = await this.#derivedInstances(slide);
    const series = await this.derivedSeries(slide);
    const wrong = [...slide.derived].filter(
      ([source, sha256]) => !derived.some((one) => one.source === source && one.sha256 === sha256),
    );
    // However many attempts there were, the header is the same.
    const revisions = new Set(derived.map(({ revision }) => revision));
    const unfinished = await this.#unfinishedJobs();
    const left = await this.leftInSpool();
    const finding = {
      lost: job.state === 'COMPLETED' && series.includes(job.result!.seriesInstanceUid) ? 0 : 1,
      duplicated: Math.max(0, series.length - 1) + Math.max(0, derived.length - slide.derived.size),
      wrong: wrong.length + Math.max(0, revisions.size - 1) + unfinished.length + left.length,
    };
    if (finding.lost + finding.duplicated + finding.wrong > 0)
      console.error(
        'Differs from undisturbed:',
        JSON.stringify({ job, series, wrong, revisions: [...revisions], unfinished, left }),
      );
    return finding;
  }

  /** Series of the study other than the source. */
  async derivedSeries({ studyInstanceUid, seriesInstanceUid }: CopiedSlide): Promise<string[]> {
    const found = await this.#client.searchSeries({ StudyInstanceUID: studyInstanceUid }, unlimited());
    return found.map((json) => textOf(json, '0020000E')!).filter((uid) => uid !== seriesInstanceUid);
  }

  /** UIDs of the derived instances that the archive shows. */
  async storedInstances({ studyInstanceUid, seriesInstanceUid }: SiteSlide): Promise<string[]> {
    const found = await this.#client.searchInstances({ StudyInstanceUID: studyInstanceUid }, unlimited());
    return found
      .filter((json) => textOf(json, '0020000E') !== seriesInstanceUid)
      .map((json) => textOf(json, '00080018')!);
  }

  /** Whether a viewer would open a pyramid with missing levels. */
  async showsHalfPyramid(slide: SiteSlide): Promise<boolean> {
    const stored = await this.storedInstances(slide);
    const bases = (await this.derivedSeries(slide)).map((uid) =>
      derivedUids({ seriesUuid: uuidFromUid(uid)! }).instance(slide.baseUid),
    );
    return bases.some((uid) => stored.includes(uid)) && stored.length < slide.derived.size;
  }

  /** Files of jobs, once removal has finished. */
  async leftInSpool(): Promise<string[]> {
    const deadline = Date.now() + TIDY_TIMEOUT_MS;
    for (;;) {
      const left = await readdir(this.spool);
      if (left.length === 0 || Date.now() > deadline) return left;
      await pause(50);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }

  /** All instances in derived series of the study, as the archive returns them. */
  async #derivedInstances(slide: CopiedSlide): Promise<DerivedContent[]> {
    const { studyInstanceUid } = slide;
    const found: DerivedContent[] = [];
    const folder = await mkdtemp(join(tmpdir(), 'faults-derived-'));
    for (const series of await this.derivedSeries(slide)) {
      const parameters = { StudyInstanceUID: studyInstanceUid, SeriesInstanceUID: series };
      for (const json of await this.#client.searchInstances(parameters, unlimited())) {
        const uid = textOf(json, '00080018')!;
        const path = join(folder, uid);
        await writeFile(path, this.#client.retrieveInstance(studyInstanceUid, series, uid, unlimited()));
        await using file = await openPart10(path);
        found.push(await derivedContent(file));
      }
    }
    await rm(folder, { recursive: true });
    return found;
  }

  async #unfinishedJobs(): Promise<Job[]> {
    const lists = await Promise.all(
      ['SCHEDULED', 'IN PROGRESS'].map((state) =>
        this.#json<JobList>(`/api/normalizations?state=${encodeURIComponent(state)}`),
      ),
    );
    return lists.flatMap(({ jobs }) => jobs);
  }

  async #json<T>(path: string, init: RequestInit = {}): Promise<T> {
    const answer = await fetch(this.service.url + path, init);
    if (!answer.ok) throw new Error(`${answer.status} for ${path}: ${await answer.text()}`);
    return (await answer.json()) as T;
  }
}

function unlimited(): AbortSignal {
  return new AbortController().signal;
}
