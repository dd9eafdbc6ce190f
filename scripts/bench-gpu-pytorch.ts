/** The Python side of bench-gpu.ts: 16-bit graphs, and the same networks measured in PyTorch. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { Shape } from './bench-gpu-session.ts';

const row = z.object({
  model: z.string(),
  /** `network` is the network alone, with its input and output on the GPU. */
  graph: z.enum(['statistics', 'apply', 'network']),
  precision: z.enum(['fp32', 'fp16']),
  size: z.number(),
  batch: z.number(),
  megapixelsPerSecond: z.number(),
});
export type PyTorchRow = z.infer<typeof row>;

const versions = z.object({ torch: z.string(), cuda: z.string().nullable(), cudnn: z.number().nullable() });

export interface PyTorchSpeed {
  /** "PyTorch 2.15.0, CUDA 13.0, cuDNN 91002" */
  readonly version: string;
  readonly rows: readonly PyTorchRow[];
}

async function python(module: string, args: readonly string[]): Promise<string> {
  const command = process.env['STAIN_PYTHON'] ?? 'python3';
  const cwd = fileURLToPath(new URL('.', import.meta.url));
  try {
    const { stdout } = await promisify(execFile)(command, ['-m', module, ...args], {
      cwd,
      maxBuffer: 2 ** 24,
    });
    return stdout;
  } catch (cause) {
    const { stderr, message } = cause as Error & { stderr?: string };
    throw new Error(`${module}: ${stderr?.trim().split('\n').at(-1) || message.split('\n', 1)[0]}`, {
      cause,
    });
  }
}

/** Writes the graphs with 16-bit networks. @throws Error without Python, numpy and onnx */
export async function writeHalfGraphs(folder: string): Promise<void> {
  await python('dcgmm.half', ['--out', folder]);
}

/**
 * @param device in PyTorch's notation: cpu, cuda or cuda:N. @throws Error without Python and torch, or without the
 * device
 */
export async function measurePyTorch(
  device: string,
  shapes: readonly Shape[],
  seconds: number,
): Promise<PyTorchSpeed> {
  const wanted = shapes.map(({ size, batch }) => `${size}x${batch}`).join(',');
  const args = ['--device', device, '--seconds', String(seconds), '--shapes', wanted];
  const [first, ...lines] = (await python('dcgmm.torch_speed', args)).trim().split('\n');
  const { torch, cuda, cudnn } = versions.parse(JSON.parse(first!));
  return {
    version: `PyTorch ${torch}${cuda ? `, CUDA ${cuda}, cuDNN ${cudnn}` : ''}`,
    rows: lines.map((line) => row.parse(JSON.parse(line))),
  };
}
