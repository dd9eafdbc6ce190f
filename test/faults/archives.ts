/** The two archives that the faults are caused in front of, with what a test does behind the product's back. */
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { orthancMissing, startOrthanc } from '../support/orthanc.ts';
import { serveArchive } from '../support/serve-archive.ts';

export interface TestArchive extends AsyncDisposable {
  /** Root of its DICOMweb service. */
  readonly url: string;
  put(file: Uint8Array): Promise<void>;
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
    async put(file) {
      await writeFile(join(folder, `source-${files++}.dcm`), file);
      await archive.rescan();
    },
    async remove(seriesUid) {
      for (const name of await readdir(folder, { recursive: true }))
        if (name.endsWith('.dcm') && (await seriesOf(join(folder, name))) === seriesUid)
          await rm(join(folder, name));
      await archive.rescan();
    },
    [Symbol.asyncDispose]: stop,
  };
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
    async put(file) {
      await rest('POST', '/instances', new Uint8Array(file));
    },
    async remove(seriesUid) {
      const found = (await (await rest('POST', '/tools/lookup', seriesUid)).json()) as { Path: string }[];
      for (const { Path } of found) await rest('DELETE', Path);
    },
    [Symbol.asyncDispose]: stop,
  };
}
