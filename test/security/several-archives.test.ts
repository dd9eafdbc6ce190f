/**
 * The same slide in two archives that show it to different users: whoever sees it in one learns nothing of the other,
 * neither from answers that are kept nor from jobs.
 */

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Job } from '../../core/src/contract/index.ts';
import { StainError } from '../../core/src/errors.ts';
import { type Access, accessByArchive, openAccess } from '../../server/src/auth/access.ts';
import { archiveCredentials } from '../../server/src/auth/archive-credentials.ts';
import { openLogin } from '../../server/src/auth/login.ts';
import { loadConfig } from '../../server/src/config.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { openJobs, SteeredWork } from '../jobs/support.ts';
import { AUDIENCE, type Issuer, startIssuer } from '../support/issuer.ts';
import { startApp, type TestApp } from '../support/test-app.ts';

const SLIDE = { studyInstanceUid: '1.2.3', seriesInstanceUid: '1.2.3.4' };
const open = new AsyncDisposableStack();
afterAll(() => open.disposeAsync());

/** An archive that shows every slide to one user, and nothing to others. */
async function startArchive(owner: string): Promise<{ url: string }> {
  const server: Server = createServer((request, response) => {
    const token = /^Bearer (.+)/.exec(request.headers.authorization ?? '')?.[1];
    const isOwner = token !== undefined && decodeJwt(token).sub === owner;
    const row = { '0020000E': { vr: 'UI', Value: [SLIDE.seriesInstanceUid] } };
    response.setHeader('Content-Type', 'application/dicom+json').end(JSON.stringify(isOwner ? [row] : []));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/dicom-web` };
}

describe('one slide in two archives', () => {
  let issuer: Issuer;
  let jobs: JobService;
  let service: TestApp;
  const tokens: Record<string, string> = {};
  /** Whether the configuration still has the archive of bob. */
  let isNamed = true;

  beforeAll(async () => {
    issuer = open.use(await startIssuer(['alice', 'bob']));
    const [first, second] = [await startArchive('alice'), await startArchive('bob')];
    const env = {
      STAIN_OIDC_ISSUER: issuer.url,
      STAIN_OIDC_AUDIENCE: AUDIENCE,
      STAIN_DICOMWEB_URL: first.url,
    };
    const config = loadConfig({ env });
    const login = openLogin(config);
    const credentials = archiveCredentials(config.dicomweb);
    const asked = { dicomweb: { url: second.url, users: 'known' as const } };
    const of = new Map<string | undefined, Access>([
      [undefined, openAccess(config, login, credentials)],
      ['other', openAccess(asked, login, credentials)],
    ]);
    const require = (name: string | undefined): Access => {
      const found = name === 'other' && !isNamed ? undefined : of.get(name);
      if (!found) throw new StainError('ARCHIVE_NOT_FOUND', 'No such archive.');
      return found;
    };
    jobs = await openJobs({ run: new SteeredWork().run, concurrency: 4 });
    open.defer(() => jobs.close());
    const never = async () => {
      throw new StainError('TOO_LITTLE_TISSUE', 'Seen.');
    };
    service = open.use(
      await startApp(jobs, {
        config,
        login,
        access: accessByArchive(require),
        requireArchives: ({ source, destination }) => {
          for (const name of [source, destination]) require(name);
        },
        stainOf: never,
        preview: never,
        createTemplate: never,
      }),
    );
    for (const user of ['alice', 'bob']) tokens[user] = await issuer.token(user);
  });

  async function ask(
    user: string,
    path: string,
    body?: object,
  ): Promise<[number, string | undefined, unknown]> {
    const response = await fetch(service.url + path, {
      method: body ? 'POST' : 'GET',
      headers: { Authorization: `Bearer ${tokens[user]}`, 'Content-Type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    const answer = (await response.json()) as { code?: string };
    return [response.status, answer.code, answer];
  }
  const request = (names: object) => ({ ...SLIDE, template: 'one', ...names });

  // In both orders, so that an answer of one archive is kept when the other is asked.
  it.each([
    ['alice', {}, true],
    ['alice', { source: 'other' }, false],
    ['bob', { source: 'other' }, true],
    ['bob', {}, false],
    ['bob', { source: 'default' }, false],
    ['alice', { source: 'default' }, true],
  ] as const)('%s with %j: %s', async (user, names, isSeen) => {
    const query = 'source' in names ? `?source=${names.source}` : '';
    const path = `/api/studies/${SLIDE.studyInstanceUid}/series/${SLIDE.seriesInstanceUid}/stain${query}`;
    const code = isSeen ? 'TOO_LITTLE_TISSUE' : 'SERIES_NOT_FOUND';
    const region = { x: 0, y: 0, width: 9, height: 9 };
    expect((await ask(user, path))[1]).toBe(code);
    expect((await ask(user, '/api/preview', { ...request(names), region }))[1]).toBe(code);
    const template = { ...SLIDE, ...names, name: 'Mine' };
    expect((await ask(user, '/api/templates', template))[1]).toBe(code);
    const [status] = await ask(user, '/api/normalizations', request(names));
    expect([200, 202].includes(status)).toBe(isSeen);
  });

  it('has a job for each archive, which the users of the other do not see', async () => {
    const jobOf = async (user: string, names: object): Promise<Job> =>
      (await ask(user, '/api/normalizations', request(names)))[2] as Job;
    const [hers, his] = [await jobOf('alice', {}), await jobOf('bob', { source: 'other' })];
    expect(hers.id).not.toBe(his.id);
    expect((await ask('alice', `/api/normalizations/${his.id}`)).slice(0, 2)).toEqual([404, 'JOB_NOT_FOUND']);
    expect((await ask('bob', `/api/normalizations/${hers.id}`)).slice(0, 2)).toEqual([404, 'JOB_NOT_FOUND']);
    const listed = (await ask('alice', `/api/normalizations?series=${SLIDE.seriesInstanceUid}`))[2];
    expect((listed as { jobs: Job[] }).jobs.map(({ id }) => id)).toEqual([hers.id]);
    isNamed = false;
    expect((await ask('alice', `/api/normalizations/${his.id}`)).slice(0, 2)).toEqual([404, 'JOB_NOT_FOUND']);
    expect((await ask('bob', `/api/normalizations/${his.id}`))[0]).toBe(200);
    expect((await ask('bob', '/api/normalizations', request({ source: 'other' })))[1]).toBe(
      'ARCHIVE_NOT_FOUND',
    );
  });
});
