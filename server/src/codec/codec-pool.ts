/** Codecs on worker threads: decoding and encoding never hold up the event loop. Pixels are transferred. */
import { Piscina } from 'piscina';
import { StainError } from '../errors.ts';
import type { CodecAnswer, CodecTask } from './codec-worker.ts';
import type { ColourTable } from './colour-table.ts';
import type { EncodeOptions } from './encode-frame.ts';
import type { FrameFormat } from './frame-format.ts';

export interface DecodeOptions {
  /** Moves the pixels into sRGB, see icc.ts. */
  readonly table: ColourTable | undefined;
  readonly signal: AbortSignal;
}

/**
 * Tasks wait in a queue without a limit: callers bound how many they have under way. Aborting drops the waiting
 * tasks and ends the threads of those that run, so that not even a codestream made to decode for ever holds up
 * a cancellation; the pool starts others.
 */
export class CodecPool {
  readonly #pool: Piscina<CodecTask, CodecAnswer>;

  constructor({ threads }: { readonly threads: number }) {
    this.#pool = new Piscina({
      filename: new URL(
        import.meta.url.endsWith('.ts') ? './codec-worker.ts' : './codec-worker.js',
        import.meta.url,
      ).href,
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: 30_000,
    });
  }

  /**
   * One stored frame to rows x columns x 3 bytes of RGB; `bytes` is transferred and empty afterwards.
   * @throws TRANSFER_SYNTAX_UNSUPPORTED, FRAME_SIZE_MISMATCH, PIXEL_FORMAT_UNSUPPORTED, FRAME_INVALID
   */
  decode(bytes: Uint8Array, format: FrameFormat, { table, signal }: DecodeOptions): Promise<Uint8Array> {
    const own = ownBuffer(bytes);
    return this.#run({ kind: 'decode', bytes: own, format, table }, own.buffer, signal);
  }

  /** RGB to one stored frame; `rgb` is transferred and empty afterwards. */
  encode(rgb: Uint8Array, options: EncodeOptions, signal: AbortSignal): Promise<Uint8Array> {
    const own = ownBuffer(rgb);
    return this.#run({ kind: 'encode', rgb: own, options }, own.buffer, signal);
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }

  async #run(task: CodecTask, buffer: ArrayBufferLike, signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted();
    const answer = await this.#pool
      .run(task, { transferList: [buffer as ArrayBuffer], signal })
      .catch((error: unknown) => {
        // Piscina has an abort error of its own; the reason may be a timeout.
        throw signal.aborted ? signal.reason : error;
      });
    if ('error' in answer)
      throw new StainError(answer.error.code, answer.error.message, { data: { ...answer.error.data } });
    return answer;
  }
}

/**
 * Bytes that lie alone in their buffer: what is transferred is gone, and a neighbour must not go with it.
 * (`slice` of a Node Buffer would be no copy.)
 */
function ownBuffer(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}
