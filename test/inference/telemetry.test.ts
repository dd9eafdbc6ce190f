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

const ENVIRONMENTS = [
  ['by default', {}],
  ['whatever the environment says', { ORT_DISABLE_TELEMETRY: '0' }],
] as const;

it.each(ENVIRONMENTS)('ONNX Runtime starts no telemetry, %s', async (_, more) => {
  expect(await said(more, join(repository, 'server/src/main.ts'), 'info', '--device', 'cpu')).toContain(
    'CPUExecutionProvider',
  );
  await expectNoTelemetry();
});

it.each(ENVIRONMENTS)('and none in the benchmark of sessions, %s', async (_, more) => {
  const graph = join(repository, 'models/onnx/fast.statistics.onnx');
  const script = `import { openMeasuredSession } from ${JSON.stringify(join(repository, 'scripts/bench-gpu-session.ts'))};
    const start = { graph: ${JSON.stringify(graph)}, kind: 'statistics', providers: ['cpu'], threads: 1, classes: 3 };
    await (await openMeasuredSession(start)).close();
    console.log('opened');`;
  expect(await said(more, '-e', script)).toContain('opened');
  await expectNoTelemetry();
});

/**
 * It also keeps quiet under CI and unit tests, so the process gets none of our variables, but for the one that lets the product
 * keep no compiled code in HOME.
 */
async function said(more: Readonly<Record<string, string>>, ...args: string[]): Promise<string> {
  const env = { HOME: folder, NODE_DISABLE_COMPILE_CACHE: '1', ...more };
  return (await promisify(execFile)(process.execPath, args, { cwd: folder, env })).stdout;
}

async function expectNoTelemetry(): Promise<void> {
  // Telemetry begins with an identifier of this machine, below HOME or in the working directory.
  expect(await readdir(folder)).toEqual([]);
}
