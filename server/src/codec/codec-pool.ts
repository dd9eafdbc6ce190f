/** Codecs on worker threads: decoding and encoding never block the event loop. Pixels are transferred. */
import pLimit, { type LimitFunction } from 'p-limit';
import { Piscina } from 'piscina';
import type { ColourTable } from '../../../core/src/codec/colour-table.ts';
import { type FrameFormat, requireFrameSize } from '../../../core/src/codec/frame-format.ts';
import { StainError } from '../../../core/src/errors.ts';
import { MAX_FRAME_PIXELS } from '../../../core/src/image/raster.ts';
import { Budget, type Reservation } from '../sharing/budget.ts';
import type { GlassSearch } from '../slide/glass-map.ts';
import type { CodecAnswer, CodecTask, CodecWork, PlacedFrame } from './codec-worker.ts';
import type { ColourMap } from './colour-map.ts';
import type { EncodeOptions } from './encode-frame.ts';
import { isNew, mayEnd, newGate } from './thread-gate.ts';

/**
 * For a task: a frame, or a megapixel of small ones. The slowest codec takes about 10 s for a frame of the largest size
 * (`MAX_FRAME_PIXELS`), and several times that on a busy machine.
 */
const TASK_TIME_LIMIT_MS = 60_000;

/**
 * When the caller leaves, a running decode gets this long to finish: frames take milliseconds, and replacing a
 * terminated thread takes a hundred times as long.
 */
const LEAVE_MS = 250;

/** Maximum number of pixels decoded at once, however many threads there are: two frames of the largest size, 600 MB. */
const PIXELS_AT_ONCE = 2 * MAX_FRAME_PIXELS;

const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? './codec-worker.ts' : './codec-worker.js',
  import.meta.url,
);

export interface CodecPoolOptions {
  readonly threads: number;
  /** Time limit for one task, in milliseconds; a thread that exceeds it is terminated. Default one minute. */
  readonly timeLimitMs?: number;
  /** Worker module. Default `codec-worker.ts`. */
  readonly worker?: URL;
}

export interface DecodeOptions {
  /** Converts the pixels to sRGB, see icc.ts. */
  readonly table?: ColourTable | undefined;
  readonly signal: AbortSignal;
}

interface Running {
  /** Whether its thread may be terminated now. */
  isEndable(): boolean;
  /** It has no thread and will get none. */
  fail(): void;
}

export interface MapOptions {
  readonly colours: ColourMap;
  readonly output: EncodeOptions;
  readonly signal: AbortSignal;
}

/**
 * Tasks wait in an unbounded queue: callers bound how many they start. Aborting drops waiting tasks and soon terminates
 * threads that are decoding, so that even a codestream made to decode for ever occupies no thread. A thread that
 * exceeds the time limit is terminated too, and a thread that crashes costs only its own frame; both are replaced.
 *
 * A thread that loads native code or encodes is never terminated, see thread-gate.ts. Encoding works on our own pixels
 * and takes milliseconds.
 */
export class CodecPool {
  readonly #pool: Piscina<CodecTask, CodecAnswer>;
  /** Piscina starts no thread for tasks in its own queue when one is terminated, so nothing waits there. */
  readonly #slots: LimitFunction;
  readonly #pixels = new Budget(PIXELS_AT_ONCE);
  readonly #timeLimitMs: number;
  readonly #running = new Map<Promise<unknown>, Running>();
  #closed = false;
  /** Why a thread did not start. */
  #startFault: unknown;

