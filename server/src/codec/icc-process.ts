/**
 * Converts the lattice with the profile on standard input, in a separate process (started by icc.ts): LittleCMS is
 * native code, and if it crashes it must not take the service down. Exits with 2 for a profile that it does not accept.
 */
import { buffer } from 'node:stream/consumers';
import { convertLattice } from './icc-lattice.ts';

try {
  process.stdout.write(await convertLattice(await buffer(process.stdin)));
} catch (error) {
  process.stderr.write((error as Error).message);
  process.exitCode = 2;
}
