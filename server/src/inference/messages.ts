/** Messages between the main thread and the inference thread. Pixels are transferred, never copied. */
import type { LinearTables } from '../../../core/src/stain/linear-tables.ts';
import type { DeviceProof } from './device-proof.ts';

export interface WorkerStart {
  readonly graphs: { readonly statistics: Uint8Array; readonly apply: Uint8Array };
  /** ONNX Runtime execution providers, in order of preference. */
  readonly providers: readonly (
    | { readonly name: 'cuda'; readonly deviceId: number }
    | { readonly name: 'cpu' }
  )[];
  readonly threads: number;
  /** Prove this device before work begins (prove-device.ts). */
  readonly prove?:
    | { readonly executionProvider: string; readonly deviceId: number; readonly classes: number }
    | undefined;
}

export type InferenceRequest =
  | {
      readonly kind: 'statistics';
      readonly tile: Uint8Array;
      readonly weight: Uint8Array;
      readonly gain: number;
      readonly width: number;
      readonly height: number;
    }
  | { readonly kind: 'linear'; readonly tile: Uint8Array; readonly tables: LinearTables }
  | {
      readonly kind: 'apply';
      readonly tile: Uint8Array;
      readonly width: number;
      readonly height: number;
      readonly scale: Float32Array;
      readonly offset: Float32Array;
      readonly fade: readonly [number, number];
      readonly blueness: number;
    };

/** Sent last: the thread ends by itself after the previous run. Terminating it from outside would abort the process. */
export interface CloseRequest {
  readonly kind: 'close';
}

export type WorkerMessage =
  /** With the proof, if one was requested. */
  | { readonly kind: 'ready'; readonly proof: DeviceProof | undefined }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'result'; readonly value: Uint8Array | Float64Array }
  | { readonly kind: 'error'; readonly message: string };
