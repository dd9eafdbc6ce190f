/** The product's tables: made new, taken over from version 0.9, of a later version than this program. */
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { anchorTable } from '../../server/src/audit/anchor.ts';
import { BatchRecords } from '../../server/src/jobs/batch-records.ts';
import { type Database, openDatabase } from '../../server/src/jobs/database.ts';
import { JobRecords } from '../../server/src/jobs/job-records.ts';
import { migrate } from '../../server/src/jobs/schema/migrate.ts';
import { MIGRATIONS } from '../../server/src/jobs/schema/migrations.ts';
import { TemplateRecords } from '../../server/src/templates/template-records.ts';
import { describeTables, TABLES_OF_0_9 } from '../support/tables.ts';
import { openJobs, SteeredWork, until } from './support.ts';

const COMPLETED = 'd6e2fafe-b8e9-4898-a955-c5bbe49bc53b';
const FAILED = 'f69dcddc-23ae-4d82-89ca-3d9f8c3b45ac';
const RUNNING = 'f789c2bd-bc1f-458b-879c-aad66dbb8826';
const BATCH = 'a4a959af-f144-423e-83fd-d30852c6ee4a';

let folder: string;
/** Where a database of version 0.9 is, another one for each test. */
let directory: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'migrations-'));
  const older = await PGlite.create(join(folder, 'original'));
  await older.exec(await readFile(TABLES_OF_0_9, 'utf8'));
  await older.close();
});
beforeEach(async () => {
  directory = await mkdtemp(join(folder, 'copy-'));
  await cp(join(folder, 'original'), directory, { recursive: true });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const open = (at: string): Promise<Database> =>
  openDatabase({ directory: at, heartbeatSeconds: 30, onError: () => {} });
const versions = async (database: Pick<Database, 'query'>): Promise<number[]> =>
  (
    await database.query<{ version: number }>(
      'SELECT version FROM stain_normalization.schema_version ORDER BY version',
    )
  ).map(({ version }) => version);

it('tables of version 0.9 become the tables of a new database', async () => {
  const [older, fresh] = [await open(directory), await open('memory://')];
  const tables = await describeTables(older);
  expect(tables.length).toBeGreaterThan(100);
  expect(tables).toEqual(await describeTables(fresh));
  expect(await versions(older)).toEqual(MIGRATIONS.map((_, index) => index + 1));
  await older.close();
  await fresh.close();
});

it('rows of version 0.9 mean what they meant', async () => {
  const database = await open(directory);
  const jobs = new JobRecords(database);
  expect(await jobs.find(COMPLETED)).toMatchObject({
    state: 'COMPLETED',
    requestedBy: 'ann',
    priority: 'interactive',
    result: { seriesInstanceUid: '2.25.1', seconds: 1 },
    stored: { instances: 1, of: 2 },
  });
  expect(await jobs.find(FAILED)).toMatchObject({
    state: 'FAILED',
    error: { code: 'TOO_LITTLE_TISSUE' },
    workitemUid: '1.2.3.99',
  });
  const { jobs: listed } = await jobs.list({ limit: 10 });
  expect(listed.map(({ state }) => state).sort()).toEqual([
    'CANCELED',
    'COMPLETED',
    'FAILED',
    'IN PROGRESS',
    'SCHEDULED',
    'SCHEDULED',
  ]);
  const batches = new BatchRecords(database);
  expect(await batches.find(BATCH)).toMatchObject({
    requestedBy: 'ann',
    counts: { SCHEDULED: 1, SKIPPED: 1, WAITING: 1 },
  });
  expect((await batches.series(BATCH)).map(({ code }) => code)).toEqual([
    null,
    'ARCHIVE_ERROR',
    'ALREADY_NORMALIZED',
  ]);
  const templates = new TemplateRecords(database);
  expect(await templates.current()).toMatchObject([{ id: 'one', version: 2, owner: 'ann', sha256: 'u' }]);
  expect(await templates.findVersion('one', 't')).toMatchObject({ version: 1 });
  expect(await anchorTable(database).all()).toMatchObject([{ sequence: 41, observer: 'stain.example' }]);
  await database.close();
});

it('a job that was running under version 0.9 goes on', async () => {
  const work = new SteeredWork();
  const next = work.next();
  const jobs = await openJobs({ database: { directory }, run: work.run });
  const call = await next;
  expect(call.job).toBe(RUNNING);
  call.succeed();
  await until(jobs, RUNNING, 'COMPLETED');
  await jobs.close();
});

it('tables of a newer version are refused, and left alone', async () => {
  const database = await open(directory);
  const newer = MIGRATIONS.length + 1;
  await database.query(`INSERT INTO stain_normalization.schema_version (version) VALUES (${newer})`);
  const tables = await describeTables(database);
  await database.close();
  await expect(open(directory)).rejects.toMatchObject({
    code: 'DATABASE_NEWER',
    data: { version: newer, known: MIGRATIONS.length },
  });
  const raw = await PGlite.create(directory);
  const query = async <Row>(sql: string): Promise<Row[]> => (await raw.query<Row>(sql)).rows;
  expect(await describeTables({ query })).toEqual(tables);
  await raw.close();
});

it('a step that fails leaves nothing behind, and runs at the next start', async () => {
  const database = await open('memory://');
  const upTo = (step: string): Promise<void> => migrate((sql) => database.query(sql), [...MIGRATIONS, step]);
  await expect(
    upTo('CREATE TABLE stain_normalization.half (a integer); SELECT no_such_function();'),
  ).rejects.toThrow(/no_such_function/);
  expect(await versions(database)).toHaveLength(MIGRATIONS.length);
  await upTo('CREATE TABLE stain_normalization.half (a integer)');
  await upTo('CREATE TABLE stain_normalization.half (a integer)');
  expect(await versions(database)).toHaveLength(MIGRATIONS.length + 1);
  await database.close();
});
