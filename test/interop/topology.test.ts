/**
 * The topology of compose.yaml as plain processes: a real PostgreSQL, a real Orthanc, a service that leaves the jobs to
 * two workers, a login. The environment is read from compose.yaml itself, with the names of its hosts replaced.
 */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { Job } from '../../core/src/contract/index.ts';
import { textOf } from '../../server/src/dicom/json-model.ts';
import { createDicomWebClient } from '../../server/src/dicomweb/client.ts';
import { AUDIENCE, type Issuer, startIssuer } from '../support/issuer.ts';
import { orthancMissing, type RunningOrthanc, startOrthanc } from '../support/orthanc.ts';
import { repository } from '../support/peers.ts';
import { postgresMissing, type RunningPostgres, startPostgres } from '../support/postgres.ts';
import { type ServiceProcess, startProcess } from '../support/service-process.ts';
import { storeFiles } from '../support/store-files.ts';

const missing = orthancMissing ?? postgresMissing;
const signal = AbortSignal.timeout(300_000);

interface Compose {
  readonly services: Record<
    string,
    {
      readonly command?: string[];
      readonly environment?: Record<string, string>;
      readonly deploy?: { replicas?: number };
    }
  >;
}

describe.skipIf(missing)(`the topology of compose.yaml${missing ? ` (skipped: ${missing})` : ''}`, () => {
  const open = new AsyncDisposableStack();
  let compose: Compose;
  let orthanc: RunningOrthanc;
  let postgres: RunningPostgres;
  let issuer: Issuer;
  let service: ServiceProcess;
  const workers: ServiceProcess[] = [];

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stain-topology-'));
    open.defer(() => rm(folder, { recursive: true, force: true }));
    orthanc = open.use(await startOrthanc());
    postgres = open.use(await startPostgres());
    issuer = open.use(await startIssuer(['alice']));
    compose = parse(await readFile(join(repository, 'compose.yaml'), 'utf8'), { merge: true }) as Compose;
    const start = async (name: 'service' | 'worker'): Promise<ServiceProcess> => {
      const { command, environment = {} } = compose.services[name]!;
      const here = Object.fromEntries(
        Object.entries(environment).map(([key, value]) => [key, replaced(value)]),
      );
      return open.use(
        await startProcess(command![0] as 'serve' | 'worker', {
          ...here,
          STAIN_SERVER_HOST: '127.0.0.1',
          // The volume that both share.
          STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
          STAIN_TEMPLATES_DIRECTORY: join(folder, `${name}-templates`),
        }),
      );
    };
    service = await start('service');
    for (let i = 0; i < compose.services['worker']!.deploy!.replicas!; i++)
      workers.push(await start('worker'));
  });
  afterAll(() => open.disposeAsync());

  /** The value of a variable of the file, with local addresses in place of its hosts, or its default. */
  function replaced(value: string): string {
    const here = value
      .replace(/^postgres:.*@database:5432.*$/, postgres.url)
      .replace('http://orthanc:8042/dicom-web', orthanc.url)
      .replace(/^\$\{OIDC_ISSUER:.*\}$/, issuer.url)
      .replace(/^\$\{OIDC_AUDIENCE:.*\}$/, AUDIENCE)
      .replace(/\$\{POSTGRES_PASSWORD:[^}]*\}/, 'unused')
      .replace(/\$\{ORTHANC_BASIC:[^}]*\}/, 'c3RhaW46c2VjcmV0')
      .replace(/\$\{\w+:-([^}]*)\}/, '$1')
      .replace(/\$\{\w+:\+[^}]*\}/, '');
    if (here.includes('$')) throw new Error(`What stands here for ${value}?`);
    return here;
  }

  it('leaves nothing to well-known passwords', async () => {
    const text = await readFile(join(repository, 'compose.yaml'), 'utf8');
    for (const variable of [
      'POSTGRES_PASSWORD',
      'ORTHANC_PASSWORD',
      'ORTHANC_BASIC',
      'OIDC_ISSUER',
      'OIDC_AUDIENCE',
    ])
      expect(text).toMatch(new RegExp(`\\$\\{${variable}:\\?`));
    expect(workers).toHaveLength(2);
  });

  it('normalises a slide in Orthanc, by a worker, and requires a login', async () => {
    const client = createDicomWebClient({ url: orthanc.url });
    const stow = await storeFiles(orthanc.url, [join(repository, 'scripts/sample/level-3.dcm')]);
    expect(stow.ok).toBe(true);
    const [found] = await client.searchSeries({ Modality: 'SM' }, signal);
    const uid = (tag: string) => textOf(found!, tag)!;
    const wanted = {
      studyInstanceUid: uid('0020000D'),
      seriesInstanceUid: uid('0020000E'),
      template: 'he-magenta',
    };
    const ask = (path: string, token?: string, body?: object) =>
      fetch(service.url + path, {
        headers: {
          ...(token && { Authorization: `Bearer ${token}` }),
          ...(body && { 'Content-Type': 'application/json' }),
        },
        ...(body && { method: 'POST', body: JSON.stringify(body) }),
      });
    expect((await ask('/api/normalizations', undefined, wanted)).status).toBe(401);
    const token = await issuer.token('alice');
    const asked = await ask('/api/normalizations', token, wanted);
    expect(asked.status).toBe(202);
    let job = (await asked.json()) as Job;
    while (job.state === 'SCHEDULED' || job.state === 'IN PROGRESS') {
      await new Promise((resolve) => setTimeout(resolve, 300));
      job = (await (await ask(`/api/normalizations/${job.id}`, token)).json()) as Job;
    }
    expect(job).toMatchObject({ state: 'COMPLETED', requestedBy: `${issuer.url}#alice` });
    const stored = await client.searchInstances(
      { StudyInstanceUID: wanted.studyInstanceUid, SeriesInstanceUID: job.result!.seriesInstanceUid },
      signal,
    );
    expect(stored).toHaveLength(1);
    await client.close();
  });
});
