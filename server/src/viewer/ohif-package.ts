/** The prebuilt viewer: the npm package @ohif/app, fetched once, checked, and unpacked into a folder of its own. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import * as tar from 'tar';
import { StainError } from '../errors.ts';

export interface ViewerRelease {
  readonly version: string;
  /** Subresource integrity of the package file (sha512-...); without it the package is taken as it comes. */
  readonly integrity?: string;
}

/** The release that the plugin was tested with. */
export const OHIF: ViewerRelease = {
  version: '3.13.2',
  integrity:
    'sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==',
};

export interface OhifOptions {
  /** Where viewers are kept, one folder a version. */
  readonly directory: string;
  /** A package file that lies here already, for hosts that reach no registry. */
  readonly archive?: string | undefined;
  readonly release?: ViewerRelease;
  readonly signal: AbortSignal;
}

const run = promisify(execFile);

/** Answers the folder with the viewer's index.html. @throws VIEWER_UNAVAILABLE, CANCELLED */
export async function ensureOhif({
  archive,
  release = OHIF,
  signal,
  ...options
}: OhifOptions): Promise<string> {
  // npm works in a folder of its own, in which a relative path would lead elsewhere.
  const directory = resolve(options.directory);
  const home = join(directory, `ohif-${release.version}`);
  const dist = join(home, 'dist');
  if (await isThere(join(dist, 'index.html'))) return dist;
  await mkdir(directory, { recursive: true });
  const work = await mkdtemp(join(directory, '.incoming-'));
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
    if (!(await isThere(join(unpacked, 'dist/index.html')))) throw new Error('it holds no viewer');
    // Whoever comes second finds the folder in its place.
    await rename(unpacked, home).catch(async (error: unknown) => {
      if (!(await isThere(join(dist, 'index.html')))) throw error;
    });
    return dist;
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (cause instanceof StainError) throw cause;
    const why = (cause as Error).message.split('\n', 1)[0];
    throw new StainError(
      'VIEWER_UNAVAILABLE',
      `The viewer @ohif/app ${release.version} cannot be had: ${why}.`,
      {
        cause,
      },
    );
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function download(version: string, folder: string, signal: AbortSignal): Promise<string> {
  await run('npm', ['pack', `@ohif/app@${version}`, '--silent', '--pack-destination', folder], {
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
