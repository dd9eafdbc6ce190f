/** UPS-RS by raw HTTP, against the tables of PS3.18 section 11 and PS3.4 annex CC. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { type Call, FINGERPRINT, openJobs, RESULT, SteeredWork, until } from '../jobs/support.ts';
import { startApp, type TestApp } from '../support/test-app.ts';

type Json = Record<string, { vr: string; Value?: any[] }>;

const work = new SteeredWork();
let jobs: JobService;
let server: TestApp;
let root: string;
let series = 0;

beforeAll(async () => {
  jobs = await openJobs({
    run: work.run,
    fingerprint: async ({ seriesInstanceUid }) => {
      if (seriesInstanceUid === '4.0.4') throw new StainError('SERIES_NOT_FOUND', 'No such series.');
      return FINGERPRINT;
    },
  });
  server = await startApp(jobs);
  root = `${server.url}/ups-rs/workitems`;
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await jobs.close();
});
beforeEach(() => {
  series++;
});

const code = (value: string, scheme: string) => ({
  '00080100': { vr: 'SH', Value: [value] },
  '00080102': { vr: 'SH', Value: [scheme] },
  '00080104': { vr: 'LO', Value: ['meaning'] },
});
const parameter = (name: string, value: string | number) => ({
  '0040A040': { vr: 'CS', Value: [typeof value === 'number' ? 'NUMERIC' : 'TEXT'] },
  '0040A043': { vr: 'SQ', Value: [code(name, '99STAINNORM')] },
  ...(typeof value === 'number'
    ? { '0040A30A': { vr: 'DS', Value: [value] } }
    : { '0040A160': { vr: 'UT', Value: [value] } }),
});
/** All attributes that the creator provides (table CC.2.5-3). */
const workitem = (changes: Json = {}): Json => ({
  '00741200': { vr: 'CS', Value: ['MEDIUM'] },
  '00741204': { vr: 'LO', Value: ['Normalise'] },
  '00741202': { vr: 'LO', Value: ['Pathology'] },
  '00741210': { vr: 'SQ', Value: [parameter('TEMPLATE', 'one'), parameter('QUALITY', 70)] },
  '00404025': { vr: 'SQ' },
  '00404005': { vr: 'DT', Value: ['20260102030405'] },
  '00404018': { vr: 'SQ', Value: [code('110001', 'DCM')] },
  '00404041': { vr: 'CS', Value: ['READY'] },
  '00404021': {
    vr: 'SQ',
    Value: [
      {
        '0040E020': { vr: 'CS', Value: ['DICOM'] },
        '0020000D': { vr: 'UI', Value: ['1.2.3'] },
        '0020000E': { vr: 'UI', Value: [`1.2.3.${series}`] },
      },
    ],
  },
  '00741000': { vr: 'CS', Value: ['SCHEDULED'] },
  ...changes,
});
const send = (path: string, body?: unknown, method = 'POST') =>
  fetch(root + path, {
    method,
    ...(body !== undefined && {
      body: JSON.stringify(body),
      headers: { 'Content-Type': 'application/dicom+json' },
    }),
  });
const warningOf = (response: Response) => response.headers.get('Warning');
const get = async (path: string): Promise<Json> => {
  const response = await send(path, undefined, 'GET');
  expect(response.headers.get('Content-Type')).toContain('application/dicom+json');
  const [dataset, ...others] = (await response.json()) as Json[];
  expect(others).toEqual([]);
  return dataset!;
};
const value = (dataset: Json, ...path: string[]): unknown =>
  path.reduce((item: any, tag) => item?.[tag]?.Value?.[0], dataset);
async function create(changes: Json = {}): Promise<{ path: string; uid: string }> {
  const response = await send('', [workitem(changes)]);
  expect(response.status).toBe(201);
  const uid = response.headers.get('Location')!.split('/').at(-1)!;
  return { uid, path: `/${uid}` };
}
async function claimed(): Promise<{ path: string; uid: string; call: Call }> {
  const next = work.next();
  return { ...(await create()), call: await next };
}
const idOf = async (uid: string) => (await jobs.findWorkitems(uid))[0]!.id;
const change = (state: string, transaction?: string) => [
  {
    '00741000': { vr: 'CS', Value: [state] },
    ...(transaction && { '00081195': { vr: 'UI', Value: [transaction] } }),
  },
];
const INCONSISTENT = 'inconsistent with the current state';

