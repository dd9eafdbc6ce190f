/** The clock of a real PostgreSQL is set back by an hour while a job waits for its next attempt: libfaketime sets it. */
import { existsSync, readdirSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import { create, openJobs, request, SteeredWork, until } from '../jobs/support.ts';
import { postgresMissing, startPostgres } from '../support/postgres.ts';

const LIBRARY = readdirSync('/usr/lib')
  .map((folder) => `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`)
  .find((path) => existsSync(path));
const missing = postgresMissing ?? (LIBRARY ? undefined : 'no faketime');
if (missing && process.env.CI) throw new Error(`${missing}; .ci/run installs it`);

it.skipIf(missing)(`the job is not frozen${missing ? ` (skipped: ${missing})` : ''}`, async () => {
  await using open = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'database-clock-'));
  open.defer(() => rm(folder, { recursive: true }));
  const clock = join(folder, 'clock');
  await writeFile(clock, '+0\n');
  // PostgreSQL runs as a user of its own.
  await chmod(folder, 0o755);
  const postgres = open.use(
    await startPostgres({
      environment: {
        LD_PRELOAD: LIBRARY!,
        FAKETIME_TIMESTAMP_FILE: clock,
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      },
    }),
  );
  const hour = () => postgres.query(`SELECT date_trunc('hour', now())`);
  const work = new SteeredWork();
  const jobs = await openJobs({
    database: { directory: 'memory://', url: postgres.url },
    run: work.run,
    sweepMs: 500,
  });
  open.defer(() => jobs.close());
  const next = work.next();
  const { job } = await create(jobs, request());
  const call = await next;
  const before = await hour();
  call.fail(new StainError('ARCHIVE_UNREACHABLE', 'The archive is away.', { retry: {} }));
  await until(jobs, job.id, 'SCHEDULED');
  const again = work.next();
  await writeFile(clock, '-1h\n');
  expect(await hour()).not.toBe(before);
  expect((await jobs.statistics()).oldestWaitingSeconds).toBe(0);
  (await again).succeed();
  await until(jobs, job.id, 'COMPLETED');
});
