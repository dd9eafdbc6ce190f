/**
 * Whether pixel data are there to their end. Nothing else is checked, unlike in `openPart10`: an archive also holds
 * videos and images of packed bits.
 */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { StainError } from '../../../core/src/errors.ts';
import type { ValueLocation } from './dataset-reader.ts';
import { inflateFile } from './deflated.ts';
import { FileWindow } from './file-window.ts';
import { requireWholeFragments } from './fragment-index.ts';

export interface PixelDataLocation extends Omit<ValueLocation, 'tag'> {
  /** The position is one in the inflated file. */
  readonly isDeflated: boolean;
  readonly numberOfFrames: number;
}

/** @throws DICOM_INVALID if the file ends within its pixel data, the reason of the signal */
export async function requireWholePixelData(
  path: string,
  { offset, length, isDeflated, numberOfFrames }: PixelDataLocation,
  signal: AbortSignal,
): Promise<void> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (length === undefined)
      return await requireWholeFragments(new FileWindow(file, size), offset, numberOfFrames, signal);
    const end = offset + length;
    if (isDeflated ? (await inflatedSize(path, end, signal)) < end : size < end)
      throw new StainError('DICOM_INVALID', `The file ends at byte ${size}, before its Pixel Data end.`);
  } finally {
    await file.close();
  }
}

/** No more is inflated than is asked for: any amount may follow. @throws DICOM_INVALID for a stream that is cut off */
async function inflatedSize(path: string, enough: number, signal: AbortSignal): Promise<number> {
  let size = 0;
  for await (const chunk of inflateFile(createReadStream(path))) {
    signal.throwIfAborted();
    size += chunk.length;
    if (size >= enough) break;
  }
  return size;
}
