/** Codecs on worker threads: decoding and encoding never hold up the event loop. Pixels are transferred. */
import pLimit, { type LimitFunction } from 'p-limit';
import { Piscina } from 'piscina';
import { Budget } from '../budget.ts';
import { StainError } from '../errors.ts';
import { MAX_FRAME_PIXELS } from '../slide/raster.ts';
import { type CodecAnswer, type CodecTask, mayEnd, newGate, type StoredFrame } from './codec-worker.ts';
import type { ColourMap } from './colour-map.ts';
import type { ColourTable } from './colour-table.ts';
import type { EncodeOptions } from './encode-frame.ts';
import { type FrameFormat, requireFrameSize } from './frame-format.ts';

/** The slowest codec takes about 10 s for a frame of the largest size (`MAX_FRAME_PIXELS`), on a busy machine several times that. */
const FRAME_TIME_LIMIT_MS = 60_000;

/** Pixels that are decoded at the same time, however many threads there are: two frames of the largest size, 600 MB. */
const PIXELS_AT_ONCE = 2 * MAX_FRAME_PIXELS;

const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? './codec-worker.ts' : './codec-worker.js',
  import.meta.url,
);

export interface CodecPoolOptions {
  readonly threads: number;
  /** Longest time for one frame, in milliseconds; the thread that exceeds it is ended. Default one minute. */
  readonly timeLimitMs?: number;
  /** Module of the threads. Default `codec-worker.ts`. */
  readonly worker?: URL;
}

export interface DecodeOptions {
  /** Moves the pixels into sRGB, see icc.ts. */
  readonly table: ColourTable | undefined;
  readonly signal: AbortSignal;
}

export interface MapOptions {
  readonly colours: ColourMap;
  readonly output: EncodeOptions;
  readonly signal: AbortSignal;
}

/**
 * Tasks wait in a queue without a limit: callers bound how many they have under way. Aborting drops the waiting
 * tasks and ends the threads of those that decode, so that not even a codestream made to decode for ever holds up
 * a cancellation. A thread that exceeds the time limit is ended too, and one that breaks down costs its frame and
 * nothing else: others take the place of both.
 *
 * A thread that encodes is never ended: the encoder of JPEG is native code, which takes the process down when its thread
 * goes while it runs. It works on our own pixels and for milliseconds. A task that does both has a gate between the two.
 */
export class CodecPool {
  readonly #pool: Piscina<CodecTask, CodecAnswer>;
  /** Piscina starts no thread for what waits in its own queue when one is ended, so nothing waits there. */
  readonly #slots: LimitFunction;
  readonly #pixels = new Budget(PIXELS_AT_ONCE);
  readonly #timeLimitMs: number;
  /** What runs, and whether its thread may be ended now. */
  readonly #running = new Map<Promise<unknown>, () => boolean>();
  #closed = false;

