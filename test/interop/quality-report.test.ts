/** What the quality report asks of an archive: identifiers of a slide, and small pictures. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { archiveCredentials } from '../../server/src/auth/archive-credentials.ts';
import { openLogin } from '../../server/src/auth/login.ts';
import { LOCAL } from '../../server/src/auth/principal.ts';
import { loadConfig } from '../../server/src/config.ts';
import { createDicomWebClient, type DicomWebClient } from '../../server/src/dicomweb/client.ts';
import { archiveProxy } from '../../server/src/http/archive-proxy.ts';
import { withIdentifiers } from '../../server/src/http/identifiers.ts';
import { type CopiedSlide, copySample } from '../support/copy-slide.ts';
import { orthancs, type RunningOrthanc, startOrthanc } from '../support/orthanc.ts';
import { serveArchive } from '../support/serve-archive.ts';
import { storeFiles } from '../support/store-files.ts';
import { NO_BATCHES, NO_JOBS, startApp } from '../support/test-app.ts';

const never = new AbortController().signal;

describe.each([
  { name: 'the embedded archive', missing: undefined, start: undefined },
  ...orthancs.map((one) => ({ ...one, start: () => startOrthanc(one) })),
])('of $name', ({ missing, start }) => {
  let open: AsyncDisposableStack;
  let slide: CopiedSlide;
  let archive: Pick<RunningOrthanc, 'url'>;
  let client: DicomWebClient;

  beforeAll(async () => {
    if (missing) return;
    open = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'quality-'));
    open.defer(() => rm(folder, { recursive: true, force: true }));
    slide = await copySample('quality', [2, 3], () => ({
      AccessionNumber: 'A-17/4',
      ContainerIdentifier: 'A-17/4-B1',
    }));
    const files = slide.files.map((_, i) => join(folder, `${i}.dcm`));
    for (const [i, file] of slide.files.entries()) await writeFile(files[i]!, file);
    if (start) {
      archive = open.use(await start());
      await storeFiles(archive.url, files);
    } else archive = open.use(await serveArchive({ folder }));
    client = createDicomWebClient({ url: archive.url });
    open.defer(() => client.close());
  });
  afterAll(() => open?.disposeAsync());

  it.skipIf(missing)('are told in one search for one image', async () => {
    const { studyInstanceUid, seriesInstanceUid, baseUid } = slide;
    const asked = [null, baseUid].map((one) => ({ studyInstanceUid, seriesInstanceUid, slide: one }));
    const search = (_: unknown, ...wanted: Parameters<DicomWebClient['searchInstances']>) =>
      client.searchInstances(...wanted);
    for await (const { identifiers } of withIdentifiers(asked, search, LOCAL, never))
      expect(identifiers).toEqual({ accession: 'A-17/4', container: 'A-17/4-B1', code: null });
  });

  it.skipIf(missing)('are rendered for a series and for an image, through the service', async () => {
    const router = archiveProxy(
      { url: archive.url, timeoutSeconds: 10, users: 'unknown', bulkDataKey: randomBytes(32) },
      openLogin(loadConfig({ env: {} })),
      archiveCredentials({ headers: {}, users: 'unknown', oauth: {} }),
    );
    await using service = await startApp(NO_JOBS, { batches: NO_BATCHES, archiveRouter: router });
    const series = `${service.url}/dicom-web/studies/${slide.studyInstanceUid}/series/${slide.seriesInstanceUid}`;
    for (const path of ['rendered', `instances/${slide.baseUid}/rendered`]) {
      const answer = await fetch(`${series}/${path}`, {
        // As a browser asks for a picture.
        headers: { Accept: 'image/avif,image/webp,image/*,*/*;q=0.8' },
      });
      expect(answer.headers.get('Content-Type'), path).toBe('image/jpeg');
    }
  });
});