describe('create', () => {
  it('creates the job that the data set describes, and returns its location', async () => {
    const { path, call } = await claimed();
    expect(call.request).toEqual({
      studyInstanceUid: '1.2.3',
      seriesInstanceUid: `1.2.3.${series}`,
      template: 'one',
      templateSha256: FINGERPRINT.templateSha256,
      sourceSha256: FINGERPRINT.sourceSha256,
      contentSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      model: 'fast',
      transfer: 'linear',
      encoding: 'jpeg',
      quality: 70,
    });
    const item = await get(path);
    expect(value(item, '00741000')).toBe('IN PROGRESS');
    call.succeed();
    await until(jobs, await idOf(path.slice(1)), 'COMPLETED');
  });

  it('accepts YES for any stain, and says so', async () => {
    const parameters = {
      '00741210': { vr: 'SQ', Value: [parameter('TEMPLATE', 'one'), parameter('ANYSTAIN', 'YES')] },
    };
    const next = work.next();
    const { uid, path } = await create(parameters);
    const call = await next;
    expect(call.request.anyStain).toBe(true);
    expect(JSON.stringify((await get(path))['00741210'])).toContain('ANYSTAIN');
    call.succeed();
    await until(jobs, await idOf(uid), 'COMPLETED');
  });

  it('accepts and returns the transfer', async () => {
    const wanted = [parameter('TEMPLATE', 'one'), parameter('TRANSFER', 'paper')];
    const next = work.next();
    const response = await send('', [workitem({ '00741210': { vr: 'SQ', Value: wanted } })]);
    const path = `/${response.headers.get('Location')!.split('/').at(-1)}`;
    const call = await next;
    expect(call.request.transfer).toBe('paper');
    const told = (await get(path))['00741210']!.Value!.map((item) => [
      value(item, '0040A043', '00080100'),
      value(item, '0040A160'),
    ]);
    expect(told).toContainEqual(['TRANSFER', 'paper']);
    call.succeed();
    await until(jobs, call.job, 'COMPLETED');
  });

  it('accepts the UID chosen by the creator, in the query or the data set, once', async () => {
    const uid = '1.2.840.9.9';
    const response = await send(`?workitem=${uid}`, [workitem()]);
    expect([response.status, response.headers.get('Location')]).toEqual([201, `/ups-rs/workitems/${uid}`]);
    expect(value(await get(`/${uid}`), '00080018')).toBe(uid);
    series++;
    const again = await send('', workitem({ '00080018': { vr: 'UI', Value: [uid] } }));
    expect([again.status, (await again.json()) as object]).toEqual([
      409,
      expect.objectContaining({ code: 'WORKITEM_EXISTS' }),
    ]);
    expect((await send(`/${uid}/cancelrequest`)).status).toBe(202);
  });

  it('for existing work leads to its work item', async () => {
    const { uid, path } = await create();
    const same = await send('', [workitem()]);
    expect([same.status, same.headers.get('Location')]).toEqual([201, `/ups-rs/workitems/${uid}`]);
    const named = await send('?workitem=1.2.840.9.10', [workitem()]);
    expect([named.status, named.headers.get('Location')]).toEqual([409, `/ups-rs/workitems/${uid}`]);
    expect(warningOf(named)).toMatch(/^299 /);
    await send(`${path}/cancelrequest`);
  });

  it.each([
    ...['00741200', '00741204', '00741202', '00404005', '00404018', '00404041', '00404021', '00741000'].map(
      (tag): [string, Json] => [`without ${tag}`, { [tag]: { vr: 'CS' } }],
    ),
    ['that is not SCHEDULED', { '00741000': { vr: 'CS', Value: ['IN PROGRESS'] } }],
    ['with a transaction', { '00081195': { vr: 'UI', Value: ['1.2'] } }],
    ['of other work', { '00404018': { vr: 'SQ', Value: [code('110005', 'DCM')] } }],
    ['whose input is not ready', { '00404041': { vr: 'CS', Value: ['INCOMPLETE'] } }],
    ['without a template', { '00741210': { vr: 'SQ' } }],
    ['with an unknown parameter', { '00741210': { vr: 'SQ', Value: [parameter('COLOUR', 'red')] } }],
    [
      'with an answer other than YES or NO',
      { '00741210': { vr: 'SQ', Value: [parameter('TEMPLATE', 'one'), parameter('ANYSTAIN', 'maybe')] } },
    ],
    [
      'with an unknown transfer',
      {
        '00741210': { vr: 'SQ', Value: [parameter('TEMPLATE', 'one'), parameter('TRANSFER', 'other')] },
      },
    ],
    ['with an unknown priority', { '00741200': { vr: 'CS', Value: ['STAT'] } }],
    ['that is already completed', { '00741216': { vr: 'SQ', Value: [{}] } }],
  ] as [string, Json][])('%s is refused with 400', async (_what, changes) => {
    expect((await send('', [workitem(changes)])).status).toBe(400);
  });

  it.each([
    ['nothing', []],
    ['two', [{}, {}]],
    ['data that are not DICOM', [{ '00741000': 5 }]],
  ])('%s is refused with 400', async (_what, body) => {
    expect((await send('', body)).status).toBe(400);
  });

  it('for a series that does not exist is refused with 404', async () => {
    const item = workitem();
    item['00404021']!.Value![0]['0020000E'].Value = ['4.0.4'];
    expect((await send('', [item])).status).toBe(404);
  });
});

