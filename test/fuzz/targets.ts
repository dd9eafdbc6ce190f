/** What is fuzzed: readers as the product uses them, with intact inputs as seeds. */
import { dicomTargets } from './dicom-targets.ts';
import { frameTargets } from './frame-targets.ts';
import { jsonTarget } from './json-target.ts';
import { multipartTarget } from './multipart-target.ts';
import type { Seed } from './mutate.ts';

export interface Target {
  readonly seeds: readonly Seed[];
  /** Inputs of a run. */
  readonly count: number;
  /** @throws whatever the reader throws; errors of the table are acceptable */
  read(bytes: Uint8Array): Promise<void>;
}

export type Targets = Readonly<Record<string, () => Promise<Target>>>;

export const targets: Targets = { ...dicomTargets, ...jsonTarget, ...multipartTarget, ...frameTargets };
