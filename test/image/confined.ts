/**
 * Runs a command in the files of an image as an orchestrator does that trusts nobody: as the user of the image, on a root
 * that is read-only, without capabilities, with one volume and a /tmp of its own. The network is that of this host.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { BuiltImage } from './built-image.ts';

const CONFINE = `
set -e
root=$1 volume=$2 user=$3 group=$4 folder=$5
shift 5
mount --bind "$root" "$root"
mount --bind "$volume" "$root/var/lib/stain"
mount -t tmpfs tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -o remount,bind,ro "$root"
exec chroot "$root" setpriv --reuid "$user" --regid "$group" --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs \\
  -- env --ignore-environment --chdir="$folder" "$@"
`;

/** The volume begins with what the image has at its place, as a volume of an engine does. */
export function makeVolume({ root }: BuiltImage, folder: string): string {
  execFileSync('cp', ['--archive', join(root, 'var/lib/stain'), folder]);
  return join(folder, 'stain');
}

/** @param environment besides that of the image */
export function runConfined(
  { root, settings }: BuiltImage,
  volume: string,
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): ChildProcess {
  const { Env, User, WorkingDir } = settings;
  const [user, group] = User.split(':') as [string, string];
  const variables = [...Env, ...Object.entries(environment).map(([name, value]) => `${name}=${value}`)];
  return spawn(
    'unshare',
    // A namespace for mounts, and one for processes, which end with the first of them.
    [
      ...['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', CONFINE, 'sh'],
      ...[root, volume, user, group, WorkingDir, ...variables, ...command],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH } },
  );
}
