/**
 * A whole service in a hospital with a private CA: a real Orthanc behind TLS that asks for a client certificate, and a
 * real PostgreSQL over TLS. Orthanc's own TLS crashes in Debian 12 (1.10.1), so what ends it stands before Orthanc. Node trusts the CA by NODE_EXTRA_CA_CERTS, as docs/operations.md says.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Job } from '../../core/src/contract/index.ts';
import { textOf } from '../../server/src/dicom/json-model.ts';
import { createDicomWebClient, type DicomWebClient } from '../../server/src/dicomweb/client.ts';
import { type Authority, makeAuthority } from '../support/certificate.ts';
import { orthancMissing, type RunningOrthanc, startOrthanc } from '../support/orthanc.ts';
import { repository } from '../support/peers.ts';
import { postgresMissing, type RunningPostgres, startPostgres } from '../support/postgres.ts';
import { startProcess } from '../support/service-process.ts';
import { storeFiles } from '../support/store-files.ts';
import { requireCertificate, type TlsFront } from '../support/tls-front.ts';

const missing = orthancMissing ?? postgresMissing;
const signal = AbortSignal.timeout(300_000);

describe.skipIf(missing)(`with a private CA${missing ? ` (skipped: ${missing})` : ''}`, () => {
  const open = new AsyncDisposableStack();
  let folder: string;
  let ca: Authority;
  let own: { certFile: string; keyFile: string };
  let orthanc: RunningOrthanc;
  let postgres: RunningPostgres;
  let archiveUrl: string;
  let client: DicomWebClient;
  let front: TlsFront;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'stain-private-ca-'));
    open.defer(() => rm(folder, { recursive: true, force: true }));
    ca = open.use(await makeAuthority());
    own = ca.issue('stain');
    orthanc = open.use(await startOrthanc());
    front = open.use(await requireCertificate(ca, Number(new URL(orthanc.url).port)));
    archiveUrl = `https://localhost:${front.port}/dicom-web`;
    postgres = open.use(await startPostgres({ tls: ca.issue('postgres') }));
    client = createDicomWebClient({ url: orthanc.url });
    open.defer(() => client.close());
  });
  afterAll(() => open.disposeAsync());

  const settings = (sslmode: string): Record<string, string> => ({
    STAIN_DICOMWEB_URL: archiveUrl,
    STAIN_DATABASE_URL: `${postgres.url}?sslmode=${sslmode}`,
    STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
    STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
  });
  const certificates = (): Record<string, string> => ({
    NODE_EXTRA_CA_CERTS: ca.caFile,
    STAIN_DICOMWEB_TLS_CERT_FILE: own.certFile,
    STAIN_DICOMWEB_TLS_KEY_FILE: own.keyFile,
  });

  it('takes a slide, normalises it and shows the result', async () => {
    await using service = await startProcess('serve', { ...settings('verify-full'), ...certificates() });
    const stow = await storeFiles(`${service.url}/dicom-web`, [
      join(repository, 'scripts/sample/level-3.dcm'),
    ]);
    expect(stow.ok).toBe(true);
    const [found] = await client.searchSeries({ Modality: 'SM' }, signal);
    const uid = (tag: string) => textOf(found!, tag)!;
    const study = uid('0020000D');
    const asked = await fetch(`${service.url}/api/normalizations`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        studyInstanceUid: study,
        seriesInstanceUid: uid('0020000E'),
        template: 'he-magenta',
      }),
    });
    expect(asked.status).toBe(202);
    const { id } = (await asked.json()) as Job;
    const jobNow = async () => (await (await fetch(`${service.url}/api/normalizations/${id}`)).json()) as Job;
    await expect.poll(async () => (await jobNow()).state, { timeout: 120_000 }).toBe('COMPLETED');
    const series = (await jobNow()).result!.seriesInstanceUid;
    const shown = await fetch(`${service.url}/dicom-web/studies/${study}/series/${series}/instances`);
    expect(await shown.json()).toHaveLength(1);
    expect([...front.clients]).toEqual(['stain']);
  });

  it('does not start with a database whose CA it does not know, and says why', async () => {
    const { NODE_EXTRA_CA_CERTS, ...rest } = certificates();
    await expect(
      startProcess('serve', { ...settings('verify-full'), ...rest, STAIN_DICOMWEB_TLS_CA_FILE: ca.caFile }),
    ).rejects.toThrow(/CONFIGURATION_INVALID\): database\.url: the certificate .*NODE_EXTRA_CA_CERTS/);
  });
});
