/** A deflated file, inflated into a private folder for as long as it is open: its frames can then be read at random. */
import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { inflateFile } from '../dicom/deflated.ts';
import { type OpenOptions, openPart10, type Part10File } from '../dicom/part10-file.ts';
import { StainError } from '../errors.ts';

/** It is removed with its files. */
export interface PrivateFolder extends AsyncDisposable {
  newFile(name: string): string;
  /** Before bytes are written. @throws SPOOL_FULL, SPOOL_TOO_SMALL */
  take(bytes: number): Promise<void>;
}

export interface InflateOptions {
  makeFolder(): Promise<PrivateFolder>;
  /** Largest inflated file. */
  readonly maxInstanceBytes: number;
}

/** @throws SLIDE_TOO_LARGE, those of the folder, DICOM_INVALID and what else `openPart10` throws; nothing is left then */
export async function openInflated(
  path: string,
  { makeFolder, maxInstanceBytes }: InflateOptions,
  options: OpenOptions & { readonly signal: AbortSignal },
): Promise<Part10File> {
  await using cleanup = new AsyncDisposableStack();
  const folder = cleanup.use(await makeFolder());
  const copy = folder.newFile('inflated');
  async function* bounded(): AsyncIterable<Uint8Array> {
    let bytes = 0;
    for await (const chunk of inflateFile(createReadStream(path))) {
      bytes += chunk.length;
      if (bytes > maxInstanceBytes)
        throw new StainError(
          'SLIDE_TOO_LARGE',
          `A deflated instance holds more than the limit of ${maxInstanceBytes} bytes.`,
          { data: { limit: maxInstanceBytes } },
        );
      await folder.take(chunk.length);
      yield chunk;
    }
  }
  await pipeline(bounded, createWriteStream(copy, { flags: 'wx', mode: 0o600 }), { signal: options.signal });
  const file = cleanup.use(await openPart10(copy, options));
  const held = cleanup.move();
  const close = (): Promise<void> => held.disposeAsync();
  return { ...file, close, [Symbol.asyncDispose]: close };
}
