/** A codec worker for tests; the first byte of its frame says what it does. */
import { parentPort } from 'node:worker_threads';
import type { CodecTask } from '../../server/src/codec/codec-worker.ts';
import { closeGate, openGate } from '../../server/src/codec/thread-gate.ts';

const [HANG, EXIT, THROW_LATER] = [1, 2, 3];

export default async function run({ work, gate }: CodecTask): Promise<Uint8Array> {
  if (work.kind !== 'decode') throw new Error('only decodes');
  const { bytes } = work;
  closeGate(gate);
  openGate(gate);
  // Blocks the event loop and promises, like a decoder.
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
