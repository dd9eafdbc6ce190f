/** A codec worker for tests that does what the first byte of its frame says. */
import { parentPort } from 'node:worker_threads';

const [HANG, EXIT, THROW_LATER] = [1, 2, 3];

export default async function run({ bytes }: { bytes: Uint8Array }): Promise<Uint8Array> {
  // Neither the event loop nor a promise gets a turn, as in a decoder.
  if (bytes[0] === HANG) for (;;);
  if (bytes[0] === EXIT) process.exit(7);
  if (bytes[0] === THROW_LATER) {
    setImmediate(() => {
      throw new Error('a fault outside of the task');
    });
    parentPort!.ref();
    return new Promise(() => {});
  }
  return bytes;
}
