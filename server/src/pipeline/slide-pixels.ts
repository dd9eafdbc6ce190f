/**
 * The pixels of a slide in sRGB, whether its frames lie in the spool or are fetched from the archive as they are read.
 */

import type { FrameFormat, StoredFrame } from '../../../core/src/codec/frame-format.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import type { Raster, Rgb } from '../../../core/src/image/raster.ts';
import type { Rectangle } from '../../../core/src/image/windows.ts';
import type { CodecPool } from '../codec/codec-pool.ts';
import type { PlacedFrame } from '../codec/codec-worker.ts';
import type { ColourMap } from '../codec/colour-map.ts';
import type { EncodeOptions } from '../codec/encode-frame.ts';
import type { GlassSearch } from '../slide/glass-map.ts';
import { LevelSource, type PixelSource } from '../slide/pixel-source.ts';
import { extentInMatrix, extentOf } from '../slide/placement.ts';
import type { FramePosition, Level, Slide } from '../slide/types.ts';
import type { Colour } from './colour.ts';
import { DAMAGE, placed } from './damage.ts';

export interface SlidePixels {
  readonly slide: Slide;
  readonly colour: Colour;
  /** Pixels of the base level; `absent` is the colour of areas for which the slide has no tile. */
  base(absent: Rgb): PixelSource;
  /** The same for any level. */
  pixels(level: Level, absent: Rgb): PixelSource;
  /** Levels that show the tissue, the smallest first and the base level last. */
  overviews(absent: Rgb): PixelSource[];
  /** The level used to tell glass from tissue: the smallest that shows single nuclei. Undefined if that is the base level. */
  readonly glassLevel: Level | undefined;
  /** Counts the glass of frames of one instance, see `countGlass`. */
  countGlass(
    level: Level,
    positions: readonly FramePosition[],
    search: GlassSearch,
    signal: AbortSignal,
  ): Promise<readonly Uint16Array[]>;
  /** One frame as stored. */
  storedFrame(level: Level, position: FramePosition, signal: AbortSignal): Promise<StoredFrame>;
  /** The pixels of one frame. */
  readFrame(level: Level, position: FramePosition, signal: AbortSignal): Promise<Raster>;
  /** Maps the colours of frames of one instance, and encodes them. */
  mapFrames(
    level: Level,
    positions: readonly FramePosition[],
    colours: ColourMap,
    output: Pick<EncodeOptions, 'encoding' | 'quality'>,
    signal: AbortSignal,
  ): Promise<readonly Uint8Array[]>;
  /** Whether the frames of a level were compressed with loss, as far as the transfer syntax says. */
  isLossy(level: Level): boolean;
  /**
   * Until it is disposed of, frames of small levels stay in memory as they are stored: while a series is prepared they
   * are read several times, and may be far away.
   */
  holdSmallLevels(): Disposable;
}

export interface SlideFrames {
  readonly slide: Slide;
  readonly colour: Colour;
  readonly codecs: CodecPool;
  /** One frame as stored. */
  readFrame(level: Level, position: FramePosition, signal: AbortSignal): Promise<StoredFrame>;
  isLossy(level: Level): boolean;
}

/** A level with more pixels is not held, nor are more than that of all, at 3 bytes each: 24 MB. */
const HELD_PIXELS = 8e6;

/** Errors about a frame say which frame it is. */
export function slidePixels({ slide, colour, codecs, readFrame, isLossy }: SlideFrames): SlidePixels {
  const { table } = colour;
  let held: Map<string, Promise<StoredFrame>> | undefined;
  let room = 0;
  const storedFrame: SlidePixels['storedFrame'] = async (level, position, signal) => {
    const read = (): Promise<StoredFrame> =>
      naming(level, position, () => readFrame(level, position, signal));
    const size = level.rows * level.columns;
    if (!held || level.frames.length * size > HELD_PIXELS) return read();
    const { sopInstanceUid } = level.instances[position.instance]!;
    const key = `${sopInstanceUid} ${position.frame}`;
    let frame = held.get(key);
    if (!frame) {
      frame = read();
      if (size > room) return frame;
      room -= size;
      held.set(key, frame);
    }
    const { bytes, format } = await frame;
    if (bytes.length > size * 3 && held.delete(key)) room += size;
    // The reader may transfer them to a thread.
    return { bytes: new Uint8Array(bytes), format };
  };
  const decoded = async (level: Level, position: FramePosition, signal: AbortSignal): Promise<Uint8Array> => {
    const { bytes, format } = await storedFrame(level, position, signal);
    return naming(level, position, () => codecs.decode(bytes, format, { table, signal }));
  };
  const pixels: SlidePixels['pixels'] = (level, absent) =>
    new LevelSource(level, (position, signal) => decoded(level, position, signal), absent);
  return {
    slide,
    colour,
    pixels,
    base: (absent) => pixels(slide.levels[0]!, absent),
    overviews: (absent) => overviewLevels(slide).map((level) => pixels(level, absent)),
    glassLevel: glassLevel(slide),
    countGlass: (level, positions, search, signal) =>
      together(level, positions, extentOf, storedFrame, signal, (frames, format) =>
        codecs.countGlass(frames, format, search, { table, signal }),
      ),
    storedFrame,
    readFrame: async (level, position, signal) => ({
      width: level.columns,
      height: level.rows,
      rgb: await decoded(level, position, signal),
    }),
    mapFrames(level, positions, colours, output, signal) {
      const { rows, columns } = level;
      const options = { colours, output: { rows, columns, ...output }, signal };
      return together(level, positions, extentInMatrix, storedFrame, signal, (frames, format) =>
        codecs.map(frames, format, options),
      );
    },
    isLossy,
    holdSmallLevels() {
      held = new Map();
      room = HELD_PIXELS;
      return {
        [Symbol.dispose]() {
          held = undefined;
        },
      };
    },
  };
}

