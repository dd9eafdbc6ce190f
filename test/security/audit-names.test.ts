/** Path segments named like members of every JavaScript object, which once ended the process. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import type { AuditEntry } from '../../server/src/audit/audit-event.ts';
import type { Login } from '../../server/src/auth/login.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { openJobs } from '../jobs/support.ts';
import { startApp, type TestApp } from '../support/test-app.ts';

const NAMES = Object.getOwnPropertyNames(Object.prototype);
const STRANGERS: Login = {
  isRequired: true,
  identify: async () => {
    throw new StainError('UNAUTHENTICATED', 'The request has no bearer token.');
  },
};

const open = new AsyncDisposableStack();
const audit: AuditEntry[] = [];
const faults: unknown[] = [];
let jobs: JobService;
let service: TestApp;

beforeAll(async () => {
  jobs = await openJobs({ concurrency: 0 });
  open.defer(() => jobs.close());
  const { Router } = await import('express');
  const options = {
    login: STRANGERS,
    audit: { record: (entry: AuditEntry) => void audit.push(entry) },
    archiveRouter: Router(),
  };
  service = open.use(await startApp(jobs, options));
  const keep = (fault: unknown): void => void faults.push(fault);
  process.prependListener('uncaughtException', keep);
  open.defer(() => void process.off('uncaughtException', keep));
});
afterAll(() => open.disposeAsync());

it.each(NAMES)('%s in an address does not end the process, and is in the trail', async (name) => {
  audit.length = 0;
  for (const path of [`/dicom-web/${name}/1.2.3`, `/api/templates/${name}`]) {
    const answer = await fetch(service.url + path);
    await answer.arrayBuffer();
    expect(answer.status).toBe(401);
  }
  await expect.poll(() => audit.length).toBe(2);
  expect(faults).toEqual([]);
});
