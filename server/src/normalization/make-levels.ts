/** All frames of the result: the base level through the network, every other level made of it; across crashes. */
import type { FrameSpool } from '../dicom/frame-spool.ts';
import type { StainNetwork } from '../inference/network.ts';
import type { PixelSource } from '../slide/pixel-source.ts';
import type { Level } from '../slide/types.ts';
import type { Transfer } from '../stain/transfer.ts';
import { type BuildOptions, type GlassTiles, LevelBuilder } from './build-levels.ts';
import type { Checkpoint, ReachedLevels } from './checkpoint.ts';
import { normalizePixels } from './normalize-pixels.ts';

/** A checkpoint takes the disk's time; it may take this part of all time. */
const MOST_OVERHEAD = 0.02;

export interface MakeOptions extends BuildOptions {
  readonly glass: (GlassTiles & { readonly passedThrough: number }) | undefined;
  /** Pause between two checkpoints at least; they come at the end of a row of windows. */
  readonly checkpointSeconds: number;
  readonly onProgress: (done: number, total: number) => void;
}

export interface MadeLevels extends AsyncDisposable {
  /** One per image. */
  readonly spools: readonly FrameSpool[];
  /** Frames of the source that are in the result as they were. */
  readonly passedThrough: number;
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
  const save = async (windowsDone: number, complete?: ReachedLevels['complete']): Promise<void> => {
    const { frames, tiles } = await builder.save();
    const levels = { executionProvider, coreSize, windowsDone, frames, ...(complete && { complete }) };
    await checkpoint.save({ levels }, tiles);
  };
  let passedThrough = resumed && reached?.complete?.passedThrough;
  if (passedThrough === undefined) {
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
    passedThrough = options.glass?.passedThrough ?? 0;
    await save(windowsDone, { passedThrough });
  }
  const resources = cleanup.move();
  return {
    spools: builder.spools,
    passedThrough,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** What another attempt has reached, where this one can go on with it to the same pixels. */
function usable(
  levels: ReachedLevels | undefined,
  { executionProvider, coreSize }: StainNetwork,
): ReachedLevels | undefined {
  return levels?.executionProvider === executionProvider && levels.coreSize === coreSize ? levels : undefined;
}

/** Does something no sooner than `seconds` after the last time, and so seldom that it costs little. */
function checkpointPause(seconds: number): { unless(work: () => Promise<void>): Promise<void> } {
  let next = performance.now() + seconds * 1000;
  return {
    async unless(work) {
      const start = performance.now();
      if (start < next) return;
      await work();
      const took = performance.now() - start;
      next = performance.now() + Math.max(seconds * 1000, seconds > 0 ? took / MOST_OVERHEAD : 0);
    },
  };
}
