/** The container image, really built and run: `npm run test:image`. It takes minutes, and needs root. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Health, Job } from '../../core/src/contract/index.ts';
import { textOf } from '../../server/src/dicom/json-model.ts';
import { createDicomWebClient } from '../../server/src/dicomweb/client.ts';
import { freePort } from '../support/free-port.ts';
import { orthancMissing, type RunningOrthanc, startOrthanc } from '../support/orthanc.ts';
import { repository } from '../support/peers.ts';
import { postgresMissing, startPostgres } from '../support/postgres.ts';
import { storeFiles } from '../support/store-files.ts';
import { type BuiltImage, buildImage, imageMissing } from './built-image.ts';
import { makeVolume, runConfined } from './confined.ts';

const missing = imageMissing ?? orthancMissing ?? postgresMissing;
const BUILD_MS = 1_200_000;
const SAMPLE = [0, 1, 2, 3].map((level) => join(repository, `scripts/sample/level-${level}.dcm`));

describe.skipIf(missing)(`the image${missing ? ` (skipped: ${missing})` : ''}`, () => {
  const open = new AsyncDisposableStack();
  let image: BuiltImage;
  let volume: string;
  let orthanc: RunningOrthanc;
  let url: string;
  let monitoring: string;

  /** What a command in the image prints, and its exit code. */
  async function outcomeOf(command: readonly string[], environment: Record<string, string> = {}) {
    const child = runConfined(image, volume, command, environment);
    const ended = once(child, 'exit');
    const [out, err] = await Promise.all([text(child.stdout!), text(child.stderr!)]);
    const [code] = await ended;
    return { out: out.trim(), err: err.trim(), code };
  }

  beforeAll(async () => {
    image = open.use(await buildImage(AbortSignal.timeout(BUILD_MS)));
    const folder = await mkdtemp(join(tmpdir(), 'stain-image-volume-'));
    open.defer(() => rm(folder, { recursive: true, force: true }));
    volume = makeVolume(image, folder);
    orthanc = open.use(await startOrthanc());
    const postgres = open.use(await startPostgres());
    monitoring = String(await freePort());
    const { Entrypoint, Cmd } = image.settings;
    const service = runConfined(image, volume, [...Entrypoint, ...Cmd], {
      STAIN_SERVER_PORT: '0',
      STAIN_MONITORING_PORT: monitoring,
      STAIN_DATABASE_URL: postgres.url,
      STAIN_DICOMWEB_URL: orthanc.url,
      STAIN_JOBS_STABLE_SECONDS: '0',
      STAIN_AUDIT_FILE: '/dev/stdout',
    });
    const ended = once(service, 'exit');
    open.defer(async () => {
      service.kill('SIGKILL');
      await ended;
    });
    service.stdout!.resume();
    url = await new Promise<string>((resolve, reject) => {
      let said = '';
      service.stderr!.on('data', (chunk) => {
        said += chunk;
        const found = /service\s+(http:\S+)/.exec(said)?.[1];
        if (found) resolve(found);
      });
      void ended.then(([code]) => reject(new Error(`The service ended with ${code}: ${said}`)));
    });
  }, BUILD_MS);
  afterAll(() => open.disposeAsync(), 60_000);

  it('takes less than a gigabyte', () => {
    console.log(`The image has ${image.megabytes} MB.`);
    expect(image.megabytes).toBeLessThan(1000);
  });

  it('runs as its user, without capabilities, on a root that it cannot write', async () => {
    expect((await outcomeOf(['id', '-u'])).out).toBe('1000');
    const { out } = await outcomeOf(['grep', '-E', 'Cap(Eff|Bnd)', '/proc/self/status']);
    expect(out.match(/0{16}/g)).toHaveLength(2);
    expect((await outcomeOf(['touch', '/app/file'])).err).toContain('Read-only file system');
  });

  it('holds nothing of the build: no CA, no variable for it', async () => {
    expect(image.settings.Env.filter((name) => name.includes('CA_CERTS'))).toEqual([]);
    expect((await outcomeOf(['ls', '/run/secrets/ca'])).code).not.toBe(0);
  });

  it('is ready, with a viewer, and its health check says so', async () => {
    const ready = async () => (await (await fetch(`http://127.0.0.1:${monitoring}/ready`)).json()) as Health;
    await expect.poll(async () => (await ready()).status, { timeout: 60_000 }).toBe('ok');
    expect(await (await fetch(`${url}/`)).text()).toContain('OHIF');
    const { Test } = image.settings.Healthcheck;
    expect(Test[0]).toBe('CMD');
    const check = (port: string) => outcomeOf(Test.slice(1), { STAIN_MONITORING_PORT: port });
    expect(await check(monitoring)).toMatchObject({ code: 0 });
    expect(await check(String(await freePort()))).toMatchObject({ code: 1 });
  });

  it('normalises the sample, from Orthanc and back', { timeout: 600_000 }, async () => {
    expect((await storeFiles(`${url}/dicom-web`, SAMPLE)).ok).toBe(true);
    const client = createDicomWebClient({ url: orthanc.url });
    await using _ = { [Symbol.asyncDispose]: () => client.close() };
    const signal = AbortSignal.timeout(600_000);
    const [found] = await client.searchSeries({ Modality: 'SM' }, signal);
    const uid = (tag: string) => textOf(found!, tag)!;
    const asked = await fetch(`${url}/api/normalizations`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        studyInstanceUid: uid('0020000D'),
        seriesInstanceUid: uid('0020000E'),
        template: 'he-magenta',
      }),
    });
    expect(asked.status).toBe(202);
    const { id } = (await asked.json()) as Job;
    const jobNow = async () => (await (await fetch(`${url}/api/normalizations/${id}`)).json()) as Job;
    await expect.poll(async () => (await jobNow()).state, { timeout: 600_000 }).toBe('COMPLETED');
    const { studyInstanceUid, seriesInstanceUid } = (await jobNow()).result!;
    const instances = { StudyInstanceUID: studyInstanceUid, SeriesInstanceUID: seriesInstanceUid };
    expect(await client.searchInstances(instances, signal)).toHaveLength(SAMPLE.length);
  });
});
