/** Estimates the spool room that a slide needs, from its metadata: archives announce no sizes. */
import { uncompressedSize } from '../../../core/src/codec/codestream-syntax.ts';
import type { OutputEncoding } from '../../../core/src/contract/index.ts';
import { allowsLoss, isUncompressed } from '../../../core/src/dicom/transfer-syntaxes.ts';
import type { Level, SlideInstance } from '../slide/types.ts';
import type { NeededRoom } from '../spool/spool.ts';

/** Room for the header of an instance; and, per frame, for its position and its entry in the offset table. */
const HEADER_BYTES = 64 * 1024;
const HEADER_BYTES_PER_FRAME = 512;
/**
 * Fractions of the raw size: JPEG at quality 90 stays below a third; no slide is known to be compressed to a hundredth.
 */
const LOSSY_PART = 1 / 3;
const MIN_PART = 1 / 100;
/** Size of a lossless result, as a fraction of the raw size. */
const LOSSLESS_PART = 0.8;

/** What determines the room for an image of the result. */
type ResultImage = Pick<Level, 'rows' | 'columns' | 'totalColumns'> & {
  readonly frames: { readonly length: number };
};

export const NOTHING: NeededRoom = { minimum: 0, likely: 0 };

export function sum(...all: readonly NeededRoom[]): NeededRoom {
  return all.reduce((a, b) => ({ minimum: a.minimum + b.minimum, likely: a.likely + b.likely }), NOTHING);
}

/**
 * Size of one instance as the archive sends it. Exact, apart from the header, for uncompressed frames; the raw size for
 * lossless or unknown compression; a third of it for lossy compression.
 */
export function instanceRoom({ rows, columns }: Level, instance: SlideInstance): NeededRoom {
  const { dataset, numberOfFrames } = instance;
  const header = HEADER_BYTES + numberOfFrames * HEADER_BYTES_PER_FRAME;
  // Archives need not return this attribute.
  const syntaxes = dataset.strings('AvailableTransferSyntaxUID');
  if (syntaxes.length > 0 && syntaxes.every((syntax) => isUncompressed(syntax))) {
    const photometricInterpretation = dataset.string('PhotometricInterpretation') ?? 'RGB';
    const exact = numberOfFrames * uncompressedSize({ rows, columns, photometricInterpretation });
    return { minimum: exact, likely: exact + header };
  }
  const raw = numberOfFrames * rows * columns * 3;
  const isLossy =
    syntaxes.length > 0
      ? syntaxes.every((syntax) => allowsLoss(syntax))
      : dataset.string('LossyImageCompression') === '01';
  return { minimum: raw * MIN_PART, likely: (isLossy ? raw * LOSSY_PART : raw) + header };
}

/** The encoded frames of the result, and the checkpoint with its unfinished tiles (twice, while it is rewritten). */
export function resultRoom(images: readonly ResultImage[], encoding: OutputEncoding): NeededRoom {
  const raw = images.reduce(
    (bytes, { frames, rows, columns }) => bytes + frames.length * rows * columns * 3,
    0,
  );
  const tileRows = images.reduce((bytes, { rows, totalColumns }) => bytes + rows * totalColumns * 3, 0);
  return {
    minimum: raw * MIN_PART,
    likely: raw * (encoding === 'jpeg' ? LOSSY_PART : LOSSLESS_PART) + 4 * tileRows,
  };
}

/** Everything that a job needs: source and result. @param images of the slide that are read */
export function jobRoom(
  images: readonly (ResultImage & { readonly instances: readonly { readonly room: NeededRoom }[] })[],
  encoding: OutputEncoding,
): NeededRoom {
  const instances = images.flatMap((image) => image.instances.map(({ room }) => room));
  return sum(...instances, resultRoom(images, encoding));
}
