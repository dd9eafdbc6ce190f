/** An archive as given on the command line: a DICOMweb URL, or a folder served by the embedded archive. */

import { randomBytes } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import express, { type NextFunction, type Request, type Response, type Router } from 'express';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { createArchive } from '../archive/archive.ts';
import type { LeftOutFiles } from '../archive/folder-index.ts';
import { archiveCredentials } from '../auth/archive-credentials.ts';
import type { Config } from '../config.ts';
import { createDicomWebClient, type DicomWebClient, type DicomWebClientOptions } from '../dicomweb/client.ts';
import { liftBodyDeadline } from '../http/client-time.ts';
import { listen } from '../http/listen.ts';
import type { SeriesReference } from '../pipeline/series-reference.ts';
import { createTemporarySpool } from '../spool/spool.ts';
import { readTlsFiles } from '../tls.ts';
import { sendProblem } from '../web/problem.ts';

export interface ArchiveLocation extends AsyncDisposable {
  readonly client: DicomWebClient;
  /** Name for messages: the URL without credentials, or the folder. */
  readonly name: string;
  /** Router of the embedded archive. */
  readonly router?: Router;
  /** Files in the folder that cannot be slides, and why. */
  readonly leftOut: readonly LeftOutFiles[];
  /** For a folder: when the newest file of a series was written, as of now; milliseconds since 1970. */
  changedAtMs?(series: SeriesReference): Promise<number>;
}

/** @param create creates the folder if it is missing (for a destination) */
export async function openArchiveLocation(
  location: string,
  config: Config,
  { create, ...options }: { create: boolean } & Pick<DicomWebClientOptions, 'onAnswer' | 'maxMetadataBytes'>,
): Promise<ArchiveLocation> {
  if (/^https?:/i.test(location)) {
    const credentials = isConfiguredArchive(location, config)
      ? archiveCredentials(config.dicomweb, await readTlsFiles('dicomweb.tls', config.dicomweb.tls))
      : undefined;
    const client = createDicomWebClient({
      url: location,
      ...timeouts(config),
      ...options,
      ...(credentials && { headers: credentials.service, tls: credentials.tls }),
    });
    const { origin, pathname } = new URL(location);
    return { client, name: `${origin}${pathname}`, leftOut: [], [Symbol.asyncDispose]: () => client.close() };
  }
  // The folder is for slides of patients: if we create it, only we can read it; an existing one keeps its mode.
  if (create)
    await mkdir(location, { recursive: true, mode: 0o700 }).catch((cause: NodeJS.ErrnoException) => {
      throw new StainError('REQUEST_INVALID', `The folder "${location}" cannot be created (${cause.code}).`, {
        cause,
      });
    });
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
  // A slide of which only some levels were found would be taken for a smaller slide.
  await archive.rescan();
  // The product reads its own archive over HTTP like any other, so that there is only one path for data. This address
  // has no login for other users of the host, and needs none: it accepts only a secret known to this process.
  const authorization = `Bearer ${randomBytes(32).toString('base64url')}`;
  const server = await listen(
    express()
      .use((request, response, next) => {
        if (request.headers.authorization !== authorization) return void response.status(401).end();
        // A slide is stored in one request.
        liftBodyDeadline(request);
        next();
      })
      .use('/dicom-web', archive.router)
      // The client is this process, and reports the error; express would print it to the terminal.
      .use((thrown: unknown, _request: Request, response: Response, _next: NextFunction) =>
        sendProblem(response, toStainError(thrown)),
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

/** Headers and client certificate are credentials for one archive, which no other may see. */
function isConfiguredArchive(location: string, { dicomweb }: Config): boolean {
  return dicomweb.url !== undefined && new URL(dicomweb.url).origin === new URL(location).origin;
}

function timeouts({ dicomweb }: Config): Pick<DicomWebClientOptions, 'timeoutMs' | 'storeTimeoutMs'> {
  const timeoutMs = dicomweb.timeoutSeconds * 1000;
  return { timeoutMs, storeTimeoutMs: timeoutMs };
}