  constructor({ threads, timeLimitMs = FRAME_TIME_LIMIT_MS, worker = WORKER }: CodecPoolOptions) {
    this.#slots = pLimit(threads);
    this.#timeLimitMs = timeLimitMs;
    this.#pool = new Piscina({
      filename: worker.href,
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: 30_000,
    });
  }

  /** Pixels that are decoded now. */
  get pixels(): number {
    return this.#pixels.used;
  }

  /**
   * One stored frame to rows x columns x 3 bytes of RGB; `bytes` is transferred and empty afterwards.
   * @throws TRANSFER_SYNTAX_UNSUPPORTED, FRAME_SIZE_MISMATCH, PIXEL_FORMAT_UNSUPPORTED, FRAME_INVALID
   */
  async decode(
    bytes: Uint8Array,
    format: FrameFormat,
    { table, signal }: DecodeOptions,
  ): Promise<Uint8Array> {
    requireFrameSize(format);
    using _pixels = await this.#pixels.reserve(format.rows * format.columns, signal);
    const own = ownBuffer(bytes);
    const task = { kind: 'decode', bytes: own, format, table } as const;
    return (await this.#run(task, [own.buffer], signal)) as Uint8Array;
  }

  /** RGB to one stored frame; `rgb` is transferred and empty afterwards. */
  async encode(rgb: Uint8Array, options: EncodeOptions, signal: AbortSignal): Promise<Uint8Array> {
    const own = ownBuffer(rgb);
    return (await this.#run({ kind: 'encode', rgb: own, options }, [own.buffer], signal)) as Uint8Array;
  }

  /**
   * Stored frames to others with their colours moved, one after the other in one thread; `frames` are transferred. A thread waits
   * for its next task as long as the event loop is busy: some frames at a time, of a megapixel together, keep it at work.
   * @throws what `decode` throws; `data.inBatch` says with which frame, 0-based
   */
  async map(
    frames: readonly StoredFrame[],
    format: FrameFormat,
    { colours, output, signal }: MapOptions,
  ): Promise<readonly Uint8Array[]> {
    requireFrameSize(format);
    using _pixels = await this.#pixels.reserve(format.rows * format.columns, signal);
    const own = frames.map(({ bytes, visible }) => ({ bytes: ownBuffer(bytes), visible }));
    return (await this.#run(
      { kind: 'map', frames: own, format, colours, options: output, gate: newGate() },
      own.map(({ bytes }) => bytes.buffer),
      signal,
    )) as readonly Uint8Array[];
  }

  /** Ends the threads; tasks under way fail with SHUTTING_DOWN. */
  async close(): Promise<void> {
    this.#closed = true;
    const encoding = [...this.#running].filter(([, isEndable]) => !isEndable()).map(([answer]) => answer);
    await Promise.allSettled(encoding);
    await this.#pool.destroy();
  }

  async #run(
    task: CodecTask,
    buffers: readonly ArrayBufferLike[],
    signal: AbortSignal,
  ): Promise<Exclude<CodecAnswer, { error: unknown }>> {
    signal.throwIfAborted();
    const end = new AbortController();
    const cancelled = Promise.withResolvers<never>();
    const cancel = (): void => {
      end.abort();
      cancelled.reject(signal.reason);
    };
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const result = this.#slots(() => this.#inThread(task, buffers, end));
      const answer = await Promise.race([result, cancelled.promise]);
      if (!('error' in answer)) return answer;
      const { code, message, data, cause } = answer.error;
      throw new StainError(code, message, { data: { ...data }, cause });
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  /** @param end ends the thread of a task that is decoding; its time limit fires it as well */
  async #inThread(
    task: CodecTask,
    buffers: readonly ArrayBufferLike[],
    end: AbortController,
  ): Promise<CodecAnswer> {
    end.signal.throwIfAborted();
    // What waited would start new threads.
    if (this.#closed) throw shuttingDown();
    const isEndable = (): boolean => task.kind === 'decode' || (task.kind === 'map' && mayEnd(task.gate));
    const thread = new AbortController();
    end.signal.addEventListener('abort', () => isEndable() && thread.abort());
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      end.abort();
    }, this.#timeLimitMs);
    const answer = this.#pool.run(task, {
      transferList: buffers as ArrayBuffer[],
      signal: thread.signal,
    });
    this.#running.set(answer, isEndable);
    const failed = (what: string, more: { cause?: unknown; data?: StainError['data'] }): StainError =>
      new StainError('FRAME_INVALID', `A frame ${what}.`, more);
    const tooLong = `kept its codec busy for more than ${this.#timeLimitMs / 1000} s`;
    let given: CodecAnswer;
    try {
      given = await answer;
    } catch (cause) {
      // Errors of the codecs are answers: what is thrown says that the thread is no more.
      if (this.#closed) throw shuttingDown(cause);
      throw failed(isLate ? tooLong : 'made its codec break down', { cause });
    } finally {
      clearTimeout(timer);
      this.#running.delete(answer);
    }
    // It stopped by itself, between two frames.
    if ('error' in given && given.error.code === 'CANCELLED') {
      if (this.#closed) throw shuttingDown();
      if (isLate) throw failed(tooLong, { data: given.error.data });
    }
    return given;
  }
}

function shuttingDown(cause?: unknown): StainError {
  return new StainError('SHUTTING_DOWN', 'The codecs are being shut down.', { cause });
}

/**
 * Bytes that lie alone in their buffer: what is transferred is gone, and a neighbour must not go with it.
 * (`slice` of a Node Buffer would be no copy.)
 */
function ownBuffer(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}
