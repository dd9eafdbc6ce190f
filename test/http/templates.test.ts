/** Templates of several users over HTTP, on a real database: who owns them, what others see, what is refused. */
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TEMPLATE_MEDIA_TYPE, type Template, type TemplateDetail } from '../../core/src/contract/index.ts';
import { SCOPES, type Scope } from '../../server/src/auth/principal.ts';
import { loadConfig } from '../../server/src/config.ts';
import type { LoadedModel } from '../../server/src/inference/manifest.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { TemplateService } from '../../server/src/templates/template-service.ts';
import { fingerprintFrom, openJobs, request } from '../jobs/support.ts';
import { templateOf } from '../support/template.ts';
import { startApp, type TestApp } from '../support/test-app.ts';

const SOURCE = {
  studyInstanceUid: '1.2.826.0.1.42',
  seriesInstanceUid: '1.2.826.0.1.42.7',
  region: { x: 98_761, y: 98_762, width: 98_763, height: 98_764 },
};
/** Made from a slide that bob may see. */
const SEEN_BY_BOB = '1.2.826.0.1.42.8';
const SCOPE_OF: Record<string, Scope> = {
  alice: 'normalize',
  bob: 'normalize',
  reader: 'read',
  admin: 'administer',
};
/** Fits the templates of the tests. */
const MODEL = {
  name: 'reference',
  version: '1',
  sha256: 'a'.repeat(64),
  classes: 3,
  templatesOf: ['a'.repeat(64)],
};
const events: { event: string; template?: string | undefined }[] = [];

let jobs: JobService;
let templates: TemplateService;
let app: TestApp;
let made = 0;

beforeAll(async () => {
  const config = loadConfig({
    env: {
      STAIN_LIMITS_TEMPLATES_PER_USER: '12',
      STAIN_LIMITS_TEMPLATE_BYTES: '40000',
      STAIN_LIMITS_REQUESTS_PER_SECOND: '1000',
    },
  });
  jobs = await openJobs({ concurrency: 0, fingerprint: fingerprintFrom(() => templates) });
  templates = await TemplateService.open({
    database: jobs.database,
    shipped: [templateOf('he-shipped')],
    limits: config.limits,
  });
  app = await startApp(jobs, {
    config,
    templates,
    login: {
      isRequired: true,
      async identify(authorization) {
        const user = authorization?.slice('Bearer '.length) ?? '';
        const scopes = new Set(SCOPES.slice(0, SCOPES.indexOf(SCOPE_OF[user]!) + 1));
        return { id: user, scopes, token: user };
      },
    },
    access: {
      canRead: async ({ id }, { seriesInstanceUid }) => id === 'alice' || seriesInstanceUid === SEEN_BY_BOB,
    },
    audit: { record: (entry) => void events.push(entry) },
    models: async () => [MODEL as unknown as LoadedModel],
    async createTemplate({ id, name, replace }, editor) {
      const wanted = templateOf(id ?? 'made', made++, { name });
      await templates.requireRoom(wanted.id, editor, replace);
      const provenance = { ...wanted.provenance, source: 'a region of a series of this archive' };
      return (await templates.add({ ...wanted, provenance }, SOURCE, editor, replace)).record;
    },
  });
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await jobs.close();
});

const ask = (user: string, path: string, init: RequestInit = {}) =>
  fetch(`${app.url}${path}`, {
    ...init,
    headers: { Authorization: `Bearer ${user}`, ...(init.headers as Record<string, string>) },
  });
const make = (user: string, body: object) =>
  ask(user, '/api/templates', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      name: 'Ours',
      ...SOURCE,
      ...(user === 'bob' && { seriesInstanceUid: SEEN_BY_BOB }),
      ...body,
    }),
  });
const bring = (user: string, id: string, document: unknown, query = '', type = TEMPLATE_MEDIA_TYPE) =>
  ask(user, `/api/templates/${id}${query}`, {
    method: 'PUT',
    headers: { 'Content-Type': type },
    body: typeof document === 'string' ? document : JSON.stringify(document),
  });
const remove = (user: string, id: string, query = '') =>
  ask(user, `/api/templates/${id}${query}`, { method: 'DELETE' });
