/**
 * Compresses static files once and keeps the result beside them, so that no request has to: 38 MB of scripts become 5
 * MB on the network.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { constants, createBrotliCompress, createGzip } from 'node:zlib';
import { mapAtOnce } from '../sharing/map-at-once.ts';

const TEXTS = new Set(['.css', '.html', '.js', '.json', '.map', '.mjs', '.svg', '.wasm']);
/** For smaller files the headers alone take a few hundred bytes. */
const MIN_BYTES = 1024;
/**
 * Browsers accept Brotli only over TLS or from their own host, gzip always. Higher qualities take minutes to save
 * another tenth.
 */
const ENCODERS = {
  '.br': () => createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }),
  '.gz': () => createGzip(),
} as const;
const AT_ONCE = 2;

/** Writes FILE.br and FILE.gz for every file of a folder that lacks them. Each is either complete or absent. */
export async function compressFolder(folder: string, signal?: AbortSignal): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && TEXTS.has(extname(entry.name)))
    .map(({ parentPath, name }) => join(parentPath, name));
  await mapAtOnce(files, AT_ONCE, (file) => compressFile(file, signal));
}

async function compressFile(file: string, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  const { size, mtimeMs } = await stat(file);
  if (size < MIN_BYTES) return;
  for (const [end, encoder] of Object.entries(ENCODERS)) {
    const compressed = `${file}${end}`;
    const found = await stat(compressed).catch(() => undefined);
    if (found && found.mtimeMs >= mtimeMs) continue;
    const incoming = `${compressed}.${randomUUID()}`;
    try {
      await pipeline(createReadStream(file), encoder(), createWriteStream(incoming), { signal });
      await rename(incoming, compressed);
    } finally {
      await rm(incoming, { force: true });
    }
  }
}
