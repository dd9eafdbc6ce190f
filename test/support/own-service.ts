/**
 * `serve` without a login over a copy of the sample slide, with a waiting job and a template of its user: a target for
 * attacks.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Batch, Job } from '../../core/src/contract/index.ts';
import { type CopiedSlide, copySample } from './copy-slide.ts';
import { startProcess } from './service-process.ts';

export interface OwnService extends AsyncDisposable {
  readonly url: string;
  readonly slide: CopiedSlide;
  /** Id of a job that waits, because there is no worker. */
  readonly job: string;
  /** Id of a template of the user. */
  readonly template: string;
  /** Another slide as the body of a STOW-RS request, with the boundary `x`, one character per byte. */
  readonly storable: string;
  /** Everything that an attack could change. */
  everything(): Promise<{ jobs: Job[]; batches: Batch[]; templates: unknown; series: unknown }>;
  /** Requests that were answered with this status. */
  answers(status: number): Promise<number>;
}

export async function startOwnService(environment: Record<string, string> = {}): Promise<OwnService> {
  await using cleanup = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'own-service-'));
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  const archive = join(folder, 'archive');
  await mkdir(archive);
  const slide = await copySample('attacked', [1, 2, 3]);
  for (const [i, file] of slide.files.entries()) await writeFile(join(archive, `${i}.dcm`), file);
  const { url } = cleanup.use(
    await startProcess('serve', {
      STAIN_ARCHIVE_FOLDER: archive,
      STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
      STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
      STAIN_DATABASE_DIRECTORY: join(folder, 'database'),
      STAIN_JOBS_CONCURRENCY: '0',
      ...environment,
    }),
  );
  const get = async <T>(path: string): Promise<T> => {
    const answer = await fetch(url + path);
    if (!answer.ok) throw new Error(await answer.text());
    return (await answer.json()) as T;
  };
  const make = async (path: string, body: object): Promise<string> => {
    const answer = await fetch(url + path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(await answer.text());
    return ((await answer.json()) as { id: string }).id;
  };
  const { studyInstanceUid, seriesInstanceUid } = slide;
  const source = { studyInstanceUid, seriesInstanceUid };
  const template = await make('/api/templates', { ...source, name: 'Mine' });
  const job = await make('/api/normalizations', { ...source, template });
  const [other] = (await copySample('smuggled', [3])).files;
  const resources = cleanup.move();
  return {
    url,
    slide,
    job,
    template,
    storable: `--x\r\nContent-Type: application/dicom\r\n\r\n${other!.toString('latin1')}\r\n--x--`,
    everything: async () => ({
      jobs: (await get<{ jobs: Job[] }>('/api/normalizations')).jobs,
      batches: (await get<{ batches: Batch[] }>('/api/batches')).batches,
      templates: await get('/api/templates'),
      series: await get('/dicom-web/series'),
    }),
    async answers(status) {
      const metrics = await (await fetch(`${url}/metrics`)).text();
      const counts = metrics.matchAll(/^stain_http_request_seconds_count\{(.*)\} (\d+)$/gm);
      return [...counts]
        .filter(([, labels]) => labels!.includes(`status="${status}"`))
        .reduce((sum, [, , count]) => sum + Number(count), 0);
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
