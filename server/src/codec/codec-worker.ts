/** One task of the codec pool: one frame decoded, encoded, or mapped from stored to stored. */
import { move } from 'piscina';
import { StainError, toStainError } from '../errors.ts';
import { repeatEdges } from '../slide/raster.ts';
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
      readonly frames: readonly StoredFrame[];
      readonly format: FrameFormat;
      readonly colours: ColourMap;
      readonly options: EncodeOptions;
      readonly gate: Gate;
    };

export interface StoredFrame {
  readonly bytes: Uint8Array;
  /** The part of it that lies on the slide: what is beyond is shown to nobody. */
  readonly visible: { readonly width: number; readonly height: number };
}

/**
 * Between decoding, during which the thread may be ended, and encoding, during which it must not be: the native encoder takes
 * the process along. In shared memory: what the thread does, and whether it shall stop; who sets the first decides.
 */
export type Gate = Int32Array;
const [STATE, STOP] = [0, 1] as const;
const [DECODING, ENCODING, ENDED] = [0, 1, 2] as const;

export function newGate(): Gate {
  return new Int32Array(new SharedArrayBuffer(8));
}

/** False where the thread encodes: it stops by itself then, within milliseconds. */
export function mayEnd(gate: Gate): boolean {
  Atomics.store(gate, STOP, 1);
  return Atomics.compareExchange(gate, STATE, DECODING, ENDED) !== ENCODING;
}

/** Errors lose their class on the way between threads, so they travel as values; the cause as its stack, for the log. */
export type CodecAnswer =
  | Uint8Array
  | readonly Uint8Array[]
  | {
      readonly error: Pick<StainError, 'code' | 'message' | 'data'> & { readonly cause: string | undefined };
    };

export default async function run(task: CodecTask): Promise<CodecAnswer> {
  try {
    // Encoded frames are small: they are copied.
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

/** Every frame by itself. What is wrong with one says which it is, 0-based. */
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
      // A hard edge to what pads the frame would ring into what is seen.
      repeatEdges({ width: format.columns, height: format.rows, rgb }, visible.width, visible.height);
      if (Atomics.compareExchange(gate, STATE, DECODING, ENCODING) !== DECODING) throw unwanted();
      mapped.push(await encodeFrame(rgb, options));
      Atomics.store(gate, STATE, DECODING);
      // What is done is given, however late.
      if (i + 1 < frames.length && Atomics.load(gate, STOP) === 1) throw unwanted();
    } catch (error) {
      const { code, message, data, cause } = toStainError(error);
      throw new StainError(code, message, { data: { ...data, inBatch: i }, cause });
    }
  return mapped;
}

function unwanted(): StainError {
  return new StainError('CANCELLED', 'The frames are not wanted any more.');
}