describe('a work item', () => {
  it('reports its progress, and its output when it is COMPLETED', async () => {
    const { path, uid, call } = await claimed();
    call.progress(0.42);
    expect(value(await get(path), '00741002', '00741004')).toBe(42);
    expect(value(await get(path), '00741216', '00404033')).toBeUndefined();
    call.succeed();
    await until(jobs, await idOf(uid), 'COMPLETED');
    const item = await get(path);
    expect(value(item, '00741000')).toBe('COMPLETED');
    expect(value(item, '00741002', '00741004')).toBe(100);
    const output = ['00741216', '00404033'];
    expect(value(item, ...output, '0020000E')).toBe(RESULT.seriesInstanceUid);
    expect(value(item, ...output, '00081199', '00081155')).toBe(RESULT.instances[0]!.sopInstanceUid);
    // Type 1 in the final state COMPLETED (table CC.2.5-3).
    for (const tag of ['00404028', '00404050', '00404051', '00404019'])
      expect(value(item, '00741216', tag), tag).toBeDefined();
    for (const tag of ['00080016', '00080018', '00741200', '00404010', '00741204', '00741202', '00404005'])
      expect(value(item, tag), tag).toBeDefined();
    expect(item).not.toHaveProperty('00081195');
  });

  it('of a job that failed is CANCELED, with the reason', async () => {
    const { path, uid, call } = await claimed();
    call.fail(new StainError('TOO_LITTLE_TISSUE', 'Only glass.'));
    await until(jobs, await idOf(uid), 'FAILED');
    const item = await get(path);
    expect(value(item, '00741000')).toBe('CANCELED');
    expect(value(item, '00741002', '00741238')).toBe('TOO_LITTLE_TISSUE: Only glass.');
    expect(value(item, '00741002', '0074100E', '00080100')).toBe('110513');
    expect(value(item, '00741002', '00404052')).toMatch(/^20\d{12}/);
  });

  it.each(['9.9.9', '2.25.1'])('that does not exist: %s', async (uid) => {
    for (const [method, path, body] of [
      ['GET', `/${uid}`, undefined],
      ['POST', `/${uid}`, [{}]],
      ['PUT', `/${uid}/state`, change('IN PROGRESS', '1.2')],
      ['POST', `/${uid}/cancelrequest`, undefined],
    ] as const)
      expect((await send(path, body, method)).status).toBe(404);
  });
});

/** PS3.4 table CC.1.1-2: responses to clients that do not hold the transaction UID. */
describe('change of state', () => {
  type Row = [
    state: 'SCHEDULED' | 'IN PROGRESS' | 'COMPLETED' | 'CANCELED',
    wanted: string,
    status: number,
    warning: string,
  ];
  const ended = (state: 'COMPLETED' | 'CANCELED'): Row[] => [
    [state, 'IN PROGRESS', 409, INCONSISTENT],
    [
      state,
      'COMPLETED',
      409,
      state === 'COMPLETED' ? 'already in the requested state of COMPLETED' : INCONSISTENT,
    ],
    [
      state,
      'CANCELED',
      409,
      state === 'CANCELED' ? 'already in the requested state of CANCELED' : INCONSISTENT,
    ],
  ];
  const rows: Row[] = [
    ['SCHEDULED', 'IN PROGRESS', 409, 'performs this step itself'],
    ['SCHEDULED', 'COMPLETED', 409, INCONSISTENT],
    ['SCHEDULED', 'CANCELED', 409, INCONSISTENT],
    ['IN PROGRESS', 'IN PROGRESS', 409, INCONSISTENT],
    ['IN PROGRESS', 'COMPLETED', 400, 'The Transaction UID is incorrect.'],
    ['IN PROGRESS', 'CANCELED', 400, 'The Transaction UID is incorrect.'],
    ...ended('COMPLETED'),
    ...ended('CANCELED'),
  ];
  it.each(rows)('from %s to %s: %i', async (state, wanted, status, warning) => {
    const busy = state === 'SCHEDULED' ? await claimed() : undefined;
    if (busy) series++;
    const { path, uid, call } =
      state === 'SCHEDULED' ? { ...(await create()), call: undefined } : await claimed();
    if (state === 'COMPLETED') call!.succeed();
    if (state === 'CANCELED') await send(`${path}/cancelrequest`);
    if (state === 'COMPLETED' || state === 'CANCELED') await until(jobs, await idOf(uid), state);
    const response = await send(`${path}/state`, change(wanted, '1.2.3.4'), 'PUT');
    expect(response.status).toBe(status);
    expect(warningOf(response)).toContain(warning);
    const without = await send(`${path}/state`, change(wanted), 'PUT');
    expect([without.status, warningOf(without)]).toEqual([400, expect.stringContaining('UID is missing.')]);
    expect(value(await get(path), '00741000')).toBe(state);
    for (const item of [path, busy?.path]) if (item) await send(`${item}/cancelrequest`);
    if (busy) await until(jobs, await idOf(busy.uid), 'CANCELED');
    await until(jobs, await idOf(uid), 'CANCELED', 'COMPLETED');
  });

  it.each(['SCHEDULED', 'DONE'])('to %s is not valid', async (state) => {
    const { path } = await create();
    expect((await send(`${path}/state`, change(state, '1.2'), 'PUT')).status).toBe(400);
    await send(`${path}/cancelrequest`);
  });
});

