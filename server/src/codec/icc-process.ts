/**
 * Converts the lattice by the profile on the standard input, in a process of its own (icc.ts starts it): LittleCMS is
 * native code, and what brings it down must not bring down the service. Ends with 2 for a profile that it does not take.
 */
import { buffer } from 'node:stream/consumers';
import { convertLattice } from './icc-lattice.ts';

try {
  process.stdout.write(await convertLattice(await buffer(process.stdin)));
} catch (error) {
  process.stderr.write((error as Error).message);
  process.exitCode = 2;
}
