/**
 * The audit trail in a file: one event per line, appended and synced to disk, each chained to the line before
 * (audit-line.ts). The chain continues after a restart, in the new file after a rotation (SIGHUP), and after a line
 * that was torn by a crash or a full disk. What cannot be written is kept and retried.
 */
import { randomUUID } from 'node:crypto';
import { constants, fstat, write } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { invalidSetting } from '../setting.ts';
import type { AuditKey } from './audit-key.ts';
import { beginTrail, nextLine, readLine, type TrailHead } from './audit-line.ts';
import { type Loss, WaitingEvents } from './waiting-events.ts';

const MAX_WAITING = 10_000;
/** Maximum number of lines synced together. */
const LINES_AT_ONCE = 256;
const RETRY_MS = 1000;
/** A pipe that stays full for more attempts than this cannot be written: its reader hangs. */
const PIPE_TRIES = 50;
const PIPE_PAUSE_MS = 20;
/** How long a stopping process waits for a disk that hangs. */
const CLOSE_MS = 5000;
/** The last complete line of a file must lie within this many bytes of its end: a line has a few hundred bytes. */
const TAIL_BYTES = 1 << 20;

export interface AuditFileOptions {
  readonly key?: AuditKey | undefined;
  /** Called when an event is lost. @param isFirst the first since writing last worked */
  onLost(isFirst: boolean): void;
  /** Called at the first failure, and again at the first one after each success. */
  onFault(error: unknown): void;
  /** The event that reports a loss. */
  tell(loss: Loss): object;
}

export class AuditFile {
  readonly #path: string;
  readonly #options: AuditFileOptions;
  readonly #waiting: WaitingEvents<object>;
  readonly #end = new AbortController();
  #file: Appendable;
  /** False for a pipe or the standard output of a container, which cannot be read back or synced. */
  readonly #isFile: boolean;
  #head: TrailHead;
  /** The file ends within a line: start the next one with a line break. */
  #isTorn: boolean;
  #fault: unknown;
  /** Operations on the file run one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #isWriting = false;

  private constructor(
    path: string,
    options: AuditFileOptions,
    file: Appendable,
    isFile: boolean,
    { head, isTorn }: FileEnd,
  ) {
    this.#path = path;
    this.#options = options;
    this.#waiting = new WaitingEvents({ max: MAX_WAITING, ...options });
    this.#file = file;
    this.#isFile = isFile;
    this.#head = head;
    this.#isTorn = isTorn;
  }

  /** @throws CONFIGURATION_INVALID if it cannot be written */
  static async open(path: string, options: AuditFileOptions): Promise<AuditFile> {
    try {
      const file = await openToAppend(path);
      const isFile = (await file.stat()).isFile();
      const end = isFile ? await endOf(path) : { head: beginTrail(randomUUID()), isTorn: false };
      return new AuditFile(path, options, file, isFile, end);
    } catch (cause) {
      throw invalidSetting('audit.file', `${path} cannot be written.`, cause);
    }
  }

  /** The last line on disk. */
  get head(): TrailHead {
    return this.#head;
  }

  /** The error that blocks the trail, if any. */
  get fault(): unknown {
    return this.#fault;
  }

  /** How long the oldest unwritten event has been waiting. */
  get waitsMs(): number {
    return this.#waiting.waitsMs;
  }

  get hasLost(): boolean {
    return this.#waiting.hasLost;
  }

  /** Events are written in call order. */
  append(event: object): void {
    this.#waiting.add(event);
    if (!this.#isWriting) void this.#write();
  }

  /** Continues in a new file under the same name, after the old one was renamed. */
  reopen(): Promise<void> {
    return this.#inTurn(async () => {
      const old = this.#file;
      this.#file = await openToAppend(this.#path);
      if (this.#isFile) this.#isTorn = (await endOf(this.#path)).isTorn;
      await old.close();
    });
  }

  /** All lines so far, since the file was last rotated; undefined for a pipe, which cannot be read back. */
  async read(): Promise<Readable | undefined> {
    if (!this.#isFile) return undefined;
    return this.#inTurn(async () => {
      const file = await open(this.#path, 'r');
      const { size } = await file.stat();
      if (size > 0) return file.createReadStream({ end: size - 1 });
      await file.close();
      return Readable.from([]);
    });
  }

