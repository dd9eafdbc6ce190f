/** An archive as a person names it on the command line: a DICOMweb URL, or a folder served by the embedded archive. */
import { randomBytes } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import express, { type Router } from 'express';
import { liftBodyDeadline } from '../app/client-time.ts';
import { listen } from '../app/listen.ts';
import { createArchive } from '../archive/archive.ts';
import type { LeftOutFiles } from '../archive/folder-index.ts';
import { archiveCredentials } from '../auth/archive-credentials.ts';
import type { Config } from '../config.ts';
import { createDicomWebClient, type DicomWebClient, type DicomWebClientOptions } from '../dicomweb/client.ts';
import { StainError } from '../errors.ts';
import type { SeriesReference } from '../normalization/open-series.ts';
import { createTemporarySpool } from '../normalization/spool.ts';

export interface ArchiveLocation extends AsyncDisposable {
  readonly client: DicomWebClient;
  /** For messages: the URL without credentials, or the folder. */
  readonly name: string;
  /** Of the embedded archive. */
  readonly router?: Router;
  /** Files of the folder that cannot be slides, and why. */
  readonly leftOut: readonly LeftOutFiles[];
  /** Of a folder: when the newest file of a series was written, as it is now; milliseconds since 1970. */
  changedAtMs?(series: SeriesReference): Promise<number>;
}

/** @param create make the folder when it is missing (for a destination) */
export async function openArchiveLocation(
  location: string,
  config: Config,
  { create, ...options }: { create: boolean } & Pick<DicomWebClientOptions, 'onAnswer' | 'maxMetadataBytes'>,
): Promise<ArchiveLocation> {
  if (/^https?:/i.test(location)) {
    const client = createDicomWebClient({
      url: location,
      ...timeouts(config),
      ...options,
      headers: isConfiguredArchive(location, config) ? archiveCredentials(config.dicomweb).service : {},
    });
    const { origin, pathname } = new URL(location);
    return { client, name: `${origin}${pathname}`, leftOut: [], [Symbol.asyncDispose]: () => client.close() };
  }
  // Slides of patients: a folder that we make is readable by us alone; one that is there keeps its mode.
  if (create) await mkdir(location, { recursive: true, mode: 0o700 });
  const isFolder = await stat(location).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder)
    throw new StainError('REQUEST_INVALID', `"${location}" is neither a folder nor an http(s) URL.`);
  const archive = await createArchive({
    folder: location,
    maxInstanceBytes: config.limits.maxInstanceBytes,
    makeFolder: () => createTemporarySpool(config.spool),
  });
  // A slide of which only some levels have been seen would be taken for a smaller one.
  await archive.rescan();
  // The product meets its own archive over HTTP like any other: there is one way for data. Other users of this host know
  // no login for this address, and need none: it takes a word that only this process knows.
  const authorization = `Bearer ${randomBytes(32).toString('base64url')}`;
  const server = await listen(
    express().use(
      (request, response, next) => {
        if (request.headers.authorization !== authorization) return void response.status(401).end();
        // A slide is stored in one request.
        liftBodyDeadline(request);
        next();
      },
      express.Router().use('/dicom-web', archive.router),
    ),
    { host: '127.0.0.1', port: 0 },
  );
  const client = createDicomWebClient({
    url: `${server.url}/dicom-web`,
    headers: { authorization },
    ...timeouts(config),
    ...options,
  });
  return {
    client,
    name: location,
    router: archive.router,
    leftOut: archive.statistics.leftOut,
    async changedAtMs({ studyInstanceUid, seriesInstanceUid }) {
      await archive.rescan();
      return archive.changedAtMs(studyInstanceUid, seriesInstanceUid);
    },
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
      await archive.close();
    },
  };
}

/** The headers hold credentials of one archive, which are no other's business. */
function isConfiguredArchive(location: string, { dicomweb }: Config): boolean {
  return dicomweb.url !== undefined && new URL(dicomweb.url).origin === new URL(location).origin;
}

function timeouts({ dicomweb }: Config): Pick<DicomWebClientOptions, 'timeoutMs' | 'storeTimeoutMs'> {
  const timeoutMs = dicomweb.timeoutSeconds * 1000;
  return { timeoutMs, storeTimeoutMs: timeoutMs };
}
