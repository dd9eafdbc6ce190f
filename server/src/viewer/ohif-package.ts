/**
 * The prebuilt viewer: downloads the npm package @ohif/app once, verifies it and unpacks it into a folder of its own.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import * as tar from 'tar';
import { StainError } from '../../../core/src/errors.ts';
import { makeFolder } from '../make-folder.ts';
import { compressFolder } from './compress-folder.ts';

export interface ViewerRelease {
  readonly version: string;
  /** Subresource integrity of the package file (sha512-...); if undefined, the package is not verified. */
  readonly integrity?: string;
}

/** The release with which the plugin was tested. */
export const OHIF: ViewerRelease = {
  version: '3.13.2',
  integrity:
    'sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==',
};

export interface OhifOptions {
  /** Folder of the viewers, with one subfolder per version. */
  readonly directory: string;
  /** A local package file, for hosts that cannot reach a registry. */
  readonly archive?: string | undefined;
  readonly release?: ViewerRelease;
  readonly signal: AbortSignal;
}

const run = promisify(execFile);

/** Returns the folder with the viewer's index.html. @throws VIEWER_UNAVAILABLE, CANCELLED */
export async function ensureOhif({
  archive,
  release = OHIF,
  signal,
  ...options
}: OhifOptions): Promise<string> {
  // npm runs in a folder of its own, where a relative path would point elsewhere.
  const directory = resolve(options.directory);
  const home = join(directory, `ohif-${release.version}`);
  const dist = join(home, 'dist');
  if (await isThere(join(dist, 'index.html'))) {
    // Unpacked by an older version of this product. If the folder is read-only, it is served uncompressed.
    if (!(await isThere(join(dist, 'index.html.gz')))) await compressFolder(dist, signal).catch(() => {});
    return dist;
  }
  const failed = (cause: unknown): StainError => {
    const { message, stderr } = cause as Error & { readonly stderr?: string };
    const ofNpm = stderr && /^npm error code (\S+)/m.exec(stderr)?.[1];
    const why = ofNpm ? `npm ended with ${ofNpm}` : message.split('\n', 1)[0];
    return new StainError(
      'VIEWER_UNAVAILABLE',
      `The viewer @ohif/app ${release.version} could not be installed: ${why}.`,
      { cause },
    );
  };
  const work = await makeFolder(directory)
    .then(() => mkdtemp(join(directory, '.incoming-')))
    .catch((cause: unknown) => {
      throw failed(cause);
    });
  try {
    const file = archive ?? (await download(release.version, work, signal));
    await verify(file, release);
    const unpacked = join(work, 'unpacked');
    await mkdir(unpacked);
    await tar.extract({
      file,
      cwd: unpacked,
      strip: 1,
      filter: (path, entry) =>
        !('type' in entry && entry.type === 'SymbolicLink') && /^package\/(dist\/|LICENSE)/.test(path),
    });
    if (!(await isThere(join(unpacked, 'dist/index.html')))) throw new Error('it contains no viewer');
    await compressFolder(join(unpacked, 'dist'), signal);
    // If another process was faster, its folder is already there.
    await rename(unpacked, home).catch(async (error: unknown) => {
      if (!(await isThere(join(dist, 'index.html')))) throw error;
    });
    return dist;
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (cause instanceof StainError) throw cause;
    throw failed(cause);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function download(version: string, folder: string, signal: AbortSignal): Promise<string> {
  // Users wait for the service meanwhile: one attempt, and no more than a minute of silence.
  const quickly = ['--fetch-retries=0', '--fetch-timeout=60000'];
  const quietly = ['--loglevel=error', '--no-update-notifier'];
  // The user of a service may have no home, where npm has its cache.
  const into = ['--cache', join(folder, 'cache'), '--pack-destination', folder];
  await run('npm', ['pack', `@ohif/app@${version}`, ...quickly, ...quietly, ...into], {
    cwd: folder,
    signal,
  });
  const file = (await readdir(folder)).find((name) => name.endsWith('.tgz'));
  if (!file) throw new Error('npm fetched no file');
  return join(folder, file);
}

async function verify(file: string, { version, integrity }: ViewerRelease): Promise<void> {
  if (!integrity) return;
  const actual = `sha512-${createHash('sha512')
    .update(await readFile(file))
    .digest('base64')}`;
  if (actual !== integrity)
    throw new StainError(
      'VIEWER_UNAVAILABLE',
      `The package file is not @ohif/app ${version}, or it is damaged.`,
      {
        data: { expected: integrity, actual },
      },
    );
}

export const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
