/**
 * The pixels of a slide in sRGB, whether its frames lie in the spool or are fetched from the archive as they are read.
 */

import type { StoredFrame } from '../../../core/src/codec/frame-format.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import type { Raster, Rgb } from '../../../core/src/image/raster.ts';
import type { CodecPool, MapOptions } from '../codec/codec-pool.ts';
import type { ColourMap } from '../codec/colour-map.ts';
import type { EncodeOptions } from '../codec/encode-frame.ts';
import { LevelSource, type PixelSource } from '../slide/pixel-source.ts';
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
  /**
   * The level used to tell glass from tissue: the smallest that shows single nuclei. Returns undefined if that is the
   * base level.
   */
  glassView(absent: Rgb): PixelSource | undefined;
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
   * Until it is disposed of, decoded tiles of small levels stay in memory: while a series is prepared they are read
   * several times.
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

/** Maximum number of pixels held in memory, 24 MB; a level whose frames have more is not held. */
const HELD_PIXELS = 8e6;

/** Errors about a frame say which frame it is. */
export function slidePixels({ slide, colour, codecs, readFrame, isLossy }: SlideFrames): SlidePixels {
  const { table } = colour;
  const storedFrame: SlidePixels['storedFrame'] = (level, position, signal) =>
    naming(level, position, () => readFrame(level, position, signal));
  const decoded = (level: Level, position: FramePosition, signal: AbortSignal): Promise<Uint8Array> =>
    naming(level, position, async () => {
      const { bytes, format } = await readFrame(level, position, signal);
      return codecs.decode(bytes, format, { table, signal });
    });
  let held: Map<string, Promise<Uint8Array>> | undefined;
  let room = 0;
  const tile = (level: Level, position: FramePosition, signal: AbortSignal): Promise<Uint8Array> => {
    const size = level.rows * level.columns;
    if (!held || level.frames.length * size > HELD_PIXELS) return decoded(level, position, signal);
    const { sopInstanceUid } = level.instances[position.instance]!;
    const key = `${sopInstanceUid} ${position.frame}`;
    const known = held.get(key);
    if (known) return known;
    const pixels = decoded(level, position, signal);
    if (size <= room) {
      room -= size;
      held.set(key, pixels);
    }
    return pixels;
  };
  const pixels: SlidePixels['pixels'] = (level, absent) =>
    new LevelSource(level, (position, signal) => tile(level, position, signal), absent);
  return {
    slide,
    colour,
    pixels,
    base: (absent) => pixels(slide.levels[0]!, absent),
    overviews: (absent) => overviewLevels(slide).map((level) => pixels(level, absent)),
    glassView: (absent) => {
      const level = glassLevel(slide);
      return level && pixels(level, absent);
    },
    storedFrame,
    readFrame: async (level, position, signal) => ({
      width: level.columns,
      height: level.rows,
      rgb: await decoded(level, position, signal),
    }),
    mapFrames(level, positions, colours, output, signal) {
      const { rows, columns } = level;
      const options = { colours, output: { rows, columns, ...output }, signal };
      return mapFrames(level, positions, storedFrame, codecs, options);
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
async function mapFrames(
  level: Level,
  positions: readonly FramePosition[],
  storedFrame: SlidePixels['storedFrame'],
  codecs: CodecPool,
  options: MapOptions,
): Promise<readonly Uint8Array[]> {
  // All at once, so that frames in an archive are fetched in one request.
  const stored = await Promise.all(positions.map((position) => storedFrame(level, position, options.signal)));
  const frames = stored.map(({ bytes }, i) => ({
    bytes,
    visible: {
      width: Math.min(level.columns, level.totalColumns - positions[i]!.x),
      height: Math.min(level.rows, level.totalRows - positions[i]!.y),
    },
  }));
  try {
    return await codecs.map(frames, stored[0]!.format, options);
  } catch (error) {
    const { code, message, data, cause } = toStainError(error);
    const { inBatch, ...rest } = data as { inBatch?: number };
    const found = inBatch ?? (positions.length === 1 ? 0 : undefined);
    if (found !== undefined) {
      const plain = inBatch === undefined ? error : new StainError(code, message, { data: rest, cause });
      throw atFrame(plain, level, positions[found]!);
    }
    if (!DAMAGE.has(code)) throw error;
    // One of them ended its thread: mapping each alone shows which.
    const mapped: Uint8Array[] = [];
    for (const position of positions)
      mapped.push(...(await mapFrames(level, [position], storedFrame, codecs, options)));
    return mapped;
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
