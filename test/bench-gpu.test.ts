import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkCuda } from '../server/src/inference/cuda/check.ts';
import { repository } from './support/peers.ts';

const { missing } = await checkCuda();

it.skipIf(missing.length === 0)('the GPU benchmark reports no figures without a GPU, and fails', async () => {
  const outcome = await new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [join(repository, 'scripts/bench-gpu.ts')], (error, stdout, stderr) =>
      resolve({ code: error?.code, stdout, stderr }),
    );
  });
  expect(outcome).toMatchObject({ code: 1, stdout: '' });
  expect(outcome.stderr).toMatch(/^Nothing was measured\. CUDA cannot be used/);
  for (const { name } of missing) expect(outcome.stderr).toContain(name);
});
