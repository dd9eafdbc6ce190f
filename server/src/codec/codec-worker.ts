/** One task of the codec pool: decode or encode one frame. */
import { move } from 'piscina';
import { type StainError, toStainError } from '../errors.ts';
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
  | { readonly kind: 'encode'; readonly rgb: Uint8Array; readonly options: EncodeOptions };

/** Errors lose their class on the way between threads, so they travel as values; the cause as its stack, for the log. */
export type CodecAnswer =
  | Uint8Array
  | {
      readonly error: Pick<StainError, 'code' | 'message' | 'data'> & { readonly cause: string | undefined };
    };

export default async function run(task: CodecTask): Promise<CodecAnswer> {
  try {
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
