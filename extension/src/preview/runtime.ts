/** ONNX Runtime in the browser: WebGPU if there is a device for it, WebAssembly otherwise. Loaded at first use. */
import type { InferenceSession, Tensor } from 'onnxruntime-web';

type Runtime = typeof import('onnxruntime-web');

export interface OpenRuntime {
  readonly executionProvider: 'webgpu' | 'wasm';
  readonly Tensor: Runtime['Tensor'];
  session(graph: Uint8Array): Promise<InferenceSession>;
}

export type { Tensor };

const MAX_THREADS = 4;

export async function openRuntime(wasmPaths: string): Promise<OpenRuntime> {
  const executionProvider = (await hasWebGpu()) ? 'webgpu' : 'wasm';
  const runtime = (
    executionProvider === 'webgpu'
      ? await import('onnxruntime-web/webgpu')
      : await import('onnxruntime-web/wasm')
  ) as Runtime;
  runtime.env.wasm.wasmPaths = wasmPaths;
  // Threads need shared memory, which a page has only when it is isolated (COOP and COEP).
  runtime.env.wasm.numThreads = crossOriginIsolated
    ? Math.min(MAX_THREADS, navigator.hardwareConcurrency)
    : 1;
  runtime.env.logLevel = 'fatal';
  return {
    executionProvider,
    Tensor: runtime.Tensor,
    session: (graph) =>
      runtime.InferenceSession.create(graph, {
        executionProviders: executionProvider === 'webgpu' ? ['webgpu', 'wasm'] : ['wasm'],
        logSeverityLevel: 4,
      }),
  };
}

async function hasWebGpu(): Promise<boolean> {
  const { gpu } = navigator as {
    gpu?: {
      requestAdapter(): Promise<{
        isFallbackAdapter?: boolean;
        info?: { isFallbackAdapter?: boolean };
      } | null>;
    };
  };
  const adapter = await gpu?.requestAdapter().catch(() => null);
  // A software device is slower than WebAssembly.
  return !!adapter && !(adapter.isFallbackAdapter ?? adapter.info?.isFallbackAdapter);
}
