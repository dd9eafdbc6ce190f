/** One task of the codec pool: one frame decoded, encoded, or mapped from stored to stored. */
import { move } from 'piscina';
import { StainError, toStainError } from '../errors.ts';
import { applyColourMap, type ColourMap } from './colour-map.ts';
import { applyColourTable, type ColourTable } from './colour-table.ts';
import { decodeFrame } from './decode-frame.ts';
import { type EncodeOptions, encodeFrame } from './encode-frame.ts';
import type { FrameFormat } from './frame-format.ts';

export type CodecTask =
  | {
      readonly kind: 'decode';
      readonly bytes: Uint8Array;
      readonly format: FrameFormat;
      readonly table: ColourTable | undefined;
    }
  | { readonly kind: 'encode'; readonly rgb: Uint8Array; readonly options: EncodeOptions }
  | {
      readonly kind: 'map';
      readonly bytes: Uint8Array;
      readonly format: FrameFormat;
      readonly colours: ColourMap;
      readonly options: EncodeOptions;
      readonly gate: Gate;
    };

/**
 * Between decoding, during which the thread may be ended, and encoding, during which it must not be: the native encoder takes
 * the process along. One number in shared memory; who sets it first decides.
 */
export type Gate = Int32Array;
const [OPEN, ENCODING, ENDED] = [0, 1, 2];

export function newGate(): Gate {
  return new Int32Array(new SharedArrayBuffer(4));
}

/** False where the thread encodes already: it is done within milliseconds. */
export function mayEnd(gate: Gate): boolean {
  return Atomics.compareExchange(gate, 0, OPEN!, ENDED!) !== ENCODING;
}

/** Errors lose their class on the way between threads, so they travel as values; the cause as its stack, for the log. */
export type CodecAnswer =
  | Uint8Array
  | {
      readonly error: Pick<StainError, 'code' | 'message' | 'data'> & { readonly cause: string | undefined };
    };

export default async function run(task: CodecTask): Promise<CodecAnswer> {
  try {
    return move(await bytesOf(task)) as unknown as Uint8Array;
  } catch (error) {
    const { code, message, data, cause } = toStainError(error);
    return { error: { code, message, data, cause: cause instanceof Error ? cause.stack : undefined } };
  }
}

async function bytesOf(task: CodecTask): Promise<Uint8Array> {
  if (task.kind === 'encode') return encodeFrame(task.rgb, task.options);
  const rgb = await decodeFrame(task.bytes, task.format);
  if (task.kind === 'decode') {
    if (task.table) applyColourTable(task.table, rgb);
    return rgb;
  }
  applyColourMap(task.colours, rgb);
  if (Atomics.compareExchange(task.gate, 0, OPEN!, ENCODING!) !== OPEN)
    throw new StainError('CANCELLED', 'The frame is not wanted any more.');
  return encodeFrame(rgb, task.options);
}
