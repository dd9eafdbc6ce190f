/** What is fuzzed: readers as the product uses them, with intact inputs to begin from. */
import { dicomTargets } from './dicom-targets.ts';
import { frameTargets } from './frame-targets.ts';
import { multipartTarget } from './multipart-target.ts';
import type { Seed } from './mutate.ts';

export interface Target {
  readonly seeds: readonly Seed[];
  /** Inputs of a run. */
  readonly count: number;
  /** @throws what the reader throws; errors of the table are as good as a result */
  read(bytes: Uint8Array): Promise<void>;
}

export type Targets = Readonly<Record<string, () => Promise<Target>>>;

export const targets: Targets = { ...dicomTargets, ...multipartTarget, ...frameTargets };
