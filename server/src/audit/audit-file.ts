/**
 * The audit trail in a file: one event a line, appended and put on the disk. Each line carries the SHA-256 of the one
 * before, so that a line that was changed, removed or put in is noticed. After a rotation (SIGHUP) the chain goes on in
 * the new file.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { invalidSetting } from '../setting.ts';

/** What the first line of a trail follows. */
const BEGINNING = '0'.repeat(64);

interface Line {
  readonly previous: string;
  readonly event: object;
}

export class AuditFile {
  readonly #path: string;
  readonly #isFile: boolean;
  #file: FileHandle;
  #last: string;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, file: FileHandle, isFile: boolean, last: string) {
    this.#path = path;
    this.#isFile = isFile;
    this.#file = file;
    this.#last = last;
  }

  /** @throws CONFIGURATION_INVALID when it cannot be written */
  static async open(path: string): Promise<AuditFile> {
    try {
      const file = await openToAppend(path);
      // A pipe or the standard output of a container is no file: nothing can be read back or be put on a disk.
      const isFile = (await file.stat()).isFile();
      return new AuditFile(path, file, isFile, (isFile && (await lastLine(path))) || BEGINNING);
    } catch (cause) {
      throw invalidSetting('audit.file', `${path} cannot be written.`, cause);
    }
  }

  /** Resolves when the event is on the disk. Events are written in the order of the calls. */
  append(event: object): Promise<void> {
    const line = JSON.stringify({ previous: this.#last, event } satisfies Line);
    this.#last = sha256(line);
    const written = this.#writing.then(async () => {
      await this.#file.appendFile(`${line}\n`);
      if (this.#isFile) await this.#file.datasync();
    });
    // One that could not be written must not keep the next from it.
    this.#writing = written.catch(() => {});
    return written;
  }

  /** Goes on in a new file under the same name, after the old one was renamed. */
  async reopen(): Promise<void> {
    await this.#writing;
    const old = this.#file;
    this.#file = await openToAppend(this.#path);
    await old.close();
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#file.close();
  }
}

export interface AuditVerification {
  readonly events: number;
  /** 1-based number of the first line, over all files, that does not follow the one before; undefined in a whole trail. */
  readonly brokenAt: number | undefined;
}

/** Follows the chain through the files of a trail, oldest first. */
export async function verifyAuditFiles(paths: readonly string[]): Promise<AuditVerification> {
  let expected: string | undefined;
  let events = 0;
  for (const path of paths)
    for await (const line of linesOf(path)) {
      events++;
      const previous = previousOf(line);
      // Where the oldest files are gone, the trail begins with whatever line is the first.
      if (previous === undefined || (expected !== undefined && previous !== expected))
        return { events, brokenAt: events };
      expected = sha256(line);
    }
  return { events, brokenAt: undefined };
}

function previousOf(line: string): string | undefined {
  try {
    return (JSON.parse(line) as Partial<Line>).previous;
  } catch {
    return undefined;
  }
}

function openToAppend(path: string): Promise<FileHandle> {
  return open(path, 'a', 0o600);
}

/** SHA-256 of the last line of a file; undefined where it is empty. */
async function lastLine(path: string): Promise<string | undefined> {
  let last: string | undefined;
  for await (const line of linesOf(path)) last = line;
  return last === undefined ? undefined : sha256(last);
}

async function* linesOf(path: string): AsyncGenerator<string> {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity }))
    if (line !== '') yield line;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
