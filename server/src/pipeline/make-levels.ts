/**
 * Makes all frames of a `paper` result: the base level through the network, every other level from it. Resumes after a
 * crash.
 */

import type { Transfer } from '../../../core/src/stain/transfer.ts';
import type { StainNetwork } from '../inference/network.ts';
import type { PixelSource } from '../slide/pixel-source.ts';
import type { Level } from '../slide/types.ts';
import { checkpointPause } from '../spool/checkpoint-pause.ts';
import type { FrameSpool } from '../spool/frame-spool.ts';
import { type BuildOptions, LevelBuilder } from './build-levels.ts';
import type { Checkpoint, ReachedLevels } from './checkpoint.ts';
import { normalizePixels } from './normalize-pixels.ts';

export interface MakeOptions extends BuildOptions {
  /** Minimum time between two checkpoints, which are made at the end of a row of windows. */
  readonly checkpointSeconds: number;
  readonly onProgress: (done: number, total: number) => void;
}

export interface MadeLevels extends AsyncDisposable {
  /** One spool per image. */
  readonly spools: readonly FrameSpool[];
}

/** @param images the base level first, then the others, finest first */
export async function makeLevels(
  base: PixelSource,
  images: readonly Level[],
  network: StainNetwork,
  transfer: Transfer,
  checkpoint: Checkpoint,
  options: MakeOptions,
): Promise<MadeLevels> {
  const { executionProvider, coreSize } = network;
  const reached = usable(checkpoint.reached.levels, network);
  const resumed =
    reached && (await LevelBuilder.resume(images, { ...reached, tiles: checkpoint.takeTiles() }, options));
  await using cleanup = new AsyncDisposableStack();
  const builder = cleanup.use(resumed ?? (await LevelBuilder.create(images, options)));
  const save = async (windowsDone: number, isComplete = false): Promise<void> => {
    const { frames, tiles } = await builder.save();
    const levels = { executionProvider, coreSize, windowsDone, frames, isComplete };
    await checkpoint.save({ levels }, tiles);
  };
  if (!resumed || !reached?.isComplete) {
    const pause = checkpointPause(options.checkpointSeconds);
    let windowsDone = resumed ? reached!.windowsDone : 0;
    await normalizePixels(base, network, transfer, {
      signal: options.signal,
      windowsDone,
      isSkipped: (core) => builder.isGlass(core),
      sink: (core, at) => builder.add(core, at),
      async onRow(done) {
        windowsDone = done;
        await pause.unless(() => save(done));
      },
      onProgress: options.onProgress,
    });
    await builder.finish();
    await save(windowsDone, true);
  }
  const resources = cleanup.move();
  return { spools: builder.spools, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** What another attempt reached, if this one can continue it to the same pixels. */
export function usable(
  levels: ReachedLevels | undefined,
  { executionProvider, coreSize }: StainNetwork,
): ReachedLevels | undefined {
  return levels?.executionProvider === executionProvider && levels.coreSize === coreSize ? levels : undefined;
}