  constructor({ threads, timeLimitMs = TASK_TIME_LIMIT_MS, worker = WORKER }: CodecPoolOptions) {
    this.#slots = pLimit(threads);
    this.#timeLimitMs = timeLimitMs;
    this.#pool = new Piscina({
      filename: worker.href,
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: 30_000,
    });
    // Without a listener the process would end. Tasks wait for the other threads, if there are any.
    this.#pool.on('error', (cause) => {
      this.#startFault = cause;
      if (this.#pool.threads.length === 0) for (const { fail } of this.#running.values()) fail();
    });
  }

  /** Number of pixels being decoded now. */
  get pixels(): number {
    return this.#pixels.used;
  }

  /** Starts the threads while frames are still to come: each takes a tenth of a second. */
  start(signal: AbortSignal): void {
    // One that cannot start is reported with the first frame.
    for (let missing = this.#slots.concurrency - this.#pool.threads.length; missing > 0; missing--)
      this.#run({ kind: 'start' }, [], signal).catch(() => {});
  }

  /**
   * Decodes a stored frame to rows x columns x 3 bytes of RGB; `bytes` is transferred and empty afterwards.
   * @throws TRANSFER_SYNTAX_UNSUPPORTED, FRAME_SIZE_MISMATCH, PIXEL_FORMAT_UNSUPPORTED, FRAME_INVALID
   */
  async decode(
    bytes: Uint8Array,
    format: FrameFormat,
    { table, signal }: DecodeOptions,
  ): Promise<Uint8Array> {
    requireFrameSize(format);
    const pixels = await this.#pixels.reserve(format.rows * format.columns, signal);
    const own = ownBuffer(bytes);
    const work = { kind: 'decode', bytes: own, format, table } as const;
    return (await this.#run(work, [own.buffer], signal, pixels)) as Uint8Array;
  }

  /** Encodes RGB as a stored frame; `rgb` is transferred and empty afterwards. */
  async encode(rgb: Uint8Array, options: EncodeOptions, signal: AbortSignal): Promise<Uint8Array> {
    const own = ownBuffer(rgb);
    return (await this.#run({ kind: 'encode', rgb: own, options }, [own.buffer], signal)) as Uint8Array;
  }

  /**
   * Maps the colours of stored frames, one after the other in one thread; `frames` are transferred. A thread waits for
   * its next task as long as the event loop is busy, so pass several frames at a time, about a megapixel in total.
   * @throws whatever `decode` throws; `data.inBatch` is the index of the frame, 0-based
   */
  map(
    frames: readonly PlacedFrame[],
    format: FrameFormat,
    { colours, output, signal }: MapOptions,
  ): Promise<readonly Uint8Array[]> {
    const work = { kind: 'map', frames, format, colours, options: output } as const;
    return this.#together(work, signal) as Promise<readonly Uint8Array[]>;
  }

  /** Counts the glass of stored frames, see `countGlass`; their pixels stay in the thread. For the rest like `map`. */
  countGlass(
    frames: readonly PlacedFrame[],
    format: FrameFormat,
    search: GlassSearch,
    { table, signal }: DecodeOptions,
  ): Promise<readonly Uint16Array[]> {
    const work = { kind: 'glass', frames, format, table, search } as const;
    return this.#together(work, signal) as Promise<readonly Uint16Array[]>;
  }

  async #together(
    work: CodecWork & { readonly kind: 'map' | 'glass' },
    signal: AbortSignal,
  ): Promise<Exclude<CodecAnswer, { error: unknown }>> {
    const { frames, format } = work;
    requireFrameSize(format);
    // One frame after the other is decoded.
    const pixels = await this.#pixels.reserve(format.rows * format.columns, signal);
    const own = frames.map(({ bytes, extent }) => ({ bytes: ownBuffer(bytes), extent }));
    const buffers = own.map(({ bytes }) => bytes.buffer);
    return this.#run({ ...work, frames: own }, buffers, signal, pixels);
  }

  /** Terminates the threads; running tasks fail with SHUTTING_DOWN. */
  async close(): Promise<void> {
    this.#closed = true;
    const busy = [...this.#running].filter(([, { isEndable }]) => !isEndable()).map(([answer]) => answer);
    await Promise.allSettled(busy);
    await this.#pool.destroy();
  }

  /** @param pixels returned when no thread needs them any more, which may be after the caller has left */
  async #run(
    work: CodecWork,
    buffers: readonly ArrayBufferLike[],
    signal: AbortSignal,
    pixels?: Reservation,
  ): Promise<Exclude<CodecAnswer, { error: unknown }>> {
    if (signal.aborted) {
      pixels?.[Symbol.dispose]();
      throw signal.reason;
    }
    const end = new AbortController();
    const cancelled = Promise.withResolvers<never>();
    const cancel = (): void => {
      end.abort();
      cancelled.reject(signal.reason);
    };
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const result = this.#slots(() => this.#inThread(work, buffers, end)).finally(() =>
        pixels?.[Symbol.dispose](),
      );
      const answer = await Promise.race([result, cancelled.promise]);
      if (!('error' in answer)) return answer;
      const { code, message, data, cause } = answer.error;
      throw new StainError(code, message, { data: { ...data }, cause });
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  /** @param end terminates the thread of a decoding task; also fired by its time limit */
  async #inThread(
    work: CodecWork,
    buffers: readonly ArrayBufferLike[],
    end: AbortController,
  ): Promise<CodecAnswer> {
    end.signal.throwIfAborted();
    // Waiting tasks would start new threads.
    if (this.#closed) throw shuttingDown();
    const task: CodecTask = { work, gate: newGate() };
    const isEndable = (): boolean => mayEnd(task.gate);
    const thread = new AbortController();
    let [isLate, isWithoutThread] = [false, false];
    let leaving: NodeJS.Timeout | undefined;
    const endThread = (): void => {
      isWithoutThread = isNew(task.gate);
      if (isEndable()) thread.abort();
    };
    end.signal.addEventListener('abort', () => {
      leaving = setTimeout(endThread, isLate ? 0 : LEAVE_MS);
    });
    const timer = setTimeout(() => {
      isLate = true;
      end.abort();
    }, this.#timeLimitMs);
    const answer = this.#pool.run(task, {
      transferList: buffers as ArrayBuffer[],
      signal: thread.signal,
    });
    this.#running.set(answer, { isEndable, fail: endThread });
    const failed = (what: string, more: { cause?: unknown; data?: StainError['data'] }): StainError =>
      new StainError('FRAME_INVALID', `A frame ${what}.`, more);
    const tooLong = `kept its codec busy for more than ${this.#timeLimitMs / 1000} s`;
    let given: CodecAnswer;
    try {
      given = await answer;
    } catch (cause) {
      // Errors of the codecs are returned as answers: if something is thrown, the thread is gone.
      if (this.#closed) throw shuttingDown(cause);
      if (isWithoutThread && this.#startFault !== undefined)
        throw new StainError('INTERNAL', 'A codec thread cannot start.', { cause: this.#startFault });
      throw failed(isLate ? tooLong : 'crashed its codec', { cause });
    } finally {
      clearTimeout(timer);
      clearTimeout(leaving);
      this.#running.delete(answer);
    }
    // It stopped by itself, between two frames.
    if ('error' in given && given.error.code === 'CANCELLED') {
      if (this.#closed) throw shuttingDown();
      // Not necessarily by the fault of the frame that is named: it was the next one.
      if (isLate) throw failed(tooLong, {});
    }
    return given;
  }
}

function shuttingDown(cause?: unknown): StainError {
  return new StainError('SHUTTING_DOWN', 'The codecs are being shut down.', { cause });
}

/**
 * Bytes alone in their buffer: whatever is transferred is gone, and its neighbours must not go with it.
 * (`slice` of a Node Buffer would not copy.)
 */
function ownBuffer(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}
