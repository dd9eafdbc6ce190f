/**
 * Converts a lattice of 52^3 colours from a profile to sRGB with LittleCMS (in libvips, through sharp).
 *
 * The lattice has 8 bits: libvips converts 16-bit pixels partly with its own formulas, which shifted saturated blue by
 * 5 %. With 8 bits, LittleCMS does everything, and nodes five levels apart cost less than one grey level.
 */
import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { NODES, STEP } from '../../../core/src/codec/colour-table.ts';

/** All nodes in sRGB, in the order of a colour table. @throws Error for a profile that LittleCMS does not accept */
export async function convertLattice(profile: Uint8Array): Promise<Uint8Array> {
  // sharp applies the profile embedded in a picture; a profile that it cannot use causes only a warning.
  const image = sharp(latticePng(profile)).toColourspace('srgb');
  let warning: string | undefined;
  image.on('warning', (message: string) => {
    warning = message;
  });
  const converted = await image.raw().toBuffer();
  if (warning !== undefined) throw new Error(warning);
  return converted;
}

/** All nodes. */
export function lattice(): Uint8Array {
  const values = new Uint8Array(NODES ** 3 * 3);
  for (let i = 0; i < NODES ** 3; i++) {
    values[i * 3] = Math.floor(i / NODES ** 2) * STEP;
    values[i * 3 + 1] = (Math.floor(i / NODES) % NODES) * STEP;
    values[i * 3 + 2] = (i % NODES) * STEP;
  }
  return values;
}

/** The lattice as a PNG with the profile embedded (iCCP), because libvips takes pixels and profile together. */
function latticePng(profile: Uint8Array): Buffer {
  const width = NODES * NODES;
  const values = lattice();
  const rows = Buffer.alloc(NODES * (1 + width * 3)); // a leading 0 in each row: no filter
  for (let y = 0; y < NODES; y++)
    rows.set(values.subarray(y * width * 3, (y + 1) * width * 3), y * (1 + width * 3) + 1);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(NODES, 4);
  header.set([8, 2, 0, 0, 0], 8); // 8 bits, RGB
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    pngChunk('IHDR', header),
    pngChunk('iCCP', Buffer.concat([Buffer.from('slide\0\0', 'latin1'), deflateSync(profile)])),
    pngChunk('IDAT', deflateSync(rows)),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

function pngChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const chunk = Buffer.alloc(body.length + 8);
  chunk.writeUInt32BE(data.length, 0);
  chunk.set(body, 4);
  chunk.writeUInt32BE(crc32(body), body.length + 4);
  return chunk;
}
