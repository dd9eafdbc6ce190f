/**
 * Colour management with a table. LittleCMS converts a lattice of 52^3 colours from the slide's profile to sRGB once;
 * pixels are then interpolated between its nodes.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { type ColourTable, NODES } from '../../../core/src/codec/colour-table.ts';
import { StainError } from '../../../core/src/errors.ts';
import { lattice } from './icc-lattice.ts';
import { inSharedMemory } from './shared-memory.ts';

/** Usually takes 0.2 s. Scanner profiles have at most one megabyte. */
const TIME_LIMIT_MS = 30_000;
const MAX_PROFILE_BYTES = 16e6;

/** Least difference, in grey levels, between a dark and a light grey after conversion. It is 88 with a gamma of 1, 137 with 2.6. */
const LEAST_CONTRAST = 32;

const CONVERTER = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './icc-process.ts' : './icc-process.js', import.meta.url),
);

/** An sRGB profile (Compact ICC Profiles, CC0, as shipped with libvips). */
export async function srgbProfile(): Promise<Uint8Array> {
  const pixel = sharp({ create: { width: 1, height: 1, channels: 3, background: '#000' } });
  const png = await pixel.withIccProfile('srgb').png().toBuffer();
  return (await sharp(png).metadata()).icc!;
}

/**
 * The table from a profile to sRGB; undefined if the profile is already sRGB, to within one grey level at every node.
 * The table is in shared memory, so that all codec threads read one copy.
 * @param converter the program that converts the lattice
 * @throws ICC_PROFILE_INVALID for a profile that is damaged, is not RGB, crashes the converter or leaves no contrast
 */
export async function makeColourTable(
  profile: Uint8Array,
  converter = CONVERTER,
): Promise<ColourTable | undefined> {
  const space = Buffer.from(profile.subarray(16, 20)).toString('latin1');
  const signature = Buffer.from(profile.subarray(36, 40)).toString('latin1');
  const isSize = profile.length >= 132 && profile.length <= MAX_PROFILE_BYTES;
  if (!isSize || signature !== 'acsp' || space !== 'RGB ')
    throw invalidProfile('is damaged or not an RGB profile');
  const converted = await convert(profile, converter);
  if (greyAt(converted, 0.75) - greyAt(converted, 0.25) < LEAST_CONTRAST)
    throw invalidProfile('makes nearly the same colour of a light and a dark grey');
  const identity = lattice();
  const isSrgb = converted.every((value, i) => Math.abs(value - identity[i]!) <= 1);
  if (isSrgb) return undefined;
  // A child process returns a Buffer, whose class is not shared between threads.
  return inSharedMemory(new Uint8Array(converted.buffer, converted.byteOffset, converted.byteLength));
}

/** Mean of the channels of a converted grey. @param level from 0, black, to 1, white */
function greyAt(converted: Uint8Array, level: number): number {
  const node = Math.round(level * (NODES - 1));
  const at = node * (NODES ** 2 + NODES + 1) * 3;
  return (converted[at]! + converted[at + 1]! + converted[at + 2]!) / 3;
}

function convert(profile: Uint8Array, converter: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      process.execPath,
      [converter],
      // Nothing of our environment, which contains secrets.
      { encoding: 'buffer', env: {}, timeout: TIME_LIMIT_MS, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        if (!error) resolve(stdout);
        else if (error.code === 2) reject(invalidProfile(`cannot be applied: ${stderr.toString()}`));
        else if (error.signal) reject(invalidProfile('crashes LittleCMS'));
        else
          reject(new StainError('INTERNAL', 'The converter of ICC profiles cannot run.', { cause: error }));
      },
    );
    // A process that ends before it has read everything breaks the pipe; the reason why it ended is what counts.
    child.stdin!.on('error', () => {});
    child.stdin!.end(profile);
  });
}

function invalidProfile(what: string): StainError {
  return new StainError('ICC_PROFILE_INVALID', `The ICC profile of the slide ${what}.`);
}
