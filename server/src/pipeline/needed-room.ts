/** Estimates the spool room that a slide needs, from its metadata: archives announce no sizes. */
import { uncompressedSize } from '../../../core/src/codec/codestream-syntax.ts';
import { allowsLoss, isUncompressed } from '../../../core/src/dicom/transfer-syntaxes.ts';
import type { EncodeOptions } from '../codec/encode-frame.ts';
import type { Level, SlideInstance } from '../slide/types.ts';
import type { NeededRoom } from '../spool/spool.ts';

/** Room for the header of an instance; and, per frame, for its position and its entry in the offset table. */
const HEADER_BYTES = 64 * 1024;
const HEADER_BYTES_PER_FRAME = 512;
/** No slide is known to be compressed to less than this fraction of its raw size. */
const MIN_PART = 1 / 100;
/**
 * Size of sharp tissue without any glass as JPEG, as a fraction of the raw size. Of eight sources, 107 pictures, the
 * largest mean was 1/6.6 at quality 90, 1/4.9 at 95 and 1/2.6 at 100. Scanners use 70 to 90.
 */
const jpegPart = (quality: number): number => (quality <= 90 ? 1 / 6 : quality <= 95 ? 1 / 4 : 1 / 2);
const LOSSY_SOURCE_PART = jpegPart(90);
/** Size of a lossless result, as a fraction of the raw size. */
const LOSSLESS_PART = 0.8;

/** What determines the room for an image of the result. */
type ResultImage = Pick<Level, 'rows' | 'columns' | 'totalColumns'> & {
  readonly frames: { readonly length: number };
};

type Output = Pick<EncodeOptions, 'encoding' | 'quality'>;

export const NOTHING: NeededRoom = { minimum: 0, likely: 0 };

export function sum(...all: readonly NeededRoom[]): NeededRoom {
  return all.reduce((a, b) => ({ minimum: a.minimum + b.minimum, likely: a.likely + b.likely }), NOTHING);
}

/**
 * Size of one instance as the archive sends it. Exact, apart from the header, for uncompressed frames; the raw size for
 * lossless or unknown compression; a sixth of it for lossy compression.
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
  return { minimum: raw * MIN_PART, likely: (isLossy ? raw * LOSSY_SOURCE_PART : raw) + header };
}

/** The encoded frames of the result, and the checkpoint with its unfinished tiles (twice, while it is rewritten). */
export function resultRoom(images: readonly ResultImage[], { encoding, quality }: Output): NeededRoom {
  const raw = images.reduce(
    (bytes, { frames, rows, columns }) => bytes + frames.length * rows * columns * 3,
    0,
  );
  const tileRows = images.reduce((bytes, { rows, totalColumns }) => bytes + rows * totalColumns * 3, 0);
  return {
    minimum: raw * MIN_PART,
    likely: raw * (encoding === 'jpeg' ? jpegPart(quality) : LOSSLESS_PART) + 4 * tileRows,
  };
}

/** Everything that a job needs: source and result. @param images of the slide that are read */
export function jobRoom(
  images: readonly (ResultImage & { readonly instances: readonly { readonly room: NeededRoom }[] })[],
  output: Output,
): NeededRoom {
  const instances = images.flatMap((image) => image.instances.map(({ room }) => room));
  return sum(...instances, resultRoom(images, output));
}