const told = async (answer: Promise<Response>): Promise<[number, string | undefined]> => {
  const response = await answer;
  const text = await response.text();
  return [response.status, text ? JSON.parse(text).code : undefined];
};
const detail = async (user: string, path: string): Promise<TemplateDetail> =>
  (await ask(user, `/api/templates/${path}`)).json() as Promise<TemplateDetail>;
const list = async (user: string): Promise<Template[]> =>
  ((await (await ask(user, '/api/templates')).json()) as { templates: Template[] }).templates;

describe('the id of a shipped template', () => {
  it.each([
    ['made from a slide', () => make('alice', { id: 'he-shipped' })],
    ['made from a slide, as a replacement', () => make('alice', { id: 'he-shipped', replace: true })],
    ['brought in', () => bring('alice', 'he-shipped', templateOf('he-shipped', 5))],
    [
      'imported by an administrator',
      () => bring('admin', 'he-shipped', templateOf('he-shipped', 5), '?replace=true'),
    ],
    ['removed by an administrator', () => remove('admin', 'he-shipped', '?confirm=true')],
  ])('cannot be taken: %s', async (_how, attack) => {
    const before = await detail('bob', 'he-shipped');
    expect(await told(attack())).toEqual([409, 'TEMPLATE_SHIPPED']);
    expect(await detail('bob', 'he-shipped')).toEqual(before);
    expect(before).toMatchObject({ shipped: true, own: false, mayRemove: false, current: true });
  });
});

describe('a template of a user', () => {
  it('can be changed and removed only by that user and administrators', async () => {
    const first = (await (await make('alice', { id: 'lab' })).json()) as Template;
    expect(first).toMatchObject({ own: true, mayRemove: true, version: 1, owner: 'alice' });
    expect(await told(make('alice', { id: 'lab' }))).toEqual([409, 'TEMPLATE_EXISTS']);
    expect(await told(make('bob', { id: 'lab' }))).toEqual([409, 'TEMPLATE_EXISTS']);
    expect(await told(make('bob', { id: 'lab', replace: true }))).toEqual([403, 'FORBIDDEN']);
    expect(await told(bring('bob', 'lab', templateOf('lab', 70), '?replace=true'))).toEqual([
      403,
      'FORBIDDEN',
    ]);
    expect(await told(remove('bob', 'lab'))).toEqual([403, 'FORBIDDEN']);
    expect(await told(remove('reader', 'lab'))).toEqual([403, 'FORBIDDEN']);
    expect(await detail('bob', 'lab')).toMatchObject({ sha256: first.sha256, own: false, mayRemove: false });

    const second = (await (
      await bring('admin', 'lab', templateOf('lab', 71), '?replace=true')
    ).json()) as Template;
    expect(second).toMatchObject({ version: 2, owner: 'alice', current: true });
    expect(second.sha256).not.toBe(first.sha256);
    expect(await told(remove('alice', 'lab'))).toEqual([204, undefined]);
    expect(await told(remove('alice', 'lab'))).toEqual([404, 'TEMPLATE_NOT_FOUND']);
    expect((await list('alice')).map(({ id }) => id)).toEqual(['he-shipped']);
    // The derived series that name it can still be explained.
    for (const { sha256, classes } of [first, second]) {
      expect(await detail('bob', `lab?sha256=${sha256}`)).toMatchObject({
        current: false,
        classes,
        name: expect.any(String),
      });
      expect((await ask('bob', `/api/templates/lab/thumbnail?sha256=${sha256}`)).status).toBe(200);
    }
    const audited = events.filter(({ template }) => template === 'lab').map(({ event }) => event);
    expect(audited).toContain('template-made');
    expect(audited).toContain('template-removed');
  });

  it('does not reveal to others the slide from which it was made, or its owner', async () => {
    await make('alice', { id: 'whose' });
    const all = await (await ask('bob', '/api/templates')).text();
    const one = await (await ask('bob', '/api/templates/whose')).text();
    const administrator = await (await ask('admin', '/api/templates/whose')).text();
    for (const secret of [SOURCE.studyInstanceUid, SOURCE.seriesInstanceUid, '98761', '98763', 'alice']) {
      expect(all).not.toContain(secret);
      expect(one).not.toContain(secret);
    }
    expect(administrator).toContain('"owner":"alice"');
    expect(administrator).not.toContain(SOURCE.studyInstanceUid);
    // But shows it to users to whom the archive shows the slide.
    expect(await detail('alice', 'whose')).toMatchObject({ source: SOURCE, owner: 'alice' });
    expect((await remove('admin', 'whose')).status).toBe(204);
  });

  it('is not removed without confirmation while jobs wait for it, and they keep the requested version', async () => {
    const { sha256 } = (await (await make('alice', { id: 'busy' })).json()) as Template;
    const post = (path: string, body: object) =>
      ask('alice', path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      });
    const { studyInstanceUid, seriesInstanceUid } = request();
    const wanted = { studyInstanceUid, seriesInstanceUid, template: 'busy' };
    const job = await (await post('/api/normalizations', wanted)).json();
    expect(job).toMatchObject({ state: 'SCHEDULED', request: { templateSha256: sha256 } });
    const refused = await remove('alice', 'busy');
    expect(refused.status).toBe(409);
    expect(await refused.json()).toMatchObject({ code: 'TEMPLATE_IN_USE', data: { jobs: 1 } });
    expect(await detail('alice', 'busy')).toMatchObject({ unfinishedJobs: 1, current: true });
    // Users without a decision to make are not told what others do.
    expect(await detail('bob', 'busy')).not.toHaveProperty('unfinishedJobs');

    await bring('alice', 'busy', templateOf('busy', 90), '?replace=true');
    const other = (await (await post('/api/normalizations', wanted)).json()) as {
      id: string;
      request: object;
    };
    // The same slide with another content is not the same job.
    expect(other.request).toMatchObject({ templateSha256: (await detail('alice', 'busy')).sha256 });
    expect(other).not.toMatchObject({ id: (job as { id: string }).id });
    expect((await remove('alice', 'busy', '?confirm=true')).status).toBe(204);
    expect((await templates.version('busy', sha256)).sha256).toBe(sha256);
    expect(await told(post('/api/normalizations', wanted))).toEqual([404, 'TEMPLATE_NOT_FOUND']);
  });

  it('of an older kind says that it must be made again, and does not affect others', async () => {
    await make('alice', { id: 'old' });
    await jobs.database.query(
      `UPDATE stain_normalization.template SET kind = 'moments/0', content = '[]' WHERE id = $1`,
      ['old'],
    );
    const found = (await list('bob')).find(({ id }) => id === 'old');
    expect(found).toMatchObject({ usable: false, classes: [], model: null, name: 'Ours' });
    await expect(templates.version('old')).rejects.toMatchObject({
      code: 'TEMPLATE_OUTDATED',
      remedy: expect.stringContaining('Make the template again'),
    });
    expect((await remove('alice', 'old')).status).toBe(204);
  });
});

