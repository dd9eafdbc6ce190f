/** Puts decoded frames together to the pixels of a window. Frames are decoded as the server decodes them. */

import { transferSyntaxOf, uncompressedSize } from '../../../server/src/codec/codestream-syntax.ts';
import { applyColourTable } from '../../../server/src/codec/colour-table.ts';
import { decodeFrame } from '../../../server/src/codec/decode-frame.ts';
import {
  blankRaster,
  copyOverlap,
  type Raster,
  type Rgb,
  repeatEdges,
  WHITE,
} from '../../../server/src/slide/raster.ts';
import { ByteCache } from './byte-cache.ts';
import type { EncodedFrame, WindowPixels } from './messages.ts';

/** Neighbouring windows share frames: decoded pixels are kept up to this many bytes. */
const MOST_BYTES = 48 << 20;

const decoded = new ByteCache<Uint8Array>(MOST_BYTES);

async function rgbOf(frame: EncodedFrame, table: Uint8Array | null): Promise<Uint8Array> {
  // The same frame as it is stored and in sRGB, or read as other colours, are different pixels.
  const key = `${frame.key} ${frame.photometricInterpretation} ${table ? 'sRGB' : 'stored'}`;
  const known = decoded.get(key);
  if (known) return known;
  const size = frame.width * frame.height * 3;
  const rgb = await decode(frame, table);
  decoded.set(key, rgb, size);
  return rgb;
}

async function decode(frame: EncodedFrame, table: Uint8Array | null): Promise<Uint8Array> {
  const { width, height, photometricInterpretation, planarConfiguration } = frame;
  const bytes = new Uint8Array(frame.bytes);
  const format = { rows: height, columns: width, photometricInterpretation, planarConfiguration };
  const rgb = await decodeFrame(bytes, {
    ...format,
    transferSyntaxUid: transferSyntaxOf(bytes, uncompressedSize(format)),
  });
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
