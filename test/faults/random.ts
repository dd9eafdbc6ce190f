/** Reproducible random moments: set STAIN_FAULTS_SEED to the seed that a run printed. */
import { createHash } from 'node:crypto';
import { inject } from 'vitest';

declare module 'vitest' {
  interface ProvidedContext {
    faultSeed: string;
  }
}

export const seed = inject('faultSeed');

/** Numbers from 0 to 1, the same for the same seed. */
export function randomFrom(text: string): () => number {
  let calls = 0;
  return () => createHash('sha256').update(`${text} ${calls++}`).digest().readUInt32LE() / 2 ** 32;
}
