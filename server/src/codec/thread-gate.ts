/**
 * Whether the thread of a task may be terminated. Native code takes the process down if its thread ends while a library
 * is loaded or an encoder runs, so a task that begins first closes its gate, and opens it for what may take for ever. In
 * shared memory; whoever is first decides.
 */
import { StainError } from '../../../core/src/errors.ts';

export type ThreadGate = Int32Array;

const [STATE, STOP] = [0, 1] as const;
const [NEW, CLOSED, OPEN, ENDED] = [0, 1, 2, 3] as const;

export function newGate(): ThreadGate {
  return new Int32Array(new SharedArrayBuffer(8));
}

/** Whether the task has not begun: it waits for a thread, which perhaps cannot start. */
export function isNew(gate: ThreadGate): boolean {
  return Atomics.load(gate, STATE) === NEW;
}

/** False while the gate is closed: the task then stops by itself at the next gate, within milliseconds. */
export function mayEnd(gate: ThreadGate): boolean {
  Atomics.store(gate, STOP, 1);
  const isOpen = [NEW, OPEN].some((state) => Atomics.compareExchange(gate, STATE, state, ENDED) === state);
  return isOpen || Atomics.load(gate, STATE) === ENDED;
}

/** From now on the thread may be terminated. @throws CANCELLED if it should stop */
export function openGate(gate: ThreadGate): void {
  Atomics.store(gate, STATE, OPEN);
  // Afterwards: whoever asks for an end before sees a closed gate, and does not ask again.
  requireWanted(gate);
}

/** The task begins, or from now on its thread is not terminated again. @throws CANCELLED if it is ending */
export function closeGate(gate: ThreadGate): void {
  if (![NEW, OPEN].some((state) => Atomics.compareExchange(gate, STATE, state, CLOSED) === state))
    throw unwanted();
}

/** @throws CANCELLED if the task should stop */
export function requireWanted(gate: ThreadGate): void {
  if (Atomics.load(gate, STOP) === 1) throw unwanted();
}

function unwanted(): StainError {
  return new StainError('CANCELLED', 'The frames are no longer wanted.');
}