describe('an imported document', () => {
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>').toString(
    'base64',
  );
  const document = (changes: object) => ({ ...templateOf('in', 100), ...changes });
  const provenance = templateOf('in').provenance;

  it.each([
    ['no JSON', '{', 'TEMPLATE_INVALID'],
    ['a list', '[]', 'TEMPLATE_INVALID'],
    ['an unknown field', document({ script: 'x' }), 'TEMPLATE_INVALID'],
    ['an older kind', document({ schemaVersion: 0 }), 'TEMPLATE_OUTDATED'],
    ['another id', templateOf('other', 100), 'REQUEST_INVALID'],
    ['control characters', document({ name: 'a\u0007b' }), 'TEMPLATE_INVALID'],
    ['text that changes its direction', document({ description: 'a\u202eb' }), 'TEMPLATE_INVALID'],
    ['numbers beyond those of any stain', document({ glassDensity: 1e300 }), 'TEMPLATE_INVALID'],
    ['a long name', document({ name: 'a'.repeat(81) }), 'TEMPLATE_INVALID'],
    ['a drawing as its picture', document({ thumbnail: svg }), 'TEMPLATE_INVALID'],
    [
      'a broken picture',
      document({ thumbnail: Buffer.from([0xff, 0xd8, 0xff, 0xd9]).toString('base64') }),
      'TEMPLATE_INVALID',
    ],
    ['a large picture', document({ thumbnail: 'A'.repeat(180_000) }), 'TEMPLATE_INVALID'],
    [
      'another network',
      document({ model: { name: 'x', version: '1', sha256: 'c'.repeat(64) } }),
      'TEMPLATE_INVALID',
    ],
    ['more bytes than a template may have', 'x'.repeat(300_000), 'PAYLOAD_TOO_LARGE'],
  ])('with %s is refused', async (_what, body, code) => {
    const [status, said] = await told(bring('alice', 'in', body));
    expect(said).toBe(code);
    expect(status).toBeLessThan(500);
    expect((await ask('alice', '/api/templates/in')).status).toBe(404);
  });

  it('sent as a form or text from another page is refused', async () => {
    for (const type of ['text/plain', 'application/json'])
      expect(await told(bring('alice', 'in', templateOf('in', 100), '', type))).toEqual([
        400,
        'REQUEST_INVALID',
      ]);
  });

  it('with a picture that would decode to a large one is refused', async () => {
    const bomb = await sharp({ create: { width: 4000, height: 4000, channels: 3, background: '#fff' } })
      .jpeg({ quality: 1 })
      .toBuffer();
    expect(bomb.length).toBeLessThan(128 * 1024);
    expect(await told(bring('alice', 'in', document({ thumbnail: bomb.toString('base64') })))).toEqual([
      422,
      'TEMPLATE_INVALID',
    ]);
  });

  it('keeps nothing hidden in its picture, and no UIDs', async () => {
    const picture = await sharp({ create: { width: 40, height: 30, channels: 3, background: '#c8a' } })
      .withExif({ IFD0: { Copyright: 'DOE^JOHN' } })
      .jpeg()
      .toBuffer();
    expect(picture.includes('DOE^JOHN')).toBe(true);
    const source = `series ${SOURCE.seriesInstanceUid}, region 98763 x 98764 at 98761, 98762`;
    const body = document({ thumbnail: picture.toString('base64'), provenance: { ...provenance, source } });
    const answer = await bring('alice', 'in', body);
    expect(answer.status).toBe(201);
    const brought = (await answer.json()) as Template;
    expect(brought.provenance.source).toBe('a series');
    const served = Buffer.from(await (await ask('bob', '/api/templates/in/thumbnail')).arrayBuffer());
    expect(served.includes('DOE^JOHN')).toBe(false);
    expect(await sharp(served).metadata()).toMatchObject({ format: 'jpeg', width: 40, height: 30 });
    // The same content gives the same template.
    const again = await bring('alice', 'in', body, '?replace=true');
    expect(again.status).toBe(200);
    expect(await again.json()).toMatchObject({ version: 1, sha256: brought.sha256 });
  });
});

