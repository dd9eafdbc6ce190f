/**
 * Makes all frames of a `linear` result: every stored frame of every level passes through a codec thread by itself.
 * Resumes after a crash. A level that does not show what the base level shows is made from the base level instead.
 */

import type { LinearTransfer } from '../../../core/src/stain/transfer.ts';
import type { StainNetwork } from '../inference/network.ts';
import { type GlassMap, glassFrames } from '../slide/glass-map.ts';
import type { PixelSource } from '../slide/pixel-source.ts';
import type { Level } from '../slide/types.ts';
import { checkpointPause } from '../spool/checkpoint-pause.ts';
import { LevelBuilder } from './build-levels.ts';
import type { Checkpoint } from './checkpoint.ts';
import { FrameWriter } from './frame-writer.ts';
import { maxTogether } from './frames-together.ts';
import { type MadeLevels, type MakeOptions, usable } from './make-levels.ts';
import { type FrameMapping, mapFrames } from './map-frames.ts';
import { normalizePixels } from './normalize-pixels.ts';

/**
 * @param images the base level first, then the others, finest first
 * @param built the images that do not show what the base level shows
 */
export async function mapLevels(
  mapping: FrameMapping,
  images: readonly Level[],
  built: ReadonlySet<Level>,
  network: StainNetwork,
  transfer: LinearTransfer,
  checkpoint: Checkpoint,
  options: MakeOptions,
): Promise<MadeLevels> {
  const { glass, signal, onProgress } = options;
  const { executionProvider, coreSize } = network;
  const reached = usable(checkpoint.reached.levels, network);
  await using cleanup = new AsyncDisposableStack();
  const resumed = reached && (await FrameWriter.resume(reached.frames, options));
  const writer = cleanup.use(resumed ?? (await FrameWriter.create(images, options)));
  const save = async (isComplete: boolean): Promise<void> => {
    const frames = await writer.save();
    const levels = { executionProvider, coreSize, windowsDone: 0, frames, isComplete };
    await checkpoint.save({ levels }, []);
  };
  if (!resumed || !reached?.isComplete) {
    const pause = checkpointPause(options.checkpointSeconds);
    const mapped = images.filter((level) => !built.has(level));
    const total = mapped.reduce((sum, level) => sum + workOn(level, batches(level, glass?.map)), 0);
    // Levels that are built need another pass over the base level.
    const passes = total + (built.size > 0 ? allPixels(images[0]!) : 0);
    let done = 0;
    // Start with the small levels, to find an error in one of them before working on the large one.
    for (const [image, level] of [...images.entries()].toReversed()) {
      if (built.has(level)) continue;
      for (const batch of batches(level, glass?.map)) {
        done += workOn(level, [batch]);
        const frames = batch.frames.filter((frame) => !writer.spools[image]!.has(frame));
        if (frames.length === 0) continue;
        const positions = frames.map((frame) => level.frames.at(frame)!);
        await writer.writeAll(image, frames, () =>
          mapFrames(mapping, level, positions, batch.isGlass, signal),
        );
        onProgress(done, passes);
        await pause.unless(() => save(false));
      }
    }
    if (built.size > 0) {
      // Save, so that the mapped frames are not lost if the next step fails.
      await save(false);
      await buildLevels(mapping.open.base(options.padding), images, built, network, transfer, writer, {
        ...options,
        onProgress: (part, of) => onProgress(total + (part / of) * (passes - total), passes),
      });
    }
    await save(true);
  }
  const resources = cleanup.move();
  return { spools: writer.spools, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

function pixelsOf({ rows, columns }: Level): number {
  return rows * columns;
}

function allPixels(level: Level): number {
  return pixelsOf(level) * level.frames.length;
}

/** Frames that are made together. */
interface Batch {
  /** Frame indices in the level, 0-based. */
  readonly frames: readonly number[];
  readonly isGlass: boolean;
}

/**
 * What a pixel of glass costs beside one of tissue, so that progress is as fast over both. Measured on a slide of 388
 * megapixels, a third of it glass, whose frames are passed through: between an eighth and a twentieth.
 */
const GLASS_COST = 1 / 8;

/** In pixels of tissue. */
function workOn(level: Level, parts: Iterable<Batch>): number {
  let work = 0;
  for (const { frames, isGlass } of parts)
    work += frames.length * pixelsOf(level) * (isGlass ? GLASS_COST : 1);
  return work;
}

/** The frames of a level in order, in batches: of one instance, and either all glass or all not glass. */
function* batches(level: Level, glass: GlassMap | undefined): Generator<Batch> {
  const maxFrames = maxTogether(level);
  let frames: number[] = [];
  const isGlassFrame = glassFrames(glass, level);
  let isGlass = false;
  for (const [frame, position] of level.frames.entries()) {
    const isThisGlass = isGlassFrame(frame);
    const isOther =
      isThisGlass !== isGlass || position.instance !== level.frames.at(frames[0] ?? frame)!.instance;
    if (frames.length > 0 && (isOther || frames.length === maxFrames)) {
      yield { frames, isGlass };
      frames = [];
    }
    frames.push(frame);
    isGlass = isThisGlass;
  }
  if (frames.length > 0) yield { frames, isGlass };
}

/** Builds the levels that were not mapped from the base level, whose own frames are already made. */
async function buildLevels(
  base: PixelSource,
  images: readonly Level[],
  built: ReadonlySet<Level>,
  network: StainNetwork,
  transfer: LinearTransfer,
  writer: FrameWriter,
  options: MakeOptions,
): Promise<void> {
  const chosen = [...images.keys()].filter((image) => image === 0 || built.has(images[image]!));
  const builder = new LevelBuilder(
    chosen.map((image) => images[image]!),
    writer.part(chosen),
    // The glass that the levels themselves show cannot be trusted either.
    { ...options, glass: undefined, withoutBase: true },
  );
  await normalizePixels(base, network, transfer, {
    signal: options.signal,
    sink: (core, at) => builder.add(core, at),
    onProgress: options.onProgress,
  });
  await builder.finish();
}
