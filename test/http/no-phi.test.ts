/**
 * Runs the real service at its most verbose level over a slide with a known patient, with tokens and faults: no patient
 * data must appear in logs, job records, audit trail, metrics or answers of the API.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Job } from '../../core/src/contract/index.ts';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { openDatabase } from '../../server/src/jobs/database.ts';
import { AUDIENCE, type Issuer, startIssuer } from '../support/issuer.ts';
import { repository } from '../support/peers.ts';
import { replaceText } from '../support/replace-text.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';

/** No longer than the values of the sample that they replace. */
const PHI = {
  PatientName: 'Quidditch^Zo',
  PatientID: 'PID-73x91',
  AccessionNumber: 'ACC-8z',
  ReferringPhysicianName: 'Dolohow^Igor',
  StudyID: 'SID-5519x',
};

let folder: string;
let issuer: Issuer;
let archive: ServedArchive;
let front: Server;
let service: ChildProcess;
let url: string;
let token: string;
let output = '';
const answers: string[] = [];
/** Requests that the archive refuses, with the patient in the message. */
let isFaulty: (path: string) => boolean = () => false;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stain-phi-'));
  await mkdir(join(folder, 'archive'));
  const sample = await readFile(join(repository, 'scripts/sample/level-3.dcm'));
  await writeFile(join(folder, 'archive/slide.dcm'), replaceText(sample, PHI));
  await using file = await openPart10(join(folder, 'archive/slide.dcm'));
  for (const [keyword, value] of Object.entries(PHI)) expect(file.dataset.string(keyword)).toBe(value);
  archive = await serveArchive({ folder: join(folder, 'archive') });
  front = createServer(async (request, response) => {
    if (isFaulty(request.url!)) {
      response.writeHead(500, { 'X-Patient': PHI.PatientName, 'Content-Type': 'text/plain' });
      return void response.end(
        `Cannot serve ${PHI.PatientName} (${PHI.PatientID}), accession ${PHI.AccessionNumber}`,
      );
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { host: _, connection: __, ...headers } = request.headers;
    const answer = await fetch(new URL(request.url!, archive.url), {
      method: request.method!,
      headers: headers as Record<string, string>,
      ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
    });
    const type = answer.headers.get('content-type');
    response.writeHead(answer.status, type ? { 'Content-Type': type } : {});
    response.end(Buffer.from(await answer.arrayBuffer()));
  }).listen(0, '127.0.0.1');
  await once(front, 'listening');
  issuer = await startIssuer(['alice']);
  token = await issuer.token('alice', 'stain.administer');
  service = spawn(process.execPath, [join(repository, 'server/src/main.ts'), 'serve'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      STAIN_SERVER_PORT: '0',
      STAIN_DEVICE: 'cpu',
      STAIN_JOBS_STABLE_SECONDS: '0',
      STAIN_VIEWER_ENABLED: 'false',
      STAIN_LOG_LEVEL: 'trace',
      STAIN_OIDC_ISSUER: issuer.url,
      STAIN_OIDC_AUDIENCE: AUDIENCE,
      STAIN_DICOMWEB_URL: `http://me:the-password@127.0.0.1:${(front.address() as AddressInfo).port}/dicom-web`,
      STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
      STAIN_DATABASE_DIRECTORY: join(folder, 'database'),
      STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
      STAIN_AUDIT_FILE: join(folder, 'audit.jsonl'),
    },
  });
  for (const stream of [service.stdout!, service.stderr!])
    stream.on('data', (chunk) => {
      output += chunk;
    });
  for (let tries = 0; !url; tries++) {
    if (tries > 300) throw new Error(output);
    await new Promise((resolve) => setTimeout(resolve, 100));
    url = /service\s+(http:\S+)/.exec(output)?.[1] ?? '';
  }
});
afterAll(async () => {
  if (service.exitCode === null) service.kill('SIGKILL');
  front.closeAllConnections();
  front.close();
  await archive[Symbol.asyncDispose]();
  await issuer[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function ask(path: string, body?: unknown, bearer = token): Promise<any> {
  const response = await fetch(url + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      Authorization: `Bearer ${bearer}`,
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  // A message of the archive to its own user passes through: the archive decides what to show.
  if (!path.startsWith('/dicom-web')) answers.push(text);
  return response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : text;
}

async function ended(id: string): Promise<Job> {
  for (let tries = 0; ; tries++) {
    const job = (await ask(`/api/normalizations/${id}`)) as Job;
    if (['COMPLETED', 'FAILED', 'CANCELED'].includes(job.state)) return job;
    if (tries > 600) throw new Error(JSON.stringify(job));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

it('reveals nothing about patients, and no token', async () => {
  const [series] = await ask('/dicom-web/series?Modality=SM');
  const wanted = {
    studyInstanceUid: series['0020000D'].Value[0],
    seriesInstanceUid: series['0020000E'].Value[0],
    template: 'he-magenta',
  };
  const job = await ask('/api/normalizations', wanted);
  expect((await ended(job.id)).state).toBe('COMPLETED');
  // Faults with the patient in the message: during a request, a job, a search and a preview.
  isFaulty = (path) => path.includes('/instances/');
  const failing = await ask('/api/normalizations', { ...wanted, quality: 60 });
  expect((await ended(failing.id)).error?.code).toBe('ARCHIVE_ERROR');
  // A series that does not exist, a work item that exists already: errors that contain UIDs.
  await ask('/api/normalizations', { ...wanted, seriesInstanceUid: '1.2.840.99.7' });
  await ask('/api/preview', {
    ...wanted,
    seriesInstanceUid: '1.2.840.99.7',
    region: { x: 0, y: 0, width: 9, height: 9 },
  });
  isFaulty = () => true;
  await ask('/api/normalizations', { ...wanted, quality: 50 });
  await ask('/api/preview', { ...wanted, region: { x: 0, y: 0, width: 99, height: 99 } });
  await ask('/api/batches', { query: { PatientID: PHI.PatientID }, template: 'he-magenta' });
  await ask('/ready');
  isFaulty = () => false;
  await ask('/api/batches', { query: { PatientID: PHI.PatientID }, template: 'he-magenta' });
  for (const path of [
    `/api/normalizations?series=${PHI.PatientID}`,
    `/api/normalizations/${PHI.PatientID}`,
    `/nothing/${PHI.PatientName}`,
    `/dicom-web/studies?PatientID=${PHI.PatientID}&PatientName=${PHI.PatientName}`,
    `/api/studies/1.2/series/1.3/stain?token=${token}`,
    '/metrics',
    '/api/normalizations',
    '/api/operations.html',
  ])
    await ask(path);
  await ask('/api/normalizations', `{"patient": "${PHI.PatientName}"`);
  await ask('/api/normalizations', { ...wanted, template: PHI.PatientName });
  await ask('/api/templates', undefined, `${token}x`);
  service.kill('SIGTERM');
  await once(service, 'exit');

  const database = await openDatabase({
    directory: join(folder, 'database'),
    heartbeatSeconds: 30,
    onError: () => {},
  });
  const records = JSON.stringify(
    await Promise.all(
      ['job', 'batch', 'batch_series'].map((table) =>
        database.query(`SELECT * FROM stain_normalization.${table}`),
      ),
    ),
  );
  await database.close();
  const audit = await readFile(join(folder, 'audit.jsonl'), 'utf8');
  expect(audit.split('\n').length).toBeGreaterThan(8);
  expect(output).toContain(job.id);
  // People who read logs need not know who was examined.
  for (const uid of [wanted.studyInstanceUid, wanted.seriesInstanceUid, '1.2.840.99.7'])
    expect(output.includes(uid), `${uid} in the output`).toBe(false);
  const secrets = [...Object.values(PHI), token, 'the-password', 'Quidditch', ...token.split('.').slice(1)];
  const places = { output, records, audit, answers: answers.join('\n') };
  for (const [place, text] of Object.entries(places)) {
    expect(text.length).toBeGreaterThan(100);
    for (const secret of secrets) expect(text.includes(secret), `${secret} in the ${place}`).toBe(false);
  }
});
