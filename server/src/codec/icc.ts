/**
 * Colour management through a table. LittleCMS (in libvips, by sharp) converts a lattice of 33^3 colours from the
 * slide's profile to sRGB once; pixels are then interpolated between its nodes.
 */
import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { StainError } from '../errors.ts';

/** Nodes along each axis of the lattice. */
const NODES = 33;

/** 33^3 x 3 values in the order R, G, B with B running fastest; 0 to 65535. */
export type ColourTable = Uint16Array<SharedArrayBuffer>;

/** An sRGB profile (Compact ICC Profiles, CC0, as it comes with libvips). */
export async function srgbProfile(): Promise<Uint8Array> {
  const pixel = sharp({ create: { width: 1, height: 1, channels: 3, background: '#000' } });
  const png = await pixel.withIccProfile('srgb').png().toBuffer();
  return (await sharp(png).metadata()).icc!;
}

/**
 * The table from a profile to sRGB; undefined where the profile is sRGB already, to within one grey level at every
 * node. The table lies in shared memory, so that all codec threads read one copy.
 * @throws ICC_PROFILE_INVALID for a profile that is damaged or not of RGB
 */
export async function makeColourTable(profile: Uint8Array): Promise<ColourTable | undefined> {
  const space = Buffer.from(profile.subarray(16, 20)).toString('latin1');
  const signature = Buffer.from(profile.subarray(36, 40)).toString('latin1');
  if (profile.length < 132 || signature !== 'acsp' || space !== 'RGB ')
    throw new StainError('ICC_PROFILE_INVALID', 'The ICC profile of the slide is damaged or not an RGB profile.');
  const converted = await convert(latticePng(profile));
  const identity = lattice();
  const isSrgb = converted.every((value, i) => Math.abs(value - identity[i]!) <= 257);
  if (isSrgb) return undefined;
  const table = new Uint16Array(new SharedArrayBuffer(converted.byteLength));
  table.set(converted);
  return table;
}

/** Moves pixels through the table, in place, by trilinear interpolation. */
export function applyColourTable(table: ColourTable, rgb: Uint8Array): void {
  for (let at = 0; at < rgb.length; at += 3) {
    const r = LOWER[rgb[at]!]!;
    const g = LOWER[rgb[at + 1]!]!;
    const b = LOWER[rgb[at + 2]!]!;
    const fr = FRACTION[rgb[at]!]!;
    const fg = FRACTION[rgb[at + 1]!]!;
    const fb = FRACTION[rgb[at + 2]!]!;
    const node = ((r * NODES + g) * NODES + b) * 3;
    for (let c = 0; c < 3; c++) {
      const n = node + c;
      const low = mix(mix(table[n]!, table[n + B]!, fb), mix(table[n + G]!, table[n + G + B]!, fb), fg);
      const high = mix(mix(table[n + R]!, table[n + R + B]!, fb), mix(table[n + R + G]!, table[n + R + G + B]!, fb), fg);
      rgb[at + c] = (mix(low, high, fr) / 257 + 0.5) | 0;
    }
  }
}

/** Steps to the next node of the lattice along each axis. */
const [B, G, R] = [3, NODES * 3, NODES * NODES * 3];
/** Lower node of an 8-bit value, and the way to the next one; 255 is the upper end of the last cell. */
const LOWER = Uint8Array.from({ length: 256 }, (_, v) => Math.min(NODES - 2, Math.floor((v * (NODES - 1)) / 255)));
const FRACTION = Float64Array.from({ length: 256 }, (_, v) => (v * (NODES - 1)) / 255 - LOWER[v]!);

function mix(a: number, b: number, f: number): number {
  return a + (b - a) * f;
}

/** All nodes, 16 bits a sample. */
function lattice(): Uint16Array {
  const values = new Uint16Array(NODES ** 3 * 3);
  const level = (i: number): number => Math.round((i * 65535) / (NODES - 1));
  for (let i = 0; i < NODES ** 3; i++) {
    values[i * 3] = level(Math.floor(i / NODES ** 2));
    values[i * 3 + 1] = level(Math.floor(i / NODES) % NODES);
    values[i * 3 + 2] = level(i % NODES);
  }
  return values;
}

async function convert(png: Buffer): Promise<Uint16Array> {
  try {
    // pipelineColourspace keeps 16 bits; the embedded profile is applied on the way in.
    const { data } = await sharp(png).pipelineColourspace('rgb16').toColourspace('rgb16').raw({ depth: 'ushort' }).toBuffer({ resolveWithObject: true });
    return new Uint16Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength));
  } catch (cause) {
    throw new StainError('ICC_PROFILE_INVALID', 'The ICC profile of the slide cannot be applied.', { cause });
  }
}

/** The lattice as a 16-bit PNG that carries the profile (iCCP): how libvips is given pixels with their profile. */
function latticePng(profile: Uint8Array): Buffer {
  const width = NODES * NODES;
  const values = lattice();
  const rows = Buffer.alloc(NODES * (1 + width * 6));
  for (let y = 0, at = 0; y < NODES; y++) {
    rows[at++] = 0; // no filter
    for (let i = 0; i < width * 3; i++, at += 2) rows.writeUInt16BE(values[y * width * 3 + i]!, at);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(NODES, 4);
  header.set([16, 2, 0, 0, 0], 8); // 16 bits, RGB
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
