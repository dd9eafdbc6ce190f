/** A task of the codec pool: decodes, encodes or maps frames. */
import { move } from 'piscina';
import { applyColourTable, type ColourTable } from '../../../core/src/codec/colour-table.ts';
import { decodeFrame } from '../../../core/src/codec/decode-frame.ts';
import type { FrameFormat } from '../../../core/src/codec/frame-format.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { repeatEdges } from '../../../core/src/image/raster.ts';
import { applyColourMap, type ColourMap } from './colour-map.ts';
import { type EncodeOptions, encodeFrame } from './encode-frame.ts';
import { loadNativeCodecs } from './node-codecs.ts';
import { Scratch } from './scratch.ts';
import { closeGate, openGate, requireWanted, type ThreadGate } from './thread-gate.ts';

export type CodecWork =
  | { readonly kind: 'start' }
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
    };

export interface CodecTask {
  readonly work: CodecWork;
  readonly gate: ThreadGate;
}

export interface StoredFrame {
  readonly bytes: Uint8Array;
  /** The part of the frame that lies on the slide: the rest is never shown. */
  readonly visible: { readonly width: number; readonly height: number };
}

/** Errors lose their class between threads, so they are sent as values; the cause is sent as its stack, for the log. */
export type CodecAnswer =
  | Uint8Array
  | readonly Uint8Array[]
  | {
      readonly error: Pick<StainError, 'code' | 'message' | 'data'> & { readonly cause: string | undefined };
    };

export default async function run({ work, gate }: CodecTask): Promise<CodecAnswer> {
  try {
    closeGate(gate);
    await loadNativeCodecs();
    requireWanted(gate);
    if (work.kind === 'start') return [];
    // Encoded frames are small, so they are copied.
    if (work.kind === 'map') return await map(work, gate);
    const bytes =
      work.kind === 'decode' ? await decode(work, gate) : await encodeFrame(work.rgb, work.options);
    return move(bytes) as unknown as Uint8Array;
  } catch (error) {
    const { code, message, data, cause } = toStainError(error);
    return { error: { code, message, data, cause: cause instanceof Error ? cause.stack : undefined } };
  }
}

async function decode(
  { bytes, format, table }: CodecWork & { kind: 'decode' },
  gate: ThreadGate,
): Promise<Uint8Array> {
  openGate(gate);
  const rgb = await decodeFrame(bytes, format);
  if (table) applyColourTable(table, rgb);
  return rgb;
}

/** Of the frame that is being mapped. */
const pixels = new Scratch();

/** Maps each frame separately. An error says which frame it is about, 0-based. */
async function map(
  { frames, format, colours, options }: CodecWork & { kind: 'map' },
  gate: ThreadGate,
): Promise<Uint8Array[]> {
  const mapped: Uint8Array[] = [];
  for (const [i, { bytes, visible }] of frames.entries())
    try {
      openGate(gate);
      const rgb = await decodeFrame(bytes, format, pixels.take(format.rows * format.columns * 3));
      applyColourMap(colours, rgb);
      // A hard edge to the padding would cause ringing in the visible part.
      repeatEdges({ width: format.columns, height: format.rows, rgb }, visible.width, visible.height);
      closeGate(gate);
      // If it was the last frame, all are returned, even if they are late.
      mapped.push(await encodeFrame(rgb, options));
    } catch (error) {
      const { code, message, data, cause } = toStainError(error);
      throw new StainError(code, message, { data: { ...data, inBatch: i }, cause });
    }
  return mapped;
}
