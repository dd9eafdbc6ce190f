/** What a slide takes in the spool, as far as metadata tell: archives announce no sizes. */
import { uncompressedSize } from '../codec/codestream-syntax.ts';
import type { Level, SlideInstance } from '../slide/types.ts';
import type { NeededRoom } from './spool.ts';
import type { OutputEncoding } from './types.ts';

export const UNCOMPRESSED: ReadonlySet<string> = new Set(['1.2.840.10008.1.2', '1.2.840.10008.1.2.1']);
/** JPEG baseline and extended; the syntaxes of JPEG-LS, JPEG 2000 and HTJ2K that allow loss. */
export const LOSSY: ReadonlySet<string> = new Set(
  ['50', '51', '81', '91', '203'].map((end) => `1.2.840.10008.1.2.4.${end}`),
);

/** The header of an instance, and for each frame its position and the entry in the offset table. */
const HEADER_BYTES = 64 * 1024;
const HEADER_BYTES_PER_FRAME = 512;
/** Parts of the raw size: JPEG at quality 90 stays below a third, no slide is known that is compressed to a hundredth. */
const LOSSY_PART = 1 / 3;
const LEAST_PART = 1 / 100;
/** Of the result, where it is lossless: most of the raw size. */
const LOSSLESS_PART = 0.8;

export const NOTHING: NeededRoom = { least: 0, likely: 0 };

export function sum(...all: readonly NeededRoom[]): NeededRoom {
  return all.reduce((a, b) => ({ least: a.least + b.least, likely: a.likely + b.likely }), NOTHING);
}

/**
 * One instance as the archive sends it. Exact for uncompressed frames but for its header; the raw size for those that are
 * compressed without loss, or nobody knows how; a third of it for those compressed with loss.
 */
export function instanceRoom({ rows, columns }: Level, instance: SlideInstance): NeededRoom {
  const { dataset, numberOfFrames } = instance;
  const header = HEADER_BYTES + numberOfFrames * HEADER_BYTES_PER_FRAME;
  // Archives need not give it.
  const syntaxes = dataset.strings('AvailableTransferSyntaxUID');
  if (syntaxes.length > 0 && syntaxes.every((syntax) => UNCOMPRESSED.has(syntax))) {
    const photometricInterpretation = dataset.string('PhotometricInterpretation') ?? 'RGB';
    const exact = numberOfFrames * uncompressedSize({ rows, columns, photometricInterpretation });
    return { least: exact, likely: exact + header };
  }
  const raw = numberOfFrames * rows * columns * 3;
  const isLossy =
    syntaxes.length > 0
      ? syntaxes.every((syntax) => LOSSY.has(syntax))
      : dataset.string('LossyImageCompression') === '01';
  return { least: raw * LEAST_PART, likely: (isLossy ? raw * LOSSY_PART : raw) + header };
}

/** The encoded frames of the result, and the checkpoint: the tiles that are begun, while it is written anew. */
export function resultRoom(images: readonly Level[], encoding: OutputEncoding): NeededRoom {
  const raw = images.reduce(
    (bytes, { frames, rows, columns }) => bytes + frames.length * rows * columns * 3,
    0,
  );
  const tileRows = images.reduce((bytes, { rows, totalColumns }) => bytes + rows * totalColumns * 3, 0);
  return {
    least: raw * LEAST_PART,
    likely: raw * (encoding === 'jpeg' ? LOSSY_PART : LOSSLESS_PART) + 4 * tileRows,
  };
}

/** All that a job needs: source and result. @param images of the slide that are read */
export function jobRoom(images: readonly Level[], encoding: OutputEncoding): NeededRoom {
  const instances = images.flatMap((level) =>
    level.instances.map((instance) => instanceRoom(level, instance)),
  );
  return sum(...instances, resultRoom(images, encoding));
}
