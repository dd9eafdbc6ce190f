/** A service as a process, over an archive, with what tests of stored results ask it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { ArchiveNames } from '../../core/src/contract/archive.ts';
import type { Job, StoredResult } from '../../core/src/contract/index.ts';
import type { SeriesReference } from '../../server/src/pipeline/series-reference.ts';
import { type ServiceProcess, startProcess } from './service-process.ts';

const TEMPLATE = 'he-pink-violet';
/** How long a slide may take, on a busy machine. */
const END = { timeout: 120_000, interval: 200 };

export interface ResultsSite extends AsyncDisposable {
  readonly service: ServiceProcess;
  /** Of the service, for other commands too. */
  readonly environment: Readonly<Record<string, string>>;
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body?: unknown): Promise<T>;
  /** Requests a normalisation, and waits for its end. */
  normalized(slide: SeriesReference, archives?: ArchiveNames): Promise<Job>;
  ended(job: string): Promise<Job>;
  result(seriesInstanceUid: string): Promise<StoredResult | undefined>;
  /** Series of the normalised archive in a study. */
  listed(study: string): Promise<string[]>;
}

/** @param url of the default archive */
export async function startResultsSite(
  url: string,
  changes: Readonly<Record<string, string>> = {},
): Promise<ResultsSite> {
  await using cleanup = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'results-site-'));
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  const environment = {
    STAIN_DICOMWEB_URL: url,
    STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
    STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
    STAIN_DATABASE_DIRECTORY: join(folder, 'database'),
    ...changes,
  };
  const service = cleanup.use(await startProcess('serve', environment));
  const ask = async <T>(path: string, init?: RequestInit): Promise<T> => {
    const answer = await fetch(service.url + path, init);
    if (!answer.ok) throw new Error(`${answer.status} for ${path}: ${await answer.text()}`);
    return (await answer.json()) as T;
  };
  const post = <T>(path: string, body: unknown = {}): Promise<T> =>
    ask(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
  const ended = async (id: string): Promise<Job> => {
    let job = await ask<Job>(`/api/normalizations/${id}`);
    await expect
      .poll(async () => {
        job = await ask<Job>(`/api/normalizations/${id}`);
        return job.endedAt;
      }, END)
      .not.toBeNull();
    return job;
  };
  const resources = cleanup.move();
  return {
    service,
    environment,
    get: ask,
    post,
    ended,
    async normalized({ studyInstanceUid, seriesInstanceUid }, archives) {
      const { id } = await post<Job>('/api/normalizations', {
        studyInstanceUid,
        seriesInstanceUid,
        template: TEMPLATE,
        ...archives,
      });
      const job = await ended(id);
      expect(job.error).toBeNull();
      return job;
    },
    async result(uid) {
      const { results } = await ask<{ results: StoredResult[] }>('/api/results?limit=1000');
      return results.find(({ seriesInstanceUid }) => seriesInstanceUid === uid);
    },
    async listed(study) {
      const found = await ask<Record<string, { Value: string[] }>[]>(
        `/normalized/${TEMPLATE}/dicom-web/studies/${study}/series`,
      );
      return found.map((json) => json['0020000E']!.Value[0]!);
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
