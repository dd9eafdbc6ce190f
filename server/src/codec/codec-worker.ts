/** A task of the codec pool: decodes, encodes or maps frames, or counts their glass. */
import { move } from 'piscina';
import { applyColourTable, type ColourTable } from '../../../core/src/codec/colour-table.ts';
import { decodeFrame } from '../../../core/src/codec/decode-frame.ts';
import type { FrameFormat } from '../../../core/src/codec/frame-format.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { type Raster, repeatEdges } from '../../../core/src/image/raster.ts';
import type { Rectangle } from '../../../core/src/image/windows.ts';
import { countGlass, type GlassSearch } from '../slide/glass-map.ts';
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
      readonly frames: readonly PlacedFrame[];
      readonly format: FrameFormat;
      readonly colours: ColourMap;
      readonly options: EncodeOptions;
    }
  | {
      readonly kind: 'glass';
      readonly frames: readonly PlacedFrame[];
      readonly format: FrameFormat;
      readonly table: ColourTable | undefined;
      readonly search: GlassSearch;
    };

export interface CodecTask {
  readonly work: CodecWork;
  readonly gate: ThreadGate;
}

export interface PlacedFrame {
  readonly bytes: Uint8Array;
  /** Where it lies on its level, as far as it is shown. */
  readonly extent: Rectangle;
}

/** Errors lose their class between threads, so they are sent as values; the cause is sent as its stack, for the log. */
export type CodecAnswer =
  | Uint8Array
  | readonly Uint8Array[]
  | readonly Uint16Array[]
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
    if (work.kind === 'glass') return await glass(work, gate);
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

async function map(
  { frames, format, colours, options }: CodecWork & { kind: 'map' },
  gate: ThreadGate,
): Promise<Uint8Array[]> {
  return eachFrame(frames, format, gate, async (raster, { width, height }) => {
    applyColourMap(colours, raster.rgb);
    // A hard edge to the padding would cause ringing in the visible part.
    repeatEdges(raster, width, height);
    closeGate(gate);
    // If it was the last frame, all are returned, even if they are late.
    return encodeFrame(raster.rgb, options);
  });
}

async function glass(
  { frames, format, table, search }: CodecWork & { kind: 'glass' },
  gate: ThreadGate,
): Promise<Uint16Array[]> {
  return eachFrame(frames, format, gate, async (raster, extent) => {
    if (table) applyColourTable(table, raster.rgb);
    return countGlass(raster, extent, search);
  });
}

/** Of the frame that is in work. */
const pixels = new Scratch();

/** Decodes frames one after the other. An error says which frame it is about, 0-based. */
async function eachFrame<T>(
  frames: readonly PlacedFrame[],
  format: FrameFormat,
  gate: ThreadGate,
  work: (raster: Raster, extent: Rectangle) => Promise<T>,
): Promise<T[]> {
  const { rows: height, columns: width } = format;
  const made: T[] = [];
  for (const [i, { bytes, extent }] of frames.entries())
    try {
      openGate(gate);
      const rgb = await decodeFrame(bytes, format, pixels.take(height * width * 3));
      made.push(await work({ width, height, rgb }, extent));
    } catch (error) {
      const { code, message, data, cause } = toStainError(error);
      throw new StainError(code, message, { data: { ...data, inBatch: i }, cause });
    }
  return made;
}