it('update is refused in every state', async () => {
  const busy = await claimed();
  series++;
  const { path } = await create();
  expect((await send(path, [{}])).status).toBe(403);
  const inProgress = await send(busy.path, [{}]);
  expect([inProgress.status, warningOf(inProgress)]).toEqual([400, expect.stringContaining('is missing')]);
  const wrong = await send(`${busy.path}?transaction-uid=1.2`, [{}]);
  expect([wrong.status, warningOf(wrong)]).toEqual([400, expect.stringContaining('is incorrect')]);
  for (const item of [path, busy.path]) await send(`${item}/cancelrequest`);
  await until(jobs, await idOf(busy.uid), 'CANCELED');
  expect((await send(busy.path, [{}])).status).toBe(409);
});

describe('cancel request', () => {
  it('ends a waiting work item, and one in progress', async () => {
    const busy = await claimed();
    series++;
    const { path } = await create();
    expect((await send(`${path}/cancelrequest`)).status).toBe(202);
    expect(value(await get(path), '00741000')).toBe('CANCELED');
    expect((await send(`${busy.path}/cancelrequest`)).status).toBe(202);
    await until(jobs, await idOf(busy.uid), 'CANCELED');
  });

  it('for one that has ended is refused with 409', async () => {
    const { path, uid, call } = await claimed();
    call.succeed();
    await until(jobs, await idOf(uid), 'COMPLETED');
    const response = await send(`${path}/cancelrequest`);
    expect([response.status, warningOf(response)]).toEqual([
      409,
      expect.stringContaining('already COMPLETED'),
    ]);
  });
});

describe('search', () => {
  const uids = async (query: string): Promise<unknown[]> => {
    const response = await send(`?${query}`, undefined, 'GET');
    if (response.status === 204) return [];
    expect(response.status).toBe(200);
    return ((await response.json()) as Json[]).map((item) => value(item, '00080018'));
  };
  const cancelled: string[] = [];
  let own: string;

  it('matches by keyword and by tag, newest first, in pages', async () => {
    const busy = await claimed();
    own = `1.2.3.${series}`;
    for (let i = 0; i < 3; i++) {
      series++;
      const { uid, path } = await create();
      cancelled.unshift(uid);
      await send(`${path}/cancelrequest`);
    }
    expect(await uids(`InputInformationSequence.SeriesInstanceUID=${own}`)).toEqual([busy.uid]);
    expect(await uids(`00404021.0020000E=${own}&ProcedureStepState=COMPLETED`)).toEqual([]);
    expect(await uids('00741000=IN%20PROGRESS')).toEqual([busy.uid]);
    expect((await uids('ProcedureStepState=CANCELED&limit=2')).slice(0, 2)).toEqual(cancelled.slice(0, 2));
    expect((await uids('ProcedureStepState=CANCELED&limit=2&offset=1'))[1]).toBe(cancelled[2]);
    const all = await uids('ProcedureStepState=CANCELED&limit=1000&fuzzymatching=false');
    expect(all.slice(0, 3)).toEqual(cancelled);
    expect(await uids(`SOPInstanceUID=${busy.uid}&StudyInstanceUID=1.2.3`)).toEqual([busy.uid]);
    expect(await uids('ScheduledWorkitemCodeSequence.CodeValue=121726')).toEqual([]);
    await send(`${busy.path}/cancelrequest`);
    await until(jobs, await idOf(busy.uid), 'CANCELED');
  });

  it('refuses attributes that cannot be matched', async () => {
    expect((await send('?PatientName=X', undefined, 'GET')).status).toBe(400);
  });
});
