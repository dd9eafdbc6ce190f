/** A real Orthanc with its DICOMweb plugin, on a free port over a temporary folder. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from './free-port.ts';

const PROGRAM = 'Orthanc';
const PLUGIN = [
  '/usr/share/orthanc/plugins/libOrthancDicomWeb.so',
  '/usr/lib/orthanc/libOrthancDicomWeb.so',
].find((path) => existsSync(path));

/** Debian puts the program into /usr/sbin, which is not on everybody's path. */
const environment = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` };

/** What is missing to run Orthanc here; undefined where it can run. In CI it must. */
export const orthancMissing = PLUGIN ? undefined : 'no Orthanc with its DICOMweb plugin';
if (orthancMissing && process.env.CI) throw new Error(`${orthancMissing}; .ci/run installs it`);

export interface RunningOrthanc extends AsyncDisposable {
  /** Root of its DICOMweb service. */
  readonly url: string;
}

export async function startOrthanc(): Promise<RunningOrthanc> {
  const folder = await mkdtemp(join(tmpdir(), 'orthanc-test-'));
  const port = await freePort();
  const configuration = {
    StorageDirectory: join(folder, 'storage'),
    IndexDirectory: join(folder, 'storage'),
    Plugins: [PLUGIN],
    HttpPort: port,
    DicomServerEnabled: false,
    RemoteAccessAllowed: false,
    AuthenticationEnabled: false,
    DicomWeb: { Enable: true, Root: '/dicom-web/' },
  };
  await writeFile(join(folder, 'orthanc.json'), JSON.stringify(configuration));
  const server = spawn(PROGRAM, [join(folder, 'orthanc.json')], { stdio: 'ignore', env: environment });
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

async function untilItAnswers(url: string, orthanc: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 150; tries++) {
    if (orthanc.exitCode !== null) throw new Error(`Orthanc ended with ${orthanc.exitCode}.`);
    const answer = await fetch(`${url}/studies`, { headers: { Accept: 'application/dicom+json' } }).catch(
      () => undefined,
    );
    if (answer?.ok) return;
    await pause(200);
  }
  throw new Error('Orthanc did not start within 30 s.');
}
