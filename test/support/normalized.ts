/** The service with the normalised archive, in this process, in front of an archive that a test may disturb. */
import { setTimeout as pause } from 'node:timers/promises';
import { isFinal, type Job } from '../../core/src/contract/index.ts';
import { CodecPool } from '../../server/src/codec/codec-pool.ts';
import { type DicomJson, textOf } from '../../server/src/dicom/json-model.ts';
import type { AppOptions } from '../../server/src/http/app.ts';
import { createLogger } from '../../server/src/http/log.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { type FrameOutcome, NormalizedArchive } from '../../server/src/normalized/normalized-archive.ts';
import { InstanceFiles } from '../../server/src/pipeline/instance-files.ts';
import { Looks } from '../../server/src/pipeline/looks.ts';
import { openJobService } from '../../server/src/wiring/job-service.ts';
import { createWorkplace, TEMPLATE, type Workplace } from './normalize.ts';
import { startApp, testMetrics } from './test-app.ts';

export interface NormalizedService extends AsyncDisposable {
  readonly url: string;
  /** Root of the normalised archive of a template. */
  root(template?: string): string;
  readonly place: Workplace;
  readonly jobs: JobService;
  readonly normalized: NormalizedArchive;
  /** The outcomes of the requested frames. */
  readonly frames: Record<FrameOutcome, number>;
}

export interface NormalizedOptions {
  /** How long the state of the source is cached. Default 0: not at all. */
  readonly holdsMs?: number;
  /** Bytes of source instances that may be kept in the spool. Default: none. */
  readonly sourceBytes?: number;
  /** How long frames wait for an instance that is being fetched. */
  readonly waitMs?: number;
  /** Of a PostgreSQL server that several services share. */
  readonly database?: string;
  readonly app?: Partial<AppOptions>;
}

/** @param archive root of a DICOMweb service */
export async function serveNormalized(
  archive: string,
  { holdsMs = 1, sourceBytes, waitMs, database, app = {} }: NormalizedOptions = {},
): Promise<NormalizedService> {
  await using cleanup = new AsyncDisposableStack();
  const place = cleanup.use(await createWorkplace());
  const { composition } = place;
  const { client } = cleanup.use(await place.open(archive));
  const config = {
    ...composition.config,
    database: { ...composition.config.database, directory: 'memory://', url: database },
  };
  const environment = composition.environment({ source: client, destination: client });
  const frames = { computed: 0, kept: 0, failed: 0 };
  const log = createLogger({ level: 'silent' });
  const onFault = (error: unknown): void => {
    throw error;
  };
  const metrics = testMetrics({ statistics: async () => ({}) } as never);
  const jobs = await openJobService(config, () => environment, {
    log,
    metrics,
    onFault,
    audit: { record() {} },
  });
  cleanup.defer(() => jobs.close());
  const codecs = new CodecPool({ threads: 2 });
  cleanup.defer(() => codecs.close());
  const instanceFiles =
    sourceBytes === undefined ? undefined : cleanup.use(new InstanceFiles(environment, sourceBytes, waitMs));
  const normalized = new NormalizedArchive({
    environment: { ...environment, instanceFiles },
    jobs,
    derivations: jobs.derivations,
    output: config.output,
    looks: new Looks(config.limits),
    codecs,
    threads: 2,
    holdsMs,
    onFrame: (outcome) => {
      frames[outcome]++;
    },
  });
  const search = {
    studies: (_: unknown, ...asked: Parameters<typeof client.searchStudies>) =>
      client.searchStudies(...asked),
    series: (_: unknown, ...asked: Parameters<typeof client.searchSeries>) => client.searchSeries(...asked),
  };
  const { url } = cleanup.use(
    await startApp(jobs, { config, normalized: { archive: normalized, search }, ...app }),
  );
  const resources = cleanup.move();
  return {
    url,
    root: (template = TEMPLATE) => `${url}/normalized/${template}/dicom-web`,
    place,
    jobs,
    normalized,
    frames,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

export async function jsonOf(url: string): Promise<DicomJson[]> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()) as DicomJson[];
}

/** The bytes of one frame. */
export async function frameOf(url: string): Promise<Buffer> {
  const answer = await fetch(url, { headers: { Accept: 'image/jpeg' } });
  if (!answer.ok) throw new Error(await answer.text());
  return Buffer.from(await answer.arrayBuffer());
}

/** Series Instance UIDs that are listed for a study. */
export async function seriesIn(root: string, study: string): Promise<string[]> {
  return (await jsonOf(`${root}/studies/${study}/series`)).map((row) => textOf(row, '0020000E')!);
}

/** Has a job make a series, and waits for it. */
export async function keep(service: NormalizedService, wanted: object): Promise<Job> {
  const answer = await fetch(`${service.url}/api/normalizations`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ template: TEMPLATE, ...wanted }),
  });
  if (!answer.ok) throw new Error(JSON.stringify(await answer.json()));
  let job = (await answer.json()) as Job;
  while (!isFinal(job.state)) {
    await pause(50);
    job = (await (await fetch(`${service.url}/api/normalizations/${job.id}`)).json()) as Job;
  }
  if (job.state !== 'COMPLETED') throw new Error(JSON.stringify(job.error));
  return job;
}