it('no user can fill the database: the templates of each user, even removed ones, and the total size are limited', async () => {
  let answer: [number, string | undefined] = [201, undefined];
  let count = 0;
  while (answer[0] === 201 && count < 30) {
    answer = await told(make('bob', { id: `flood-${count++}` }));
    // Removing a template does not free its place at once.
    await remove('bob', `flood-${count - 1}`);
  }
  expect(answer).toEqual([409, 'TEMPLATE_LIMIT']);
  expect(count).toBe(13);
  // Other users keep their share, until everything is taken.
  const large = await sharp(
    Buffer.alloc(300 * 300 * 3, 0).map((_, i) => (i * 7919) % 251),
    {
      raw: { width: 300, height: 300, channels: 3 },
    },
  )
    .jpeg({ quality: 60 })
    .toBuffer();
  const thumbnail = large.toString('base64');
  expect(await told(bring('alice', 'large-1', templateOf('large-1', 200, { thumbnail })))).toEqual([
    201,
    undefined,
  ]);
  const refused = await bring('alice', 'large-2', templateOf('large-2', 201, { thumbnail }));
  expect(await refused.json()).toMatchObject({ code: 'TEMPLATE_LIMIT', data: { templateBytes: 40_000 } });
});

it('files of a service are imported once, and belong to its administrators', async () => {
  await templates.bringIn(templateOf('file', 300));
  await templates.bringIn(templateOf('file', 300));
  expect((await list('alice')).find(({ id }) => id === 'file')).toMatchObject({
    version: 1,
    mayRemove: false,
  });
  await expect(templates.bringIn(templateOf('file', 301))).rejects.toMatchObject({ code: 'TEMPLATE_EXISTS' });
  await expect(templates.bringIn(templateOf('he-shipped', 302))).rejects.toMatchObject({
    code: 'TEMPLATE_SHIPPED',
  });
  expect((await remove('admin', 'file')).status).toBe(204);
  await templates.bringIn(templateOf('file', 300));
  expect((await list('alice')).find(({ id }) => id === 'file')).toBeUndefined();
});
