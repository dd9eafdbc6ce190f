/** Reads mutants one after the other, in a separate process: the parent notices if one crashes or hangs it. */
import { openSync, writeSync } from 'node:fs';
import { StainError } from '../../core/src/errors.ts';
import { mutant } from './mutate.ts';
import type { Targets } from './targets.ts';

/** The child's task, as JSON in its first argument. */
export interface Assignment {
  /** Module that exports `targets`. */
  readonly module: string;
  readonly target: string;
  readonly seed: number;
  readonly first: number;
  readonly end: number;
  /** File that always holds the index of the current input, as a double. */
  readonly stateFile: string;
}

/** One per line on the standard output. */
export type Report =
  | { readonly kind: 'failure'; readonly index: number; readonly what: string }
  | { readonly kind: 'end'; readonly peakMb: number; readonly refused: Readonly<Record<string, number>> };

/** Maximum memory for one small input, at its peak. */
const MAX_GROWTH_KB = 256 * 1024;

const { module, target: name, seed, first, end, stateFile } = JSON.parse(process.argv[2]!) as Assignment;
const { targets } = (await import(module)) as { targets: Targets };
const { seeds, read } = await targets[name]!();
/** How often each error of the table occurred: shows how deep the mutants get. */
const refused: Record<string, number> = {};
const state = openSync(stateFile, 'w');

// Codecs are loaded and code is compiled before anything is measured.
for (const { bytes } of seeds) await read(Uint8Array.from(bytes)).catch(() => {});
for (let index = first; index < end; index++) {
  writeSync(state, new Uint8Array(Float64Array.of(index).buffer), 0, 8, 0);
  const bytes = Uint8Array.from(mutant(seeds, seed, index));
  const before = process.resourceUsage().maxRSS;
  const fault = await faultOf(() => read(bytes));
  const growth = process.resourceUsage().maxRSS - before;
  const tooMuch = growth > MAX_GROWTH_KB ? `took ${Math.round(growth / 1024)} MB of memory` : undefined;
  const what = fault ?? tooMuch;
  if (what !== undefined) report({ kind: 'failure', index, what });
}
report({ kind: 'end', peakMb: Math.round(process.resourceUsage().maxRSS / 1024), refused });

/** Undefined for a result and for an error of the table, except INTERNAL, which is a fault of the product. */
async function faultOf(work: () => Promise<void>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof StainError && error.code !== 'INTERNAL') {
      refused[error.code] = (refused[error.code] ?? 0) + 1;
      return undefined;
    }
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

/** Written at once, so that a crash does not lose earlier findings. */
function report(message: Report): void {
  writeSync(1, `${JSON.stringify(message)}\n`);
}