/**
 * Sends frames of one instance through a codec thread together.
 * @throws whatever is wrong with one of them; the error names the frame
 */
async function together<T>(
  level: Level,
  positions: readonly FramePosition[],
  extent: (level: Level, position: FramePosition) => Rectangle,
  storedFrame: SlidePixels['storedFrame'],
  signal: AbortSignal,
  work: (frames: readonly PlacedFrame[], format: FrameFormat) => Promise<readonly T[]>,
): Promise<readonly T[]> {
  // All at once, so that frames in an archive are fetched in one request.
  const stored = await Promise.all(positions.map((position) => storedFrame(level, position, signal)));
  const frames = stored.map(({ bytes }, i) => ({ bytes, extent: extent(level, positions[i]!) }));
  try {
    return await work(frames, stored[0]!.format);
  } catch (error) {
    const { code, message, data, cause } = toStainError(error);
    const { inBatch, ...rest } = data as { inBatch?: number };
    const found = inBatch ?? (positions.length === 1 ? 0 : undefined);
    if (found !== undefined) {
      const plain = inBatch === undefined ? error : new StainError(code, message, { data: rest, cause });
      throw atFrame(plain, level, positions[found]!);
    }
    if (!DAMAGE.has(code)) throw error;
    // One of them ended its thread: each alone shows which.
    const made: T[] = [];
    for (const position of positions)
      made.push(...(await together(level, [position], extent, storedFrame, signal, work)));
    return made;
  }
}

async function naming<T>(level: Level, position: FramePosition, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw atFrame(error, level, position);
  }
}

function atFrame(error: unknown, { instances }: Level, { instance, frame }: FramePosition): unknown {
  return placed(error, instances[instance]!.sopInstanceUid, frame + 1);
}

/** Minimum size of an overview in pixels, so that it shows the tissue. */
const OVERVIEW_PIXELS = 256;
/** A higher reduction than this hides small pieces of tissue. */
const OVERVIEW_REDUCTION = 128;

/** Levels that show the tissue, the smallest first and the base level last. */
export function overviewLevels({ levels }: Slide): Level[] {
  const shows = ({ placement: { reduction, content } }: Level): boolean =>
    Math.max(content.columns, content.rows) >= OVERVIEW_PIXELS && reduction.across <= OVERVIEW_REDUCTION;
  return [...levels.slice(1).filter(shows).toReversed(), levels[0]!];
}

/**
 * A higher reduction hides single nuclei: one of 20 pixels darkens its pixel by little more than the noise of the
 * glass.
 */
const GLASS_REDUCTION = 16;
/** Maximum pixel spacing of such a level, in millimetres: a nucleus measures at least 0.006. */
const GLASS_SPACING = 0.004;

/** The smallest level that shows single nuclei and aligns exactly with the base level in both directions. */
function glassLevel({ levels }: Slide): Level | undefined {
  const base = levels[0]!;
  const spacing = base.spacing?.[0];
  const maxReduction = Math.min(
    GLASS_REDUCTION,
    spacing ? Math.max(2, GLASS_SPACING / spacing) : GLASS_REDUCTION,
  );
  const level = levels.findLast(({ placement: { reduction, content } }) => {
    const whole = Math.round(reduction.across);
    const isExact = (fine: number, reduced: number): boolean => Math.abs(fine / whole - reduced) < 1;
    return (
      whole <= maxReduction + 0.5 &&
      isExact(base.totalColumns, content.columns) &&
      isExact(base.totalRows, content.rows)
    );
  });
  return level === base ? undefined : level;
}
