/** A deflated file, inflated into a private folder while it is open, so that its frames can be read in any order. */
import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { StainError } from '../../../core/src/errors.ts';
import { inflateFile } from '../dicom/deflated.ts';
import { type OpenOptions, openPart10, type Part10File } from '../dicom/part10-file.ts';

/** A folder that is removed with its files. */
export interface PrivateFolder extends AsyncDisposable {
  newFile(name: string): string;
  /** Call before writing bytes. @throws SPOOL_FULL, SPOOL_TOO_SMALL */
  take(bytes: number): Promise<void>;
}

export interface InflateOptions {
  makeFolder(): Promise<PrivateFolder>;
  /** Maximum size of an inflated file. */
  readonly maxInstanceBytes: number;
}

/**
 * @throws SLIDE_TOO_LARGE, the errors of the folder, DICOM_INVALID and whatever else `openPart10` throws; no file is
 * left then
 */
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
          `A deflated instance expands beyond the limit of ${maxInstanceBytes} bytes.`,
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
