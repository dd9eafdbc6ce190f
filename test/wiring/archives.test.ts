/** Archives by name: where a request reads and stores, within which limits, and what is refused before anything is read. */

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../server/src/config.ts';
import { openArchiveLocation } from '../../server/src/wiring/archive-location.ts';
import {
  type Archives,
  type EnvironmentOf,
  environmentsOf,
  openArchives,
} from '../../server/src/wiring/archives.ts';
import { compose } from '../../server/src/wiring/composition.ts';

const signal = AbortSignal.timeout(60_000);

describe('archives by name', () => {
  const open = new AsyncDisposableStack();
  let archives: Archives;
  let environmentOf: EnvironmentOf;
  let url: string;
  let config: ReturnType<typeof loadConfig>;
  const answers: unknown[] = [];
  let requests = 0;

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stain-archives-'));
    open.defer(() => rm(folder, { recursive: true }));
    const server = createServer((_request, response) => {
      requests++;
      response.writeHead(204).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    open.defer(() => void server.close());
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/dicom-web`;
    config = loadConfig({
      env: {
        STAIN_ARCHIVE_FOLDER: join(folder, 'archive'),
        STAIN_LIMITS_MAX_INSTANCE_BYTES: '1000',
        STAIN_ARCHIVES: JSON.stringify({
          vendor: { url, isReadOnly: true, maxInstanceBytes: 500 },
          research: { url: `${url}-too`, maxInstanceBytes: 2000 },
        }),
      },
    });
    archives = open.use(
      await openArchives(config, (archive, method, outcome) => void answers.push([archive, method, outcome])),
    );
    const composition = open.use(compose(config));
    environmentOf = environmentsOf(composition, archives, composition.templates);
  });
  afterAll(() => open.disposeAsync());

  it('reads in one and stores in the other', () => {
    const { source, destination } = environmentOf({ source: 'vendor', destination: 'research' });
    expect(source).toBe(archives.get('vendor').client);
    expect(destination).toBe(archives.get('research').client);
  });

  it('means the default one without a name', () => {
    const { source, destination } = environmentOf({});
    expect(source).toBe(archives.get(undefined).client);
    expect(destination).toBe(source);
  });

  it.each([
    [{ source: 'attic' }, 'ARCHIVE_NOT_FOUND', /"attic"/],
    [{ destination: 'constructor' }, 'ARCHIVE_NOT_FOUND', /"constructor"/],
    [{ destination: 'vendor' }, 'ARCHIVE_READ_ONLY', /"vendor"/],
  ])('refuses %j, and asks nobody', (names, code, message) => {
    expect(() => environmentOf(names)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
    expect(requests).toBe(0);
  });

  it('keeps to the smallest limit of instances', () => {
    const limitOf = (names: object): number => environmentOf(names).limits.maxInstanceBytes;
    expect(limitOf({})).toBe(1000);
    expect(limitOf({ source: 'vendor' })).toBe(500);
    expect(limitOf({ source: 'research', destination: 'research' })).toBe(1000);
  });

  it('counts answers under the name of the archive', async () => {
    await archives.get('research').client.searchStudies({}, signal);
    expect(answers).toContainEqual(['research', 'GET', '204']);
  });

  it('stores nothing in one that is read-only, whatever it is called on the command line', async () => {
    for (const location of ['vendor', url, `${url}/`])
      for (const options of [{ create: true }, { create: false, stores: true }])
        await expect(openArchiveLocation(location, config, options)).rejects.toMatchObject({
          code: 'ARCHIVE_READ_ONLY',
        });
    await using reading = await openArchiveLocation('vendor', config, { create: false });
    expect([reading.archive, reading.name]).toEqual(['vendor', url]);
  });
});
