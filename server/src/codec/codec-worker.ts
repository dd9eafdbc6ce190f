/** A task of the codec pool: decodes, encodes or maps frames. */
import './node-codecs.ts';
import { move } from 'piscina';
import { applyColourTable, type ColourTable } from '../../../core/src/codec/colour-table.ts';
import { decodeFrame } from '../../../core/src/codec/decode-frame.ts';
import type { FrameFormat } from '../../../core/src/codec/frame-format.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { repeatEdges } from '../../../core/src/image/raster.ts';
import { applyColourMap, type ColourMap } from './colour-map.ts';
import { type EncodeOptions, encodeFrame } from './encode-frame.ts';

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
      readonly frames: readonly StoredFrame[];
      readonly format: FrameFormat;
      readonly colours: ColourMap;
      readonly options: EncodeOptions;
      readonly gate: Gate;
    };

export interface StoredFrame {
  readonly bytes: Uint8Array;
  /** The part of the frame that lies on the slide: the rest is never shown. */
  readonly visible: { readonly width: number; readonly height: number };
}

/**
 * The gate between decoding, during which the thread may be terminated, and encoding, during which it must not: the
 * native encoder would take the process down. In shared memory: what the thread is doing, and whether it should stop;
 * whoever sets it first decides.
 */
export type Gate = Int32Array;
const [STATE, STOP] = [0, 1] as const;
const [DECODING, ENCODING, ENDED] = [0, 1, 2] as const;

export function newGate(): Gate {
  return new Int32Array(new SharedArrayBuffer(8));
}

/** False while the thread encodes: it then stops by itself, within milliseconds. */
export function mayEnd(gate: Gate): boolean {
  Atomics.store(gate, STOP, 1);
  return Atomics.compareExchange(gate, STATE, DECODING, ENDED) !== ENCODING;
}

/** Errors lose their class between threads, so they are sent as values; the cause is sent as its stack, for the log. */
export type CodecAnswer =
  | Uint8Array
  | readonly Uint8Array[]
  | {
      readonly error: Pick<StainError, 'code' | 'message' | 'data'> & { readonly cause: string | undefined };
    };

export default async function run(task: CodecTask): Promise<CodecAnswer> {
  try {
    // Encoded frames are small, so they are copied.
    if (task.kind === 'map') return await map(task);
    const bytes = task.kind === 'decode' ? await decode(task) : await encodeFrame(task.rgb, task.options);
    return move(bytes) as unknown as Uint8Array;
  } catch (error) {
    const { code, message, data, cause } = toStainError(error);
    return { error: { code, message, data, cause: cause instanceof Error ? cause.stack : undefined } };
  }
}

async function decode({ bytes, format, table }: CodecTask & { kind: 'decode' }): Promise<Uint8Array> {
  const rgb = await decodeFrame(bytes, format);
  if (table) applyColourTable(table, rgb);
  return rgb;
}

/** Maps each frame separately. An error says which frame it is about, 0-based. */
async function map({
  frames,
  format,
  colours,
  options,
  gate,
}: CodecTask & { kind: 'map' }): Promise<Uint8Array[]> {
  const mapped: Uint8Array[] = [];
  for (const [i, { bytes, visible }] of frames.entries())
    try {
      const rgb = await decodeFrame(bytes, format);
      applyColourMap(colours, rgb);
      // A hard edge to the padding would cause ringing in the visible part.
      repeatEdges({ width: format.columns, height: format.rows, rgb }, visible.width, visible.height);
      if (Atomics.compareExchange(gate, STATE, DECODING, ENCODING) !== DECODING) throw unwanted();
      mapped.push(await encodeFrame(rgb, options));
      Atomics.store(gate, STATE, DECODING);
      // If all frames are done, return them, even if they are late.
      if (i + 1 < frames.length && Atomics.load(gate, STOP) === 1) throw unwanted();
    } catch (error) {
      const { code, message, data, cause } = toStainError(error);
      throw new StainError(code, message, { data: { ...data, inBatch: i }, cause });
    }
  return mapped;
}

function unwanted(): StainError {
  return new StainError('CANCELLED', 'The frames are no longer wanted.');
}
