/** Random moments that can be had again: STAIN_FAULTS_SEED takes the seed that a run printed. */
import { createHash, randomInt } from 'node:crypto';

export const seed = process.env.STAIN_FAULTS_SEED ?? String(randomInt(1e9));

/** Numbers from 0 to 1, the same for the same seed. */
export function randomFrom(text: string): () => number {
  let calls = 0;
  return () => createHash('sha256').update(`${text} ${calls++}`).digest().readUInt32LE() / 2 ** 32;
}
