/** A real Orthanc with its DICOMweb plugin, on a free port, over a temporary folder. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isBrief } from './brief.ts';
import { freePort } from './free-port.ts';
import { repository } from './peers.ts';

export interface Orthanc {
  /** Name and version, or what is missing if tests are skipped: for their titles. */
  readonly name: string;
  /** What is missing to run it here. Undefined if it can run, and in CI, where starting it fails instead. */
  readonly missing: string | undefined;
  readonly program: string;
  readonly plugin: string;
}

/** As Debian installs it. */
export const installedOrthanc = orthanc('Orthanc', '/usr/sbin/Orthanc', '/usr/share/orthanc/plugins');

const NEWER = process.env.STAIN_ORTHANC ?? join(repository, '.orthanc');
/** The one of a later Debian, as .ci/newer-orthanc unpacks it. */
export const newerOrthanc = orthanc(
  'newer Orthanc',
  join(NEWER, 'Orthanc'),
  join(NEWER, 'usr/share/orthanc/plugins'),
);

/** Those that are tested alike. */
export const orthancs = isBrief ? [installedOrthanc] : [installedOrthanc, newerOrthanc];

/** For tests that work with any Orthanc. */
export const orthancMissing = installedOrthanc.missing;

function orthanc(what: string, program: string, plugins: string): Orthanc {
  const plugin = join(plugins, 'libOrthancDicomWeb.so');
  if (existsSync(program) && existsSync(plugin)) {
    const version = /Orthanc (\S+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[1];
    return { name: `Orthanc ${version}`, missing: undefined, program, plugin };
  }
  const missing = process.env.CI ? undefined : `no ${what} with its DICOMweb plugin`;
  return { name: missing ? `${what} (skipped: ${missing})` : what, missing, program, plugin };
}

export interface RunningOrthanc extends AsyncDisposable {
  /** Root of its DICOMweb service. */
  readonly url: string;
}

/** @param dicomWeb settings of the plugin @param settings of Orthanc itself */
export async function startOrthanc(
  { name, program, plugin }: Orthanc = installedOrthanc,
  dicomWeb: Readonly<Record<string, unknown>> = {},
  settings: Readonly<Record<string, unknown>> = {},
): Promise<RunningOrthanc> {
  for (const path of [program, plugin])
    if (!existsSync(path)) throw new Error(`There is no ${name} here (${path}); .ci/run installs it.`);
  const folder = await mkdtemp(join(tmpdir(), 'orthanc-test-'));
  const port = await freePort();
  const configuration = {
    StorageDirectory: join(folder, 'storage'),
    IndexDirectory: join(folder, 'storage'),
    Plugins: [plugin],
    HttpPort: port,
    DicomServerEnabled: false,
    RemoteAccessAllowed: false,
    AuthenticationEnabled: false,
    ...settings,
    DicomWeb: { Enable: true, Root: '/dicom-web/', ...dicomWeb },
    ...settings,
  };
  await writeFile(join(folder, 'orthanc.json'), JSON.stringify(configuration));
  const server = spawn(program, [join(folder, 'orthanc.json')], { stdio: 'ignore' });
  const stop = async (): Promise<void> => {
    if (server.exitCode === null) {
      server.kill('SIGKILL');
      await once(server, 'exit');
    }
    await rm(folder, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}/dicom-web`;
  try {
    await untilItAnswers(url, server);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, [Symbol.asyncDispose]: stop };
}

/** Stores the sample slide. */
export async function sendSample({ url }: RunningOrthanc): Promise<void> {
  const folder = join(repository, 'scripts/sample');
  for (const name of await readdir(folder))
    if (name.endsWith('.dcm'))
      await fetch(url.replace('/dicom-web', '/instances'), {
        method: 'POST',
        body: await readFile(join(folder, name)),
      });
}

async function untilItAnswers(url: string, orthanc: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 150; tries++) {
    if (orthanc.exitCode !== null) throw new Error(`Orthanc ended with ${orthanc.exitCode}.`);
    const answer = await fetch(`${url}/studies`, { headers: { Accept: 'application/dicom+json' } }).catch(
      () => undefined,
    );
    // One with users asks who is there.
    if (answer?.ok || answer?.status === 401) return;
    await pause(200);
  }
  throw new Error('Orthanc did not start within 30 s.');
}
