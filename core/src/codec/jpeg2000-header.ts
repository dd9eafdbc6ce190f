/**
 * The main header of a JPEG 2000 codestream, and whether its tile-parts are complete (ITU-T T.800 annex A). The
 * decoders cannot be trusted with that: OpenJPH silently decodes a truncated codestream into wrong pixels.
 */
import { StainError } from '../errors.ts';
import { type CodestreamFormat, invalidFrame } from './frame-format.ts';

const SOC_SIZ = 0xff4fff51;
const [COD, SOT, EOC] = [0xff52, 0xff90, 0xffd9];
/**
 * Size of SIZ before its list of components, and of each component (A.5.1); size of SOT (A.4.2); with their markers.
 */
const [SIZ_BYTES, COMPONENT_BYTES, SOT_BYTES] = [40, 3, 12];
/** Latest start of the codestream in a JP2 file, whose boxes some converters leave in place. */
const MAX_JP2_HEADER = 4096;
/** The decoder needs some kilobytes per announced tile, so a large number of tiles is an attack. */
const MAX_TILES = 4096;

export interface J2kHeader {
  readonly size: CodestreamFormat;
  /** The components were transformed from RGB (MCT); the decoder reverses this. */
  readonly colourTransform: boolean;
  /** The code-blocks follow ITU-T T.814 (Rsiz, A.5.1). */
  readonly isHighThroughput: boolean;
}

/** @throws FRAME_INVALID, PIXEL_FORMAT_UNSUPPORTED */
export function readJ2kHeader(bytes: Uint8Array): J2kHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const start = indexOfCodestream(view);
  let at = start + 2;
  const size = readSize(view, at);
  const isHighThroughput = (view.getUint16(start + RSIZ) & HIGH_THROUGHPUT) !== 0;
  let colourTransform: boolean | undefined;
  while (at + SOT_BYTES <= view.byteLength && view.getUint16(at) !== SOT) {
    if (view.getUint16(at) === COD) colourTransform = view.getUint8(at + 8) === 1;
    at += 2 + view.getUint16(at + 2);
  }
  if (colourTransform === undefined) throw invalidFrame('A JPEG 2000 frame has a damaged header.');
  requireTileParts(view, at);
  return { size, colourTransform, isHighThroughput };
}

/** Bit of Rsiz that marks the block coder of ITU-T T.814 (A.2), and the offset of Rsiz after SOC. */
const [HIGH_THROUGHPUT, RSIZ] = [0x4000, 6];

function indexOfCodestream(view: DataView): number {
  const end = Math.min(view.byteLength - SIZ_BYTES - 2, MAX_JP2_HEADER);
  for (let at = 0; at < end; at++) if (view.getUint32(at) === SOC_SIZ) return at;
  throw invalidFrame('A frame is not a JPEG 2000 codestream.');
}

function readSize(view: DataView, siz: number): CodestreamFormat {
  const field = (offset: number): number => view.getUint32(siz + offset);
  const [right, bottom, left, top] = [field(6), field(10), field(14), field(18)];
  const [tileWidth, tileHeight, tileLeft, tileTop] = [field(22), field(26), field(30), field(34)];
  const tiles = Math.ceil((right - tileLeft) / tileWidth) * Math.ceil((bottom - tileTop) / tileHeight);
  if (!(tiles <= MAX_TILES))
    throw invalidFrame(`A JPEG 2000 frame is cut into more than ${MAX_TILES} tiles.`);
  const components = view.getUint16(siz + 38);
  const list = siz + SIZ_BYTES;
  if (list + components * COMPONENT_BYTES > view.byteLength)
    throw invalidFrame('A JPEG 2000 frame ends within its header.');
  const bits = view.getUint8(list);
  for (let c = 0; c < components; c++) {
    const [sampleBits, stepX, stepY] = [0, 1, 2].map((i) => view.getUint8(list + c * COMPONENT_BYTES + i));
    if (sampleBits !== bits || bits > 0x7f || stepX !== 1 || stepY !== 1)
      throw new StainError(
        'PIXEL_FORMAT_UNSUPPORTED',
        'The components of a JPEG 2000 frame are signed, subsampled or not all the same.',
      );
  }
  return { width: right - left, height: bottom - top, components, bitsPerSample: bits + 1 };
}

/** Follows the tile-parts, each of which states its length (Psot), to the end of the codestream. */
function requireTileParts(view: DataView, first: number): void {
  let at = first;
  while (at + SOT_BYTES <= view.byteLength && view.getUint16(at) === SOT) {
    const length = view.getUint32(at + 6);
    if (length === 0) at = endOfCodestream(view);
    else if (length < SOT_BYTES) break;
    else at += length;
  }
  if (at === first || at + 2 > view.byteLength || view.getUint16(at) !== EOC)
    throw invalidFrame('A JPEG 2000 frame is truncated.');
}

/** Where EOC must be, because Psot 0 means "up to the end": before at most one byte of padding (PS3.5 A.4). */
function endOfCodestream(view: DataView): number {
  const end = view.byteLength - 2;
  return view.getUint8(end + 1) === 0 ? end - 1 : end;
}
