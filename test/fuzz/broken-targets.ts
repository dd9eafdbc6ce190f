/** Faulty readers, to test that the fuzzer finds each kind of fault: at the fifth input of a process. */
import { StainError } from '../../core/src/errors.ts';
import type { Target, Targets } from './targets.ts';

const held: Uint8Array[] = [];

const FAULTS: Readonly<Record<string, () => void>> = {
  none: () => {},
  refuses: () => {
    throw new StainError('DICOM_INVALID', 'Damaged.');
  },
  throws: () => {
    throw new TypeError('A fault.');
  },
  internal: () => {
    throw new StainError('INTERNAL', 'A fault.');
  },
  hangs: () => {
    for (;;);
  },
  crashes: () => process.abort(),
  grows: () => void held.push(new Uint8Array(400e6).fill(1)),
};

function target(fault: () => void): Target {
  let inputs = 0;
  return {
    seeds: [{ bytes: Uint8Array.of(0, 1, 2, 3), places: [] }],
    count: 20,
    // The seed is read once before the mutants.
    read: async () => {
      if (inputs++ === 5) fault();
    },
  };
}

export const targets: Targets = Object.fromEntries(
  Object.entries(FAULTS).map(([name, fault]) => [name, async () => target(fault)]),
);
