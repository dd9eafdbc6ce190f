/** Puts decoded frames together to the pixels of a window. */
import { applyColourTable } from '../../../server/src/codec/colour-table.ts';
import {
  blankRaster,
  copyOverlap,
  type Raster,
  repeatEdges,
  WHITE,
} from '../../../server/src/slide/raster.ts';
import { decodeFrame } from './decode-frame.ts';
import type { EncodedFrame, WindowPixels } from './messages.ts';

/** 128 frames of 256 x 256 pixels are 25 MB. */
const MOST_FRAMES = 128;

const decoded = new Map<string, Promise<Uint8Array>>();

function rgbOf(frame: EncodedFrame, table: Uint8Array | null): Promise<Uint8Array> {
  let rgb = decoded.get(frame.key);
  if (!rgb) {
    rgb = decodeFrame(frame.bytes, frame).then((pixels) => {
      if (table) applyColourTable(table, pixels);
      return pixels;
    });
    rgb.catch(() => decoded.delete(frame.key));
  }
  decoded.delete(frame.key);
  decoded.set(frame.key, rgb);
  if (decoded.size > MOST_FRAMES) decoded.delete(decoded.keys().next().value!);
  return rgb;
}

/** The window in sRGB: places without a frame are white, beyond the level the edge is repeated, as the server does it. */
export async function readWindow(window: WindowPixels, table: Uint8Array | null): Promise<Raster> {
  const raster = blankRaster(window.width, window.height, WHITE);
  await Promise.all(
    window.frames.map(async (frame) => {
      const { width, height } = frame;
      copyOverlap({ width, height, rgb: await rgbOf(frame, table) }, frame, raster, window);
    }),
  );
  repeatEdges(
    raster,
    Math.min(window.width, window.planeWidth - window.x),
    Math.min(window.height, window.planeHeight - window.y),
  );
  return raster;
}
