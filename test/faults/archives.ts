/** The two archives behind the fault proxy, and what a test does to them behind the product's back. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { freePort } from '../support/free-port.ts';
import { orthancMissing, startOrthanc } from '../support/orthanc.ts';
import { serveArchive } from '../support/serve-archive.ts';
import { type ServiceProcess, startProcess } from '../support/service-process.ts';

export interface TestArchive extends AsyncDisposable {
  /** Root of its DICOMweb service. */
  readonly url: string;
  put(files: readonly Uint8Array[]): Promise<void>;
  remove(seriesUid: string): Promise<void>;
}

export interface ArchiveKind {
  readonly name: string;
  readonly missing: string | undefined;
  start(): Promise<TestArchive>;
}

export const EMBEDDED: ArchiveKind = { name: 'the embedded archive', missing: undefined, start: embedded };

export const ARCHIVES: readonly ArchiveKind[] = [
  EMBEDDED,
  { name: 'Orthanc', missing: orthancMissing, start: orthanc },
];

async function embedded(): Promise<TestArchive> {
  const { archive, folder, url, [Symbol.asyncDispose]: stop } = await serveArchive();
  let files = 0;
  return {
    url,
    async put(some) {
      for (const file of some) await writeFile(join(folder, `source-${files++}.dcm`), file);
      await archive.rescan();
    },
    async remove(seriesUid) {
      await removeFiles(folder, seriesUid);
      await archive.rescan();
    },
    [Symbol.asyncDispose]: stop,
  };
}

/** The embedded archive as a separate process, which can be killed. */
export async function startArchiveProcess(): Promise<TestArchive & Pick<ServiceProcess, 'kill' | 'start'>> {
  const folder = await mkdtemp(join(tmpdir(), 'faults-archive-'));
  const port = await freePort();
  const files = join(folder, 'archive');
  await mkdir(files);
  const service = await startProcess('serve', {
    // At the same address after every start.
    STAIN_SERVER_PORT: String(port),
    STAIN_ARCHIVE_FOLDER: files,
    STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
    STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
    STAIN_DATABASE_DIRECTORY: join(folder, 'database'),
  });
  // It rebuilds its index at every start.
  const restart = async (): Promise<void> => {
    await service.kill();
    await service.start();
  };
  let sources = 0;
  return {
    url: `${service.url}/dicom-web`,
    async put(some) {
      for (const file of some) await writeFile(join(files, `source-${sources++}.dcm`), file);
      await restart();
    },
    async remove(seriesUid) {
      await removeFiles(files, seriesUid);
      await restart();
    },
    kill: () => service.kill(),
    start: () => service.start(),
    async [Symbol.asyncDispose]() {
      await service[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

async function removeFiles(folder: string, seriesUid: string): Promise<void> {
  for (const name of await readdir(folder, { recursive: true }))
    if (name.endsWith('.dcm') && (await seriesOf(join(folder, name))) === seriesUid)
      await rm(join(folder, name));
}

async function seriesOf(path: string): Promise<string | undefined> {
  await using file = await openPart10(path);
  return file.dataset.string('SeriesInstanceUID');
}

async function orthanc(): Promise<TestArchive> {
  const { url, [Symbol.asyncDispose]: stop } = await startOrthanc();
  const rest = async (
    method: string,
    path: string,
    body?: string | Uint8Array<ArrayBuffer>,
  ): Promise<Response> => {
    const answer = await fetch(new URL(path, url), { method, ...(body !== undefined && { body }) });
    if (!answer.ok) throw new Error(`Orthanc answered ${answer.status} to ${method} ${path}.`);
    return answer;
  };
  return {
    url,
    async put(files) {
      for (const file of files) await rest('POST', '/instances', new Uint8Array(file));
    },
    async remove(seriesUid) {
      const found = (await (await rest('POST', '/tools/lookup', seriesUid)).json()) as { Path: string }[];
      for (const { Path } of found) await rest('DELETE', Path);
    },
    [Symbol.asyncDispose]: stop,
  };
}
