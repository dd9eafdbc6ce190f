/** Assembles decoded frames to the pixels of a window. Frames are decoded like on the server. */

import { codestreamSyntax } from '../../../core/src/codec/codestream-syntax.ts';
import { applyColourTable } from '../../../core/src/codec/colour-table.ts';
import { decodeFrame } from '../../../core/src/codec/decode-frame.ts';
import { isDoubtful } from '../../../core/src/codec/native-colours.ts';
import {
  blankRaster,
  copyOverlap,
  type Raster,
  type Rgb,
  repeatEdges,
  WHITE,
} from '../../../core/src/image/raster.ts';
import { ByteBoundCache } from './byte-bound-cache.ts';
import type { EncodedFrame, WindowPixels } from './messages.ts';

/** Neighbouring windows share frames: maximum bytes of decoded pixels in the cache. */
const MAX_BYTES = 48 << 20;

const decoded = new ByteBoundCache<Uint8Array>(MAX_BYTES, (rgb) => rgb.byteLength);

async function rgbOf(frame: EncodedFrame, table: Uint8Array | null): Promise<Uint8Array> {
  // The same frame has different pixels as stored and in sRGB, or decoded with other colours.
  const key = `${frame.key} ${frame.photometricInterpretation} ${frame.native} ${table ? 'sRGB' : 'stored'}`;
  const known = decoded.get(key);
  if (known) return known;
  const rgb = await decode(frame, table);
  decoded.set(key, rgb);
  return rgb;
}

async function decode(frame: EncodedFrame, table: Uint8Array | null): Promise<Uint8Array> {
  const { width, height, photometricInterpretation, planarConfiguration, native } = frame;
  const bytes = new Uint8Array(frame.bytes);
  const layout = { rows: height, columns: width, photometricInterpretation, planarConfiguration };
  const format = { ...layout, transferSyntaxUid: codestreamSyntax(bytes, layout) };
  const isOther = native !== null && isDoubtful(format, bytes);
  const rgb = await decodeFrame(bytes, isOther ? { ...format, photometricInterpretation: native } : format);
  if (table) applyColourTable(table, rgb);
  return rgb;
}

/**
 * The window in sRGB. Beyond the level the edge is repeated, as the server does it.
 * @param missing colour of the places without a frame (sparse slides)
 * @throws StainError of the decoders
 */
export async function readWindow(
  window: WindowPixels,
  table: Uint8Array | null,
  missing: Rgb = WHITE,
): Promise<Raster> {
  const raster = blankRaster(window.width, window.height, missing);
  for (const frame of window.frames) {
    const { width, height } = frame;
    copyOverlap({ width, height, rgb: await rgbOf(frame, table) }, frame, raster, window);
  }
  repeatEdges(
    raster,
    Math.min(window.width, window.planeWidth - window.x),
    Math.min(window.height, window.planeHeight - window.y),
  );
  return raster;
}
