/**
 * The container image, built by buildah as the Dockerfile says. The base image is STAIN_NODE_IMAGE, or, where no registry
 * can be reached, one that mmdebstrap makes from Debian's packages, with the Node and npm that run this test.
 */
import { execFile, execFileSync } from 'node:child_process';
import { cp, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { repository } from '../support/peers.ts';

const IMAGE = 'localhost/stain-normalization:test';
const BASE = 'localhost/stain-normalization-base:test';
/** What a build says, npm's part included. */
const MAX_OUTPUT = 64 << 20;

/** What is missing to build it here, for the title of tests that are skipped. */
export const imageMissing =
  missingProgram() ?? (process.getuid?.() === 0 ? undefined : 'only root can mount it');

function missingProgram(): string | undefined {
  const programs = ['buildah', ...(process.env.STAIN_NODE_IMAGE ? [] : ['mmdebstrap']), 'unshare', 'setpriv'];
  const missing = programs.find((program) => {
    try {
      execFileSync('sh', ['-c', `command -v ${program}`]);
      return false;
    } catch {
      return true;
    }
  });
  return missing && `no ${missing}`;
}

/** As the image states them. */
export interface ImageSettings {
  readonly Env: readonly string[];
  readonly User: string;
  readonly WorkingDir: string;
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly Healthcheck: { readonly Test: readonly string[] };
}

export interface BuiltImage extends AsyncDisposable {
  /** Its files. */
  readonly root: string;
  readonly settings: ImageSettings;
  readonly megabytes: number;
}

export async function buildImage(signal: AbortSignal): Promise<BuiltImage> {
  const folder = await mkdtemp(join(tmpdir(), 'stain-image-'));
  const env = {
    ...process.env,
    BUILDAH_ISOLATION: 'chroot',
    STORAGE_DRIVER: process.env.STORAGE_DRIVER ?? 'overlay',
  };
  const store = ['--root', join(folder, 'store'), '--runroot', join(folder, 'run')];
  const buildah = async (...given: string[]): Promise<string> => {
    const all = [...store, ...given];
    const { stdout } = await promisify(execFile)('buildah', all, { env, signal, maxBuffer: MAX_OUTPUT });
    return stdout.trim();
  };
  let container: string | undefined;
  const dispose = async (): Promise<void> => {
    if (container) await buildah('umount', container).catch(() => {});
    // Layers belong to users that only buildah's own removal knows how to remove.
    await buildah('rm', '--all').catch(() => {});
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const node = process.env.STAIN_NODE_IMAGE ?? (await makeBase(folder, buildah));
    // An inspecting proxy: whatever Node trusts here, the build trusts too.
    const ca = process.env.NODE_EXTRA_CA_CERTS;
    await buildah(
      ...['bud', '--format', 'docker', '--tag', IMAGE, '--build-arg', `NODE_IMAGE=${node}`],
      ...(ca ? ['--secret', `id=ca,src=${ca}`] : []),
      repository,
    );
    const { Docker } = JSON.parse(await buildah('inspect', '--type', 'image', IMAGE));
    const [{ size }] = JSON.parse(await buildah('images', '--json', IMAGE));
    container = await buildah('from', '--pull-never', IMAGE);
    return {
      root: await buildah('mount', container),
      settings: Docker.config,
      megabytes: Number.parseFloat(size) * (String(size).endsWith('GB') ? 1000 : 1),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** A Debian with Node and npm, which is what the Dockerfile wants of its base. */
async function makeBase(folder: string, buildah: (...given: string[]) => Promise<string>): Promise<string> {
  const context = join(folder, 'base');
  await cp(process.execPath, join(context, 'node'));
  await cp(await npmFolder(), join(context, 'npm'), { recursive: true, dereference: true });
  await promisify(execFile)(
    'mmdebstrap',
    [
      '--variant=minbase',
      '--include=ca-certificates,libstdc++6,libatomic1',
      'bookworm',
      join(context, 'debian.tar'),
    ],
    { maxBuffer: MAX_OUTPUT },
  );
  await writeFile(
    join(context, 'Dockerfile'),
    `FROM scratch
ADD debian.tar /
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
`,
  );
  await buildah('bud', '--tag', BASE, context);
  return BASE;
}

/** npm's own folder: it tells scripts that it runs where it is. */
async function npmFolder(): Promise<string> {
  const npm =
    process.env.npm_execpath ?? execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim();
  return dirname(dirname(await realpath(npm)));
}
