/** ONNX Runtime sends telemetry by default. Nothing may leave a hospital that the operator has not configured. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { repository } from '../support/peers.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'telemetry-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it.each([
  ['by default', {}],
  ['whatever the environment says', { ORT_DISABLE_TELEMETRY: '0' }],
])('ONNX Runtime starts no telemetry, %s', async (_, more) => {
  // It also keeps quiet under CI and unit tests, so the process gets none of our variables.
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(repository, 'server/src/main.ts'), 'info', '--device', 'cpu'],
    { cwd: folder, env: { HOME: folder, ...more } },
  );
  expect(stdout).toContain('CPUExecutionProvider');
  // Telemetry begins with an identifier of this machine, below HOME or in the working directory.
  expect(await readdir(folder)).toEqual([]);
});
