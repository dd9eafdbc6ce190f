/**
 * All frames of a result by `linear`: every stored frame of every level goes through one thread by itself, across crashes.
 * A level that does not show what the base level shows is made of the base level instead.
 */
import { type ColourMap, colourMap } from '../codec/colour-map.ts';
import type { StainNetwork } from '../inference/network.ts';
import type { GlassMap } from '../slide/glass-map.ts';
import { extentOnBase } from '../slide/placement.ts';
import type { Level } from '../slide/types.ts';
import type { LinearTransfer } from '../stain/transfer.ts';
import { LevelBuilder } from './build-levels.ts';
import type { Checkpoint } from './checkpoint.ts';
import { checkpointPause } from './checkpoint-pause.ts';
import { FrameWriter } from './frame-writer.ts';
import { disagreeingLevels } from './level-agreement.ts';
import { type MadeLevels, type MakeOptions, usable } from './make-levels.ts';
import { normalizePixels } from './normalize-pixels.ts';
import type { OpenSeries } from './open-series.ts';

/** @param images the base level first, then the others, finest first */
export async function mapLevels(
  open: OpenSeries,
  images: readonly Level[],
  network: StainNetwork,
  transfer: LinearTransfer,
  checkpoint: Checkpoint,
  options: MakeOptions,
): Promise<MadeLevels> {
  const { glass, signal, onProgress } = options;
  const { executionProvider, coreSize } = network;
  const reached = usable(checkpoint.reached.levels, network);
  const built = await disagreeingLevels(open, images, transfer, glass?.map, signal);
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
    const colours = colourMap(open.colour.table, transfer.tables);
    const total = images.reduce((sum, level) => sum + (built.has(level) ? 0 : allPixels(level)), 0);
    // Levels that are built take another pass over the base level.
    const passes = total + (built.size > 0 ? allPixels(images[0]!) : 0);
    let done = 0;
    // The small levels first: what is wrong with one of them is met before the large one is worked on.
    for (const [image, level] of [...images.entries()].toReversed()) {
      if (built.has(level)) continue;
      for (const batch of batches(level, glass?.map)) {
        done += batch.frames.length * pixelsOf(level);
        const frames = batch.frames.filter((frame) => !writer.spools[image]!.has(frame));
        if (frames.length === 0) continue;
        await writer.writeAll(image, frames, () => made(open, level, { ...batch, frames }, colours, options));
        onProgress(done, passes);
        await pause.unless(() => save(false));
      }
    }
    if (built.size > 0) {
      // What was mapped is not lost with what comes.
      await save(false);
      await buildLevels(open, images, built, network, transfer, writer, {
        ...options,
        onProgress: (part, of) => onProgress(total + (part / of) * (passes - total), passes),
      });
    }
    await save(true);
  }
  const resources = cleanup.move();
  return {
    spools: writer.spools,
    built,
    notes: [...built].map(
      ({ totalColumns, totalRows }) =>
        `The image of ${totalColumns} x ${totalRows} pixels does not show what the base level shows: it was made of the base level.`,
    ),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function pixelsOf({ rows, columns }: Level): number {
  return rows * columns;
}

function allPixels(level: Level): number {
  return pixelsOf(level) * level.frames.length;
}

/** Frames that are made together. */
interface Batch {
  /** In the level, 0-based. */
  readonly frames: readonly number[];
  readonly isGlass: boolean;
}

/** Enough to keep a thread at work while the event loop is busy. */
const BATCH_PIXELS = 2 ** 20;

/** The frames of a level in their order, some at a time: of one instance, and either all glass or none. */
function* batches(level: Level, glass: GlassMap | undefined): Generator<Batch> {
  const most = Math.max(1, Math.floor(BATCH_PIXELS / pixelsOf(level)));
  let frames: number[] = [];
  let isGlass = false;
  for (const [frame, position] of level.frames.entries()) {
    const isThisGlass = glass?.isGlass(extentOnBase(level, position)) ?? false;
    const isOther =
      isThisGlass !== isGlass || position.instance !== level.frames[frames[0] ?? frame]!.instance;
    if (frames.length > 0 && (isOther || frames.length === most)) {
      yield { frames, isGlass };
      frames = [];
    }
    frames.push(frame);
    isGlass = isThisGlass;
  }
  if (frames.length > 0) yield { frames, isGlass };
}

/** Frames of the result. Glass stays as it is stored, where that is possible. */
async function made(
  open: OpenSeries,
  level: Level,
  { frames, isGlass }: Batch,
  colours: ColourMap,
  { glass, encoding, quality, signal }: MakeOptions,
): Promise<readonly Uint8Array[]> {
  const positions = frames.map((frame) => level.frames[frame]!);
  if (!isGlass || !glass) return open.mapFrames(level, positions, colours, { encoding, quality }, signal);
  const kept: Uint8Array[] = [];
  for (const position of positions) kept.push(await glass.frame(level, position));
  return kept;
}

/** The levels that were not mapped, of the base level; its own frames are there already. */
async function buildLevels(
  open: OpenSeries,
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
    // What the levels themselves show of the glass cannot be believed either.
    { ...options, glass: undefined, withoutBase: true },
  );
  await normalizePixels(open.base(options.padding), network, transfer, {
    signal: options.signal,
    sink: (core, at) => builder.add(core, at),
    onProgress: options.onProgress,
  });
  await builder.finish();
}
