/**
 * Templates attacked and lost by ordinary users on ordinary days: real processes, a service that leaves the work to a
 * worker on another host (in effect: another folder on another file system), PostgreSQL, Orthanc, a login.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Job, Template } from '../../core/src/contract/index.ts';
import { type CopiedSlide, copySample } from '../support/copy-slide.ts';
import { AUDIENCE, type Issuer, startIssuer } from '../support/issuer.ts';
import { orthancMissing, type RunningOrthanc, startOrthanc } from '../support/orthanc.ts';
import { repository } from '../support/peers.ts';
import { postgresMissing, type RunningPostgres, startPostgres } from '../support/postgres.ts';
import { type ServiceProcess, startProcess } from '../support/service-process.ts';

const missing = orthancMissing ?? postgresMissing;
const REGION = { x: 61, y: 41, width: 123, height: 167 };

describe.skipIf(missing)(`templates${missing ? ` (skipped: ${missing})` : ''}`, () => {
  const open = new AsyncDisposableStack();
  const tokens: Record<string, string> = {};
  let folder: string;
  let orthanc: RunningOrthanc;
  let postgres: RunningPostgres;
  let issuer: Issuer;
  let service: ServiceProcess;
  let worker: ServiceProcess;
  /** The slide that templates are made from, and slides of another patient. */
  let source: CopiedSlide;
  const slides: CopiedSlide[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'stain-templates-'));
    open.defer(() => rm(folder, { recursive: true, force: true }));
    [orthanc, postgres, issuer] = await Promise.all([
      startOrthanc(),
      startPostgres(),
      startIssuer(['alice', 'bob', 'admin']),
    ]);
    open.use(orthanc);
    open.use(postgres);
    open.use(issuer);
    tokens['alice'] = await issuer.token('alice', 'stain.normalize');
    tokens['bob'] = await issuer.token('bob', 'stain.normalize');
    tokens['admin'] = await issuer.token('admin', 'stain.administer');
    source = await store('the source of the template');
    for (let i = 0; i < 3; i++) slides.push(await store(`another patient ${i}`));
    // A file of an older version, and one that would hide a template of the product.
    const shipped = JSON.parse(
      await readFile(join(repository, 'models/onnx/templates/he-violet.json'), 'utf8'),
    );
    await mkdir(join(folder, 'service-templates'));
    const write = (name: string, changes: object) =>
      writeFile(join(folder, 'service-templates', name), JSON.stringify({ ...shipped, ...changes }));
    await write('from-before.json', { id: 'from-before', name: 'From before' });
    await write('he-magenta.json', { id: 'he-magenta', name: 'A shadow' });
    service = open.use(await startProcess('serve', environment('service')));
    worker = open.use(await startProcess('worker', environment('worker')));
  });
  afterAll(() => open.disposeAsync());

  function environment(name: 'service' | 'worker'): Record<string, string> {
    return {
      STAIN_DATABASE_URL: postgres.url,
      STAIN_DICOMWEB_URL: orthanc.url,
      STAIN_DICOMWEB_USERS: 'unknown',
      STAIN_OIDC_ISSUER: issuer.url,
      STAIN_OIDC_AUDIENCE: AUDIENCE,
      STAIN_SPOOL_DIRECTORY: join(folder, `${name}-spool`),
      STAIN_TEMPLATES_DIRECTORY: join(folder, `${name}-templates`),
      ...(name === 'service' && { STAIN_JOBS_CONCURRENCY: '0' }),
    };
  }

  async function store(name: string): Promise<CopiedSlide> {
    const slide = await copySample(name, [3]);
    const parts = slide.files.flatMap((file) => [
      Buffer.from('--b\r\nContent-Type: application/dicom\r\n\r\n'),
      file,
      Buffer.from('\r\n'),
    ]);
    const answer = await fetch(`${orthanc.url}/studies`, {
      method: 'POST',
      headers: { 'Content-Type': 'multipart/related; type="application/dicom"; boundary=b' },
      body: Buffer.concat([...parts, Buffer.from('--b--\r\n')]),
    });
    expect(answer.ok).toBe(true);
    return slide;
  }

  const ask = (user: string, path: string, body?: object, method = body ? 'POST' : 'GET') =>
    fetch(service.url + path, {
      method,
      headers: {
        Authorization: `Bearer ${tokens[user]}`,
        ...(body && { 'Content-Type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
  const uidsOf = ({ studyInstanceUid, seriesInstanceUid }: CopiedSlide) => ({
    studyInstanceUid,
    seriesInstanceUid,
  });
  const make = async (user: string, id: string, changes: object = {}) =>
    ask(user, '/api/templates', { name: `Lab ${id}`, id, ...uidsOf(source), ...changes });
  const normalize = async (user: string, slide: CopiedSlide, template: string): Promise<Job> => {
    const answer = await ask(user, '/api/normalizations', { ...uidsOf(slide), template });
    expect([200, 202]).toContain(answer.status);
    return (await answer.json()) as Job;
  };
  const ended = async (id: string): Promise<Job> => {
    const isEnded = async (): Promise<Job | undefined> => {
      const job = (await (await ask('admin', `/api/normalizations/${id}`)).json()) as Job;
      return job.endedAt === null ? undefined : job;
    };
    await expect.poll(isEnded, { timeout: 200_000, interval: 300 }).toBeDefined();
    return (await isEnded())!;
  };
  const codeOf = async (answer: Response): Promise<[number, string]> => [
    answer.status,
    ((await answer.json()) as { code: string }).code,
  ];

  it('shadowing a template of the product for everybody: refused, by request and by file', async () => {
    const before = (await (await ask('bob', '/api/templates/he-magenta')).json()) as Template;
    expect(before).toMatchObject({ shipped: true, name: 'Deep magenta' });
    expect(await codeOf(await make('alice', 'he-magenta'))).toEqual([409, 'TEMPLATE_SHIPPED']);
    expect(await (await ask('bob', '/api/templates/he-magenta')).json()).toEqual(before);
  });

  it("a worker without the service's folder: uses the service's template, and names the content", async () => {
    const made = (await (await make('alice', 'lab', { region: REGION })).json()) as Template;
    const job = await ended((await normalize('bob', slides[0]!, 'lab')).id);
    expect(job).toMatchObject({
      state: 'COMPLETED',
      request: { templateSha256: made.sha256 },
      result: { template: 'lab', templateSha256: made.sha256 },
    });
    // The result for one patient contains nothing of the other patient's slide.
    const { studyInstanceUid, seriesInstanceUid, instances } = job.result!;
    const answer = await fetch(
      `${orthanc.url}/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${instances[0]!.sopInstanceUid}`,
      { headers: { Accept: 'multipart/related; type="application/dicom"; transfer-syntax=*' } },
    );
    expect(answer.ok).toBe(true);
    const bytes = Buffer.from(await answer.arrayBuffer());
    expect(bytes.includes(made.sha256)).toBe(true);
    const theirs = [source.studyInstanceUid, source.seriesInstanceUid, 'alice', 'Lab lab', '123 x 167'];
    for (const secret of theirs) expect(bytes.includes(secret), secret).toBe(false);
  });

  it("another user's template: neither replaced nor removed by others, removed by its owner", async () => {
    expect((await make('alice', 'hers')).status).toBe(201);
    expect(await codeOf(await make('bob', 'hers', { replace: true }))).toEqual([403, 'FORBIDDEN']);
    expect(await codeOf(await ask('bob', '/api/templates/hers', undefined, 'DELETE'))).toEqual([
      403,
      'FORBIDDEN',
    ]);
    expect((await ask('alice', '/api/templates/hers', undefined, 'DELETE')).status).toBe(204);
  });

  it('a template that is replaced and removed while a job waits: the job uses the requested version', async () => {
    const first = (await (await make('alice', 'moving')).json()) as Template;
    await worker.kill();
    const waiting = await normalize('bob', slides[1]!, 'moving');
    const second = (await (
      await make('alice', 'moving', { replace: true, region: REGION })
    ).json()) as Template;
    expect(second.sha256).not.toBe(first.sha256);
    const other = await normalize('bob', slides[1]!, 'moving');
    expect(other.id).not.toBe(waiting.id);
    const refused = await ask('alice', '/api/templates/moving', undefined, 'DELETE');
    expect(await codeOf(refused)).toEqual([409, 'TEMPLATE_IN_USE']);
    expect((await ask('alice', '/api/templates/moving?confirm=true', undefined, 'DELETE')).status).toBe(204);
    await worker.start();
    const [one, two] = [await ended(waiting.id), await ended(other.id)];
    expect(one.result).toMatchObject({ templateSha256: first.sha256 });
    expect(two.result).toMatchObject({ templateSha256: second.sha256 });
    expect(one.result!.seriesInstanceUid).not.toBe(two.result!.seriesInstanceUid);
    // Derived series can still be explained.
    for (const { sha256 } of [first, second])
      expect(await (await ask('bob', `/api/templates/moving?sha256=${sha256}`)).json()).toMatchObject({
        current: false,
        name: 'Lab moving',
        classes: expect.any(Array),
      });
  });

  it('jobs of older versions and templates of older kinds: end with a code that says what to do', async () => {
    expect((await make('alice', 'older')).status).toBe(201);
    await worker.kill();
    const [nameless, older] = [
      await normalize('bob', slides[0]!, 'he-violet'),
      await normalize('bob', slides[2]!, 'older'),
    ];
    const [requests, kinds] = ['stain_normalization.job', 'stain_normalization.template'];
    await postgres.query(
      `UPDATE ${requests} SET request = request - 'templateSha256' WHERE id = '${nameless.id}'`,
    );
    await postgres.query(`UPDATE ${kinds} SET kind = 'moments/0', content = '{}' WHERE id = 'older'`);
    await worker.start();
    expect(await ended(nameless.id)).toMatchObject({ state: 'FAILED', error: { code: 'TEMPLATE_CHANGED' } });
    expect(await ended(older.id)).toMatchObject({
      state: 'FAILED',
      error: { code: 'TEMPLATE_OUTDATED', remedy: expect.stringContaining('Make the template again') },
    });
    const { templates } = (await (await ask('bob', '/api/templates')).json()) as { templates: Template[] };
    expect(templates.find(({ id }) => id === 'older')).toMatchObject({ usable: false });
  });

  it('files of an older version: imported once, owned by administrators, and not imported again after removal', async () => {
    expect(await (await ask('bob', '/api/templates/from-before')).json()).toMatchObject({
      name: 'From before',
      mayRemove: false,
    });
    expect((await ask('admin', '/api/templates/from-before', undefined, 'DELETE')).status).toBe(204);
    await service.stop();
    await service.start();
    expect((await ask('bob', '/api/templates/from-before')).status).toBe(404);
  });

  it('a template of the command line: added to the service with a token that may do so, and with no other', async () => {
    const add = (token: string | undefined, ...args: string[]) =>
      new Promise<{ code: number; said: string }>((resolve) => {
        execFile(
          process.execPath,
          [
            ...[join(repository, 'server/src/main.ts'), '--json', 'template', 'add', 'sent'],
            ...[join(repository, 'models/onnx/templates/he-violet.json'), '--to', service.url, ...args],
          ],
          { env: { ...process.env, ...(token && { STAIN_TEMPLATES_TOKEN: token }) } },
          (error, said) => resolve({ code: error ? Number(error.code) : 0, said }),
        );
      });
    expect(await add(undefined)).toMatchObject({ code: 1, said: expect.stringContaining('UNAUTHENTICATED') });
    expect(await add(tokens['alice'], '--name', 'Sent')).toMatchObject({ code: 0 });
    expect(await add(tokens['bob'], '--replace')).toMatchObject({
      code: 1,
      said: expect.stringContaining('FORBIDDEN'),
    });
    expect(await (await ask('alice', '/api/templates/sent')).json()).toMatchObject({
      name: 'Sent',
      own: true,
    });
  });
});
