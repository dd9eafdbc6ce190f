/**
 * All frames of a result by `linear`: every stored frame of every level goes through one thread by itself, across crashes.
 * A level that does not show what the base level shows is made of the base level instead.
 */
import { type ColourMap, colourMap } from '../codec/colour-map.ts';
import type { StainNetwork } from '../inference/network.ts';
import type { FramePosition, Level } from '../slide/types.ts';
import type { Rectangle } from '../slide/windows.ts';
import type { LinearTransfer } from '../stain/transfer.ts';
import { LevelBuilder } from './build-levels.ts';
import type { Checkpoint } from './checkpoint.ts';
import { checkpointPause } from './checkpoint-pause.ts';
import { FrameWriter } from './frame-writer.ts';
import { disagreeingLevels, extentOf } from './level-agreement.ts';
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
    const total = images.reduce((sum, level) => sum + pixelsOf(level) * level.frames.length, 0);
    let done = 0;
    // The small levels first: what is wrong with one of them is met before the large one is worked on.
    for (const [image, level] of [...images.entries()].toReversed()) {
      if (!built.has(level))
        for (const [frame, position] of level.frames.entries()) {
          done += pixelsOf(level);
          if (writer.spools[image]!.has(frame)) continue;
          await writer.write(image, frame, () => mapped(open, level, position, colours, options));
          onProgress(done, total);
          await pause.unless(() => save(false));
        }
    }
    await writer.settle();
    if (built.size > 0) await buildLevels(open, images, built, network, transfer, writer, options);
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

/** One frame of the result. Glass stays as it is stored, where that is possible. */
function mapped(
  open: OpenSeries,
  level: Level,
  position: FramePosition,
  colours: ColourMap,
  { glass, encoding, quality, signal }: MakeOptions,
): Promise<Uint8Array> {
  if (glass?.map.isGlass(onBase(level, position))) return glass.frame(level, position);
  return open.mapFrame(level, position, colours, { encoding, quality }, signal);
}

/** What a frame shows, in pixels of the base level. */
function onBase(level: Level, position: FramePosition): Rectangle {
  const { across, down } = level.placement.reduction;
  const { x, y, width, height } = extentOf(level, position);
  return { x: x * across, y: y * down, width: width * across, height: height * down };
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
