/** Attacks on what lies behind the proxy: addresses of a real Orthanc outside DICOMweb, over raw sockets. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { orthancMissing, type RunningOrthanc, startOrthanc } from '../support/orthanc.ts';
import { repository } from '../support/peers.ts';
import { sendRaw } from '../support/raw-connection.ts';
import { type ArchiveService, startArchiveService } from './archive-service.ts';

const note = orthancMissing ? ` (skipped: ${orthancMissing})` : '';

describe.skipIf(orthancMissing)(`a raw client before Orthanc${note}`, () => {
  const open = new AsyncDisposableStack();
  let orthanc: RunningOrthanc;
  let root: string;
  let instances: string[];
  let service: ArchiveService;

  beforeAll(async () => {
    orthanc = open.use(await startOrthanc());
    root = orthanc.url.replace('/dicom-web', '');
    for (const name of ['level-2.dcm', 'level-3.dcm'])
      await fetch(`${root}/instances`, {
        method: 'POST',
        body: await readFile(join(repository, 'scripts/sample', name)),
      });
    instances = await stored();
    expect(instances).toHaveLength(2);
    service = open.use(await startArchiveService(orthanc.url));
  });
  afterAll(() => open.disposeAsync());

  const stored = async () => (await (await fetch(`${root}/instances`)).json()) as string[];

  it.each([
    '/dicom-web/studies#/../../system',
    '/dicom-web/studies?#/../../system',
    '/dicom-web/studies/1.2#/../../../system',
    '/dicom-web/../system',
    '/dicom-web/studies/../../system',
    '/dicom-web/studies/%2e%2e/%2e%2e/system',
    '/dicom-web/studies\\..\\..\\system',
    '/dicom-web/servers',
    '/dicom-web/app/client/index.html',
    '/dicom-web/info',
  ])('reads nothing outside DICOMweb: GET %s', async (target) => {
    const answer = await send(service.url, `GET ${target} HTTP/1.1`);
    expect(answer).not.toContain('DicomAet');
    expect(answer).toMatch(/^HTTP\/1\.1 (400|404) /);
  });

  it('deletes nothing by POST .../studies#/../../tools/bulk-delete', async () => {
    const body = JSON.stringify({ Resources: [instances[0]] });
    const answer = await send(service.url, 'POST /dicom-web/studies#/../../tools/bulk-delete HTTP/1.1', body);
    expect(await stored()).toEqual(instances);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('TARGET_REFUSED');
  });

  it('changes nothing by the absolute form of a target', async () => {
    const body = JSON.stringify({ Resources: [instances[0]] });
    const target = `${root}/dicom-web/studies#/../../tools/bulk-delete`;
    expect(await send(service.url, `POST ${target} HTTP/1.1`, body)).toMatch(/^HTTP\/1\.1 40[04] /);
    expect(await send(service.url, `GET ${root}/dicom-web/studies HTTP/1.1`)).toMatch(/^HTTP\/1\.1 400 /);
    expect(await stored()).toEqual(instances);
  });

  it('still reads DICOMweb resources', async () => {
    expect(await send(service.url, 'GET /dicom-web/studies?limit=1 HTTP/1.1')).toMatch(/^HTTP\/1\.1 200 /);
  });
});

/** Sends one request with its body unchanged and returns the whole response. */
async function send(url: string, line: string, body = ''): Promise<string> {
  const head = [
    line,
    `Host: ${new URL(url).host}`,
    'Connection: close',
    'Accept: application/json',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return (await sendRaw(url, head, { body })).text;
}
