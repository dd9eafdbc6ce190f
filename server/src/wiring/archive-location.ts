/** Archives as commands and the configuration name them: by name, as a DICOMweb URL, or as a folder, which is served. */

import { randomBytes } from 'node:crypto';
import { mkdtemp, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import express, { type NextFunction, type Request, type Response, type Router } from 'express';
import { DEFAULT_ARCHIVE } from '../../../core/src/contract/default-archive.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { createArchive } from '../archive/archive.ts';
import type { LeftOutFiles } from '../archive/folder-index.ts';
import {
  type ArchiveSettings,
  defaultArchiveSettings,
  namedArchiveSettings,
} from '../auth/archive-settings.ts';
import { archiveNames, type Config, type NamedArchive } from '../config.ts';
import { ArchiveHabits } from '../dicomweb/archive-habits.ts';
import { createDicomWebClient, type DicomWebClient, type DicomWebClientOptions } from '../dicomweb/client.ts';
import { parseRoot } from '../dicomweb/connection.ts';
import { namedClient } from '../dicomweb/named-client.ts';
import { liftBodyDeadline } from '../http/client-time.ts';
import { listen } from '../http/listen.ts';
import { makeFolder } from '../make-folder.ts';
import type { SeriesReference, SlideReference } from '../pipeline/series-reference.ts';
import { invalidSetting } from '../setting.ts';
import { createTemporarySpool } from '../spool/spool.ts';
import { sendProblem } from '../web/problem.ts';

export interface ArchiveLocation extends AsyncDisposable {
  readonly client: DicomWebClient;
  /** Its name in the configuration, if it is one of `archives`. */
  readonly archive?: string;
  /** If the configuration describes it: `dicomweb` or one of `archives`. */
  readonly settings?: ArchiveSettings | undefined;
  /** Name for messages: the URL without credentials, or the folder. */
  readonly name: string;
  /** Router of the embedded archive. */
  readonly router?: Router;
  /** Files in the folder that cannot be slides, and why. */
  readonly leftOut: readonly LeftOutFiles[];
  /** For a folder: when the newest file of a series was written, as of now; milliseconds since 1970. */
  changedAtMs?(series: SeriesReference): Promise<number>;
  /** For a folder: the slide's file, its own folder or its first file, by its path in the folder. May name a patient. */
  fileOf?(slide: SlideReference): string | undefined;
}

export interface OpenOptions extends Pick<DicomWebClientOptions, 'onAnswer' | 'maxMetadataBytes'> {
  /** Whether a folder is created if it is missing. */
  readonly create: boolean;
  /** Whether something is to be stored there, so that a read-only archive is refused. Default: `create`. */
  readonly stores?: boolean;
}

/**
 * Opens the archive that a command or the configuration names: one of `archives`, `default`, a URL or a folder.
 * @throws CONFIGURATION_INVALID, REQUEST_INVALID, ARCHIVE_READ_ONLY
 */
export async function openArchiveLocation(
  location: string,
  config: Config,
  options: OpenOptions,
): Promise<ArchiveLocation> {
  const { stores = options.create } = options;
  const named = Object.hasOwn(config.archives, location) ? config.archives[location] : undefined;
  if (named) {
    if (stores) requireWritable(location, named);
    return openUrl(named.url, config, options, {
      archive: location,
      settings: await namedArchiveSettings(location, named),
    });
  }
  const { dicomweb } = config;
  const place = location === DEFAULT_ARCHIVE ? (dicomweb.url ?? config.archive.folder) : location;
  if (!/^https?:/i.test(place)) {
    const fault: FolderFault = (why, cause) =>
      location === DEFAULT_ARCHIVE
        ? invalidSetting('archive.folder', `the folder ${why}`, cause)
        : new StainError('REQUEST_INVALID', `The folder "${place}" ${why}`, { cause });
    return openFolder(place, config, { ...options, stores }, fault);
  }
  // Its address is no way round its name.
  if (stores)
    for (const [name, archive] of Object.entries(config.archives))
      if (parseRoot(archive.url).href === parseRoot(place).href) requireWritable(name, archive);
  // Headers and client certificate are credentials for one archive, which no other may see.
  const isConfigured = dicomweb.url !== undefined && new URL(dicomweb.url).origin === new URL(place).origin;
  const settings = isConfigured
    ? await defaultArchiveSettings({ ...dicomweb, url: dicomweb.url! })
    : undefined;
  return openUrl(place, config, options, { settings });
}

/** @throws ARCHIVE_READ_ONLY */
export function requireWritable(name: string, { isReadOnly }: Pick<NamedArchive, 'isReadOnly'>): void {
  if (isReadOnly)
    throw new StainError('ARCHIVE_READ_ONLY', `Nothing may be stored in the archive "${name}".`, {
      data: { archive: name },
    });
}

function openUrl(
  url: string,
  { dicomweb }: Config,
  { onAnswer, maxMetadataBytes }: OpenOptions,
  known: Pick<ArchiveLocation, 'archive' | 'settings'>,
): ArchiveLocation {
  const { credentials, profile, timeoutSeconds = dicomweb.timeoutSeconds } = known.settings ?? {};
  const client = createDicomWebClient({
    url,
    ...timeouts(timeoutSeconds),
    onAnswer,
    ...(maxMetadataBytes !== undefined && { maxMetadataBytes }),
    habits: new ArchiveHabits(profile),
    ...(credentials && { headers: credentials.service, ...credentials.reach }),
  });
  const { origin, pathname } = new URL(url);
  return {
    ...known,
    client: known.archive === undefined ? client : namedClient(client, known.archive),
    name: `${origin}${pathname}`,
    leftOut: [],
    [Symbol.asyncDispose]: () => client.close(),
  };
}

/** What is wrong with a folder, for whoever named it. @param why the end of a sentence */
type FolderFault = (why: string, cause: unknown) => StainError;

/** Found out before hours of work, not after them. @throws what `fault` makes */
async function requireWritableFolder(folder: string, fault: FolderFault): Promise<void> {
  try {
    // Permissions alone do not tell: the file system may be read-only.
    await rmdir(await mkdtemp(join(folder, '.write-test-')));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw fault(`cannot be written (${code}).`, cause);
  }
}

async function openFolder(
  location: string,
  config: Config,
  { create, stores, ...options }: OpenOptions,
  fault: FolderFault,
): Promise<ArchiveLocation> {
  // The folder is for slides of patients: if we create it, only we can read it; an existing one keeps its mode.
  if (create)
    await makeFolder(location, 0o700).catch((cause: NodeJS.ErrnoException) => {
      throw fault(`cannot be created (${cause.code}).`, cause);
    });
  const found = await stat(location).catch(() => undefined);
  if (found?.isFile())
    throw new StainError(
      'REQUEST_INVALID',
      `"${location}" is a file; name the folder with all files of the slide.`,
    );
  if (!found?.isDirectory())
    throw new StainError(
      'REQUEST_INVALID',
      `"${location}" is neither a folder, an http(s) URL nor an archive of the configuration (${archiveNames(config).join(', ')}).`,
    );
  if (stores) await requireWritableFolder(location, fault);
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
    ...timeouts(config.dicomweb.timeoutSeconds),
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
    fileOf: ({ studyInstanceUid, seriesInstanceUid, slide }) =>
      archive.placeOf(studyInstanceUid, seriesInstanceUid, slide),
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
      await archive.close();
    },
  };
}

function timeouts(seconds: number): Pick<DicomWebClientOptions, 'timeoutMs' | 'storeTimeoutMs'> {
  const timeoutMs = seconds * 1000;
  return { timeoutMs, storeTimeoutMs: timeoutMs };
}