  /** Resolves when everything is written, cannot be written now, or the disk has exceeded its time. */
  async settle(): Promise<void> {
    const late = new AbortController();
    const settled = async (): Promise<void> => {
      while (this.#waiting.length > 0 && !this.#fault && !late.signal.aborted) await this.#turn;
    };
    await Promise.race([settled(), pause(CLOSE_MS, undefined, { signal: late.signal, ref: false })]);
    late.abort();
  }

  /** Whatever is not written by then is lost. */
  async close(): Promise<void> {
    await this.settle();
    this.#end.abort();
    // The disk may have space again by now.
    if (this.#fault && this.#waiting.length > 0) await this.#inTurn(() => this.#writeSome());
    const hasLost = this.#waiting.length > 0;
    if (hasLost) this.#waiting.lose(this.#waiting.length);
    const closed = this.#inTurn(() => this.#file.close());
    // A disk that hangs closes nothing: the process does not wait for it.
    if (hasLost) closed.catch(() => {});
    else await closed;
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(action);
    this.#turn = done.catch(() => {});
    return done;
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    const { signal } = this.#end;
    while (this.#waiting.length > 0 && !signal.aborted) {
      const error = await this.#inTurn(() => this.#writeSome());
      if (error === undefined) {
        this.#fault = undefined;
        continue;
      }
      if (!this.#fault) this.#options.onFault(error);
      this.#fault = error;
      await pause(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
    this.#isWriting = false;
  }

  /** @returns why not everything was written */
  async #writeSome(): Promise<unknown> {
    const heads: { readonly head: TrailHead; readonly end: number }[] = [];
    let text = this.#isTorn ? '\n' : '';
    for (const event of this.#waiting.first(LINES_AT_ONCE)) {
      const line = nextLine(heads.at(-1)?.head ?? this.#head, event, this.#options.key);
      text += `${line.text}\n`;
      heads.push({ head: line.head, end: Buffer.byteLength(text) });
    }
    const bytes = Buffer.from(text);
    let done = 0;
    let failure: unknown;
    try {
      while (done < bytes.length) done += await writeSome(this.#file, bytes, done);
      if (this.#isFile) await this.#file.datasync();
    } catch (error) {
      failure = error ?? new Error('The file cannot be written.');
    }
    // On a disk that filled up, the complete lines stay, and perhaps part of another.
    const whole = heads.findLastIndex(({ end }) => end <= done) + 1;
    if (done > 0) this.#isTorn = done !== (heads[whole - 1]?.end ?? (this.#isTorn ? 1 : 0));
    if (whole > 0) this.#head = heads[whole - 1]!.head;
    this.#waiting.drop(whole);
    return failure;
  }
}

interface FileEnd {
  readonly head: TrailHead;
  readonly isTorn: boolean;
}

/**
 * If nobody reads a pipe, neither opening nor writing may wait: that would block a thread for ever, even at the end of
 * the process. For files O_NONBLOCK has no effect.
 */
async function openToAppend(path: string): Promise<Appendable> {
  const { O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY } = constants;
  try {
    return await open(path, O_APPEND | O_CREAT | O_NONBLOCK | O_WRONLY, 0o600);
  } catch (error) {
    const own = STREAMS[path];
    if (own === undefined) throw error;
    return standardStream(own);
  }
}

/** What the trail needs of a file. */
type Appendable = Pick<FileHandle, 'write' | 'datasync' | 'close' | 'stat'>;

const STREAMS: Readonly<Record<string, number>> = { '/dev/stdout': 1, '/dev/stderr': 2 };

/**
 * A stream that cannot be opened by its name: a socket, as systemd gives it to its services, or a pipe of another user.
 * It stays open, because the log is written to it too.
 */
function standardStream(descriptor: number): Appendable {
  return {
    stat: async () => promisify(fstat)(descriptor),
    write: async (bytes: Buffer, done: number) => promisify(write)(descriptor, bytes, done),
    datasync: async () => {},
    close: async () => {},
  } as Appendable;
}

/** Writes as many bytes as there is room for; a slow reader makes room in a pipe again soon. */
async function writeSome(file: Appendable, bytes: Buffer, done: number): Promise<number> {
  for (let tries = 1; ; tries++)
    try {
      return (await file.write(bytes, done)).bytesWritten;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || tries === PIPE_TRIES) throw error;
      await pause(PIPE_PAUSE_MS);
    }
}

/** The state of the trail at the end of a file. A file without a complete line starts a new trail. */
async function endOf(path: string): Promise<FileEnd> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  const begin = Math.max(0, size - TAIL_BYTES);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(size - begin), 0, size - begin, begin);
  const text = buffer.toString('utf8', 0, bytesRead);
  const isTorn = text !== '' && !text.endsWith('\n');
  const last = text
    .split('\n')
    .reverse()
    .map(readLine)
    .find((line) => line !== undefined);
  if (!last) return { head: beginTrail(randomUUID()), isTorn };
  const { trail, digest } = last;
  const head =
    trail === undefined ? beginTrail(randomUUID(), digest) : { trail, sequence: last.sequence, digest };
  return { head, isTorn };
}
