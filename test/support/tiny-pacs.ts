/** tiny_pacs, an archive in Python that has nothing in common with Orthanc, on free ports, with all it holds in memory. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from './free-port.ts';
import { peer, repository } from './peers.ts';

const PROGRAM = process.env.STAIN_TINY_PACS ?? join(repository, '.venv/bin/tiny-pacs');

export const tinyPacs = peer('tiny-pacs of test/interop/requirements.txt', existsSync(PROGRAM));

export interface RunningTinyPacs extends AsyncDisposable {
  /** Root of its DICOMweb service. */
  readonly url: string;
}

/** @param token that it asks for */
export async function startTinyPacs(token: string): Promise<RunningTinyPacs> {
  const folder = await mkdtemp(join(tmpdir(), 'tiny-pacs-test-'));
  const [dimse, port] = [await freePort(), await freePort()];
  const configuration = {
    ae: { ae_title: ['TINY'], port: dimse },
    components: {
      HttpServer: { on: true, host: '127.0.0.1', port },
      DICOMWeb: { on: true, auth: 'token', tokens: [token] },
    },
  };
  // JSON is YAML too.
  await writeFile(join(folder, 'config.yaml'), JSON.stringify(configuration));
  const server = spawn(PROGRAM, ['run', '-c', 'config.yaml'], { cwd: folder, stdio: 'ignore' });
  const stop = async (): Promise<void> => {
    if (server.exitCode === null) {
      server.kill('SIGKILL');
      await once(server, 'exit');
    }
    await rm(folder, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}/dicomweb`;
  for (let tries = 0; tries < 150 && server.exitCode === null; tries++) {
    if (await fetch(`${url}/studies`).catch(() => undefined)) return { url, [Symbol.asyncDispose]: stop };
    await pause(200);
  }
  await stop();
  throw new Error('tiny_pacs did not start within 30 s.');
}
