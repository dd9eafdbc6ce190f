/** From a series in an archive to pixels that can be read at random: look, fetch into the spool, open. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { CodecPool, MapOptions } from '../codec/codec-pool.ts';
import type { StoredFrame as CodecFrame } from '../codec/codec-worker.ts';
import type { ColourMap } from '../codec/colour-map.ts';
import type { EncodeOptions } from '../codec/encode-frame.ts';
import { type FrameFormat, invalidFrame, mostStoredBytes } from '../codec/frame-format.ts';
import { coloursByGlass, isDoubtful, withColours } from '../codec/native-colours.ts';
import type { DataSet } from '../dicom/dataset.ts';
import { inflateFile } from '../dicom/deflated.ts';
import { openPart10, type Part10File } from '../dicom/part10-file.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import { type ErrorCode, StainError, toStainError } from '../errors.ts';
import { describeSlide, type SlideLimits, withoutThumbnail } from '../slide/describe.ts';
import { LevelSource, type PixelSource, type TileDecoder } from '../slide/pixel-source.ts';
import { type Raster, type Rgb, WHITE } from '../slide/raster.ts';
import type { FramePosition, Level, Slide } from '../slide/types.ts';
import { Checkpoint, type FetchedInstance } from './checkpoint.ts';
import { type Colour, colourOf, type InvalidProfilePolicy } from './colour.ts';
import { instanceRoom, LOSSY, NOTHING, sum, UNCOMPRESSED } from './needed-room.ts';
import type { ProgressTracker } from './progress.ts';
import { createTemporarySpool, type NeededRoom, type Spool, type SpoolOptions } from './spool.ts';

/** Reads a header of at most this size: per-frame groups of a few hundred thousand frames. */
const MAX_HEADER_BYTES = 256e6;

/** What waits to be written is written together. */
const WRITE_BYTES = 4 * 1024 * 1024;

export interface SeriesReference {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
}

export interface SlideReference extends SeriesReference {
  /** SOP Instance UID of any image of the slide; without it the only slide of the series. */
  readonly slide?: string | undefined;
}

/** What it takes to read a series. */
export interface SeriesAccess {
  readonly source: DicomWebClient;
  readonly codecs: CodecPool;
  readonly spool: SpoolOptions;
  readonly limits: SlideLimits & { readonly maxInstanceBytes: number };
  readonly onInvalidProfile: InvalidProfilePolicy;
}

/** Where a job fetches to, and what is there already. */
export interface FetchPlace {
  readonly spool: Spool;
  readonly checkpoint: Checkpoint;
  /** Hears what is to be fetched before it is, and may refuse it. */
  onAnnounced(slide: Slide): void;
  /** What the work needs in the spool besides the source. */
  roomFor(slide: Slide): NeededRoom;
}

export interface OpenSeries extends AsyncDisposable {
  readonly slide: Slide;
  readonly colour: Colour;
  /** Pixels of the base level in sRGB; `absent` is the colour where the slide has no tile. */
  base(absent: Rgb): PixelSource;
  /** The same of any level. */
  pixels(level: Level, absent: Rgb): PixelSource;
  /** Levels in which the tissue can be seen, the smallest first and the base level last. */
  overviews(absent: Rgb): PixelSource[];
  /**
   * The level on which glass is told from tissue: the smallest that shows single nuclei. undefined where that is the
   * base level.
   */
  glassView(absent: Rgb): PixelSource | undefined;
  /** One frame as it is stored. */
  storedFrame(level: Level, position: FramePosition): Promise<StoredFrame>;
  /** The pixels of one frame, in sRGB. */
  readFrame(level: Level, position: FramePosition): Promise<Raster>;
  /** Frames of one instance with their colours moved, encoded. */
  mapFrames(
    level: Level,
    positions: readonly FramePosition[],
    colours: ColourMap,
    output: Pick<EncodeOptions, 'encoding' | 'quality'>,
    signal: AbortSignal,
  ): Promise<readonly Uint8Array[]>;
  /** Whether the frames of a level were compressed with loss, as far as the transfer syntax tells. */
  isLossy(level: Level): boolean;
}

export interface StoredFrame {
  readonly format: FrameFormat;
  readonly bytes: Uint8Array;
}

/**
 * What the archive's metadata say of a slide, without fetching a pixel: the slide, or the reason why not.
 * @throws SERIES_NOT_FOUND and the refusals of `describeSlide`
 */
export async function inspectSeries(
  series: SlideReference,
  { source, limits }: Pick<SeriesAccess, 'source' | 'limits'>,
  signal: AbortSignal,
): Promise<Slide> {
  const headers = await source.seriesMetadata(series.studyInstanceUid, series.seriesInstanceUid, signal);
  if (headers.length === 0)
    throw new StainError(
      'SERIES_NOT_FOUND',
      `The archive holds no series ${series.seriesInstanceUid} in study ${series.studyInstanceUid}.`,
    );
  const slide = describeSlide(headers, limits, series.slide);
  requireSeries(headers, series);
  requireInstanceSize(slide, limits.maxInstanceBytes);
  return slide;
}

/**
 * Fetches all levels of the slide and opens them. The headers used from here on are those of the instances themselves.
 * @param place of a job, where an earlier attempt may have fetched some; otherwise a folder that goes with the series
 */
export async function openSeries(
  series: SlideReference,
  access: SeriesAccess,
  progress: ProgressTracker,
  signal: AbortSignal,
  place?: FetchPlace,
): Promise<OpenSeries> {
  await using cleanup = new AsyncDisposableStack();
  const { files, isOneOfSeveral, notes } = await fetchSlide(series, access, progress, signal, cleanup, place);
  const described = describeSlide(
    [...files.values()].map(({ dataset }) => dataset),
    access.limits,
  );
  const base = described.levels[0]!;
  const colour = await colourOf(base, access.onInvalidProfile);
  const stored = await withTrueColours(
    described,
    new Map(imagesOf(described).map((level) => [level, storedInstances(level, files)])),
  );
  const pixels = (level: Level, absent: Rgb): PixelSource =>
    new LevelSource(level, tileDecoder(stored.get(level)!, access.codecs, colour), absent);
  const slide = await requireReadable(
    {
      ...described,
      isOneOfSeveral,
      notes: [...described.notes, ...notes],
    },
    files,
    pixels,
    signal,
  );
  const resources = cleanup.move();
  return {
    slide,
    colour,
    base: (absent) => pixels(base, absent),
    pixels,
    overviews: (absent) => overviewLevels(slide).map((level) => pixels(level, absent)),
    glassView: (absent) => {
      const level = glassLevel(slide);
      return level && pixels(level, absent);
    },
    async storedFrame(level, { instance, frame }) {
      const { file, format } = stored.get(level)![instance]!;
      return { format, bytes: await file.frame(frame) };
    },
    readFrame: async (level, position) => ({
      width: level.columns,
      height: level.rows,
      rgb: await tileDecoder(stored.get(level)!, access.codecs, colour)(position, signal),
    }),
    mapFrames: (level, positions, colours, output, signal) => {
      const { rows, columns } = level;
      const options = { colours, output: { rows, columns, ...output }, signal };
      return mapFrames(level, stored.get(level)![positions[0]!.instance]!, positions, access.codecs, options);
    },
    isLossy: ({ instances }) =>
      instances.some(({ sopInstanceUid }) => LOSSY.has(files.get(sopInstanceUid)!.transferSyntaxUid)),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/**
 * All images of a slide in the spool, open. In a function of its own, so that what the archive announced of some hundred thousand
 * frames does not stay in memory.
 */
async function fetchSlide(
  series: SlideReference,
  access: SeriesAccess,
  progress: ProgressTracker,
  signal: AbortSignal,
  cleanup: AsyncDisposableStack,
  place: FetchPlace | undefined,
): Promise<{
  readonly files: ReadonlyMap<string, Part10File>;
  readonly isOneOfSeveral: boolean;
  readonly notes: readonly string[];
}> {
  const announced = await inspectSeries(series, access, signal);
  progress.report('open', 1, 1, 'instances');
  place?.onAnnounced(announced);
  const fetchPlace = place ?? (await temporaryPlace(access, cleanup));
  const files = new Map<string, Part10File>();
  const notes: string[] = [];
  const needed = new Map(
    imagesOf(announced).flatMap((level) =>
      level.instances.map((instance) => [instance.sopInstanceUid, instanceRoom(level, instance)]),
    ),
  );
  const reserve = (): Promise<void> =>
    fetchPlace.spool.reserve(sum(...needed.values(), fetchPlace.roomFor(announced)));
  await reserve();
  const uids = [...needed.keys()];
  for (const [i, uid] of uids.entries()) {
    progress.report('fetch', i, uids.length, 'instances');
    try {
      const { path, bytes } = await fetchOnce(series, uid, access, fetchPlace, signal, async (length) => {
        const isMore = length > needed.get(uid)!.likely;
        needed.set(uid, { least: length, likely: length });
        // One that is longer than was thought is not begun without room for it.
        if (isMore) await reserve();
      });
      needed.set(uid, { least: bytes, likely: bytes });
      files.set(uid, cleanup.use(await openInstance(series, uid, path, signal)));
    } catch (error) {
      if (!isOfThumbnail(announced, uid)) throw error;
      notes.push(withoutThumbnail(requireDamage(error)));
    }
  }
  progress.report('fetch', uids.length, uids.length, 'instances');
  // What was set aside for the source and not needed is given back.
  await reserve();
  return { files, isOneOfSeveral: announced.isOneOfSeveral, notes: [...announced.notes, ...notes] };
}

async function temporaryPlace({ spool }: SeriesAccess, cleanup: AsyncDisposableStack): Promise<FetchPlace> {
  const temporary = cleanup.use(await createTemporarySpool(spool));
  const checkpoint = await Checkpoint.open(temporary, '', () => {});
  return { spool: temporary, checkpoint, onAnnounced: () => {}, roomFor: () => NOTHING };
}

/** An instance in the spool: as an earlier attempt has left it, or fetched now. */
async function fetchOnce(
  series: SeriesReference,
  sopInstanceUid: string,
  access: SeriesAccess,
  { spool, checkpoint }: FetchPlace,
  signal: AbortSignal,
  onLength: (bytes: number) => Promise<void>,
): Promise<{ path: string; bytes: number }> {
  const { fetched } = checkpoint.reached;
  const earlier = fetched.find((instance) => instance.sopInstanceUid === sopInstanceUid);
  if (earlier) {
    const path = join(spool.directory, earlier.file);
    if ((await sha256Of(path, signal)) === earlier.sha256) return { path, bytes: (await stat(path)).size };
  }
  const { path, bytes, sha256 } = await fetchInstance(
    series,
    sopInstanceUid,
    spool,
    access,
    signal,
    onLength,
  );
  const instance: FetchedInstance = { sopInstanceUid, file: basename(path), sha256 };
  await checkpoint.save({ fetched: [...fetched.filter((other) => other !== earlier), instance] });
  return { path, bytes };
}

/** SHA-256 of a file; undefined where it cannot be read. */
async function sha256Of(path: string, signal: AbortSignal): Promise<string | undefined> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path), hash, { signal });
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
  return hash.digest('hex');
}

/** An instance that was fetched. */
export interface FetchedFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Fetches one instance into a file of a spool, which takes room for every byte before it is written. A deflated one is
 * inflated on the way, within the limits of any other.
 * @param onLength awaited before the first byte, where the archive announces how many there will be at most
 * @throws SPOOL_FULL, SPOOL_TOO_SMALL, SLIDE_TOO_LARGE and what `retrieveInstance` throws; nothing is left then
 */
export async function fetchInstance(
  { studyInstanceUid, seriesInstanceUid }: SeriesReference,
  sopInstanceUid: string,
  spool: Spool,
  { source, limits }: Pick<SeriesAccess, 'source' | 'limits'>,
  signal: AbortSignal,
  onLength?: (bytes: number) => Promise<void>,
): Promise<FetchedFile> {
  const path = spool.newFile('source');
  const hash = createHash('sha256');
  let bytes = 0;
  async function* counted(): AsyncIterable<Uint8Array> {
    const body = source.retrieveInstance(
      studyInstanceUid,
      seriesInstanceUid,
      sopInstanceUid,
      signal,
      onLength,
    );
    for await (const chunk of inflateFile(body)) {
      if (bytes + chunk.length > limits.maxInstanceBytes)
        throw new StainError(
          'SLIDE_TOO_LARGE',
          `An instance is larger than the limit of ${limits.maxInstanceBytes} bytes.`,
        );
      await spool.take(chunk.length);
      bytes += chunk.length;
      hash.update(chunk);
      yield chunk;
    }
  }
  try {
    const options = { flags: 'wx', mode: 0o600, flush: true, highWaterMark: WRITE_BYTES };
    await pipeline(counted, createWriteStream(path, options), { signal });
  } catch (error) {
    await rm(path, { force: true });
    spool.give(bytes);
    throw error;
  }
  return { path, bytes, sha256: hash.digest('hex') };
}

/** Opens an instance that was fetched. @throws DICOM_INVALID where it is another one */
export async function openInstance(
  series: SeriesReference,
  sopInstanceUid: string,
  path: string,
  signal: AbortSignal,
): Promise<Part10File> {
  const file = await openPart10(path, { signal, maxHeaderBytes: MAX_HEADER_BYTES });
  try {
    requireIdentity(file, series, sopInstanceUid);
  } catch (error) {
    await file.close();
    throw error;
  }
  return file;
}

/**
 * An archive that moved a study may still hold files that say otherwise: the result would go to the wrong place. A level in
 * the place of another one would make a slide that lacks the other.
 */
function requireIdentity({ dataset }: Part10File, series: SeriesReference, sopInstanceUid: string): void {
  requireSeries([dataset], series);
  if (dataset.string('SOPInstanceUID') !== sopInstanceUid)
    throw new StainError('DICOM_INVALID', 'The archive sent another instance than the one it was asked for.');
}

function requireSeries(headers: readonly DataSet[], series: SeriesReference): void {
  for (const header of headers)
    if (
      header.string('StudyInstanceUID') !== series.studyInstanceUid ||
      header.string('SeriesInstanceUID') !== series.seriesInstanceUid
    )
      throw new StainError(
        'DICOM_INVALID',
        'An instance belongs to another study or series than the archive says.',
      );
}

/** All images of a slide that are read: its levels and the thumbnail. */
export function imagesOf(slide: Slide): Level[] {
  return slide.thumbnail ? [...slide.levels, slide.thumbnail] : [...slide.levels];
}

/** An archive that cannot take the result is told of before the work, not after it. */
function requireInstanceSize(slide: Slide, maxInstanceBytes: number): void {
  for (const level of slide.levels) {
    // JPEG at quality 90 stays below a third of the raw size, lossless mostly too.
    const bytes = (level.frames.length * level.rows * level.columns * 3) / 3;
    if (bytes > maxInstanceBytes)
      throw new StainError(
        'SLIDE_TOO_LARGE',
        `A level may take ${Math.round(bytes / 1e6)} MB; the limit is ${Math.round(maxInstanceBytes / 1e6)} MB an instance.`,
        {
          data: { bytes, limit: maxInstanceBytes },
        },
      );
  }
}

/**
 * Every image has the frames that its header announces, and its first one can be decoded: a header that lies is met before
 * any work is done. @returns the slide, without a thumbnail that cannot be read
 */
async function requireReadable(
  slide: Slide,
  files: ReadonlyMap<string, Part10File>,
  pixels: (level: Level, absent: Rgb) => PixelSource,
  signal: AbortSignal,
): Promise<Slide> {
  for (const level of slide.levels) {
    requireFrames(level, files);
    const { x, y } = level.frames[0]!;
    await pixels(level, WHITE).read({ x, y, width: 1, height: 1 }, signal);
  }
  const { thumbnail } = slide;
  if (!thumbnail) return slide;
  try {
    requireFrames(thumbnail, files);
    const { columns, rows } = thumbnail.placement.content;
    await pixels(thumbnail, WHITE).read({ x: 0, y: 0, width: columns, height: rows }, signal);
    return slide;
  } catch (error) {
    return {
      ...slide,
      thumbnail: undefined,
      notes: [...slide.notes, withoutThumbnail(requireDamage(error))],
    };
  }
}

function requireFrames({ instances }: Level, files: ReadonlyMap<string, Part10File>): void {
  for (const { sopInstanceUid, numberOfFrames } of instances) {
    const found = files.get(sopInstanceUid)?.numberOfFrames;
    if (found !== numberOfFrames)
      throw new StainError(
        'DICOM_INVALID',
        `An instance announces ${numberOfFrames} frames and holds ${found ?? 0}.`,
      );
  }
}

/** What is wrong with the bytes of an image, and not with the way to them. */
const DAMAGE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'DICOM_INVALID',
  'FRAME_INVALID',
  'FRAME_SIZE_MISMATCH',
  'PIXEL_FORMAT_UNSUPPORTED',
  'TRANSFER_SYNTAX_UNSUPPORTED',
]);

/** @throws whatever else it is */
function requireDamage(error: unknown): StainError {
  if (error instanceof StainError && DAMAGE.has(error.code)) return error;
  throw error;
}

function isOfThumbnail({ thumbnail }: Slide, sopInstanceUid: string): boolean {
  return thumbnail?.instances.some((instance) => instance.sopInstanceUid === sopInstanceUid) ?? false;
}

/** Pixels needed across the overview for the tissue to show. */
const OVERVIEW_PIXELS = 256;
/** More reduction than this hides small pieces of tissue. */
const OVERVIEW_REDUCTION = 128;

/** Levels in which the tissue can be seen, the smallest first and the base level last. */
export function overviewLevels({ levels }: Slide): Level[] {
  const shows = ({ placement: { reduction, content } }: Level): boolean =>
    Math.max(content.columns, content.rows) >= OVERVIEW_PIXELS && reduction.across <= OVERVIEW_REDUCTION;
  return [...levels.slice(1).filter(shows).toReversed(), levels[0]!];
}

/** A level reduced by more hides single nuclei: one of 20 pixels darkens its pixel by little more than the glass's noise. */
const GLASS_REDUCTION = 16;
/** Millimetres a pixel of such a level at most: a nucleus has 0.006 and more. */
const GLASS_SPACING = 0.004;

/** The smallest level that shows single nuclei and lies over the base level pixel for pixel, in both directions. */
function glassLevel({ levels }: Slide): Level | undefined {
  const base = levels[0]!;
  const spacing = base.spacing?.[0];
  const most = Math.min(GLASS_REDUCTION, spacing ? Math.max(2, GLASS_SPACING / spacing) : GLASS_REDUCTION);
  const level = levels.findLast(({ placement: { reduction, content } }) => {
    const whole = Math.round(reduction.across);
    const isExact = (fine: number, reduced: number): boolean => Math.abs(fine / whole - reduced) < 1;
    return (
      whole <= most + 0.5 &&
      isExact(base.totalColumns, content.columns) &&
      isExact(base.totalRows, content.rows)
    );
  });
  return level === base ? undefined : level;
}

/** What the headers of a level's instances say of their frames. */
export function frameFormats({ instances, rows, columns }: Level): Omit<FrameFormat, 'transferSyntaxUid'>[] {
  return instances.map(({ dataset }) => ({
    rows,
    columns,
    photometricInterpretation: dataset.string('PhotometricInterpretation') ?? 'RGB',
    planarConfiguration: dataset.number('PlanarConfiguration') ?? 0,
  }));
}

interface StoredInstance {
  readonly file: Part10File;
  readonly format: FrameFormat;
}

function storedInstances(level: Level, files: ReadonlyMap<string, Part10File>): StoredInstance[] {
  return frameFormats(level).map((format, i) => {
    const file = files.get(level.instances[i]!.sopInstanceUid)!;
    return { file, format: { ...format, transferSyntaxUid: file.transferSyntaxUid } };
  });
}

/** Whether the frames of an instance are uncompressed, and may be other colours than its header says. */
function isInDoubt(file: Part10File, format: Omit<FrameFormat, 'transferSyntaxUid'>): boolean {
  return UNCOMPRESSED.has(file.transferSyntaxUid) && isDoubtful(format, file.frameLength(0));
}

/** Uncompressed frames with the colours that they hold, where their header may be wrong. @throws PIXEL_FORMAT_UNSUPPORTED */
async function withTrueColours(
  slide: Slide,
  stored: ReadonlyMap<Level, StoredInstance[]>,
): Promise<ReadonlyMap<Level, StoredInstance[]>> {
  const isOne = ({ file, format }: StoredInstance): boolean => isInDoubt(file, format);
  if (![...stored.values()].flat().some(isOne)) return stored;
  // One slide was decompressed by one archive: what holds for the levels that show it whole holds for all.
  async function* frames(): AsyncIterable<StoredFrame> {
    for (const { file, format } of overviewLevels(slide).flatMap((level) => stored.get(level)!.filter(isOne)))
      for (let frame = 0; frame < file.numberOfFrames; frame++)
        yield { format, bytes: await file.frame(frame) };
  }
  const found = await coloursByGlass(frames());
  const resolved = (instance: StoredInstance): StoredInstance =>
    isOne(instance) ? { ...instance, format: withColours(instance.format, found) } : instance;
  return new Map([...stored].map(([level, instances]) => [level, instances.map(resolved)]));
}

function tileDecoder(
  instances: readonly StoredInstance[],
  codecs: CodecPool,
  { table }: Colour,
): TileDecoder {
  return async ({ instance, frame }, signal) => {
    const stored = instances[instance]!;
    const bytes = await frameOf(stored, frame);
    try {
      return await codecs.decode(bytes, stored.format, { table, signal });
    } catch (error) {
      throw atFrame(error, stored.file.sopInstanceUid, frame);
    }
  };
}

/** Frames of an instance through a codec thread together. @throws what is wrong with one of them, which names it */
async function mapFrames(
  level: Level,
  instance: StoredInstance,
  positions: readonly FramePosition[],
  codecs: CodecPool,
  options: MapOptions,
): Promise<readonly Uint8Array[]> {
  const frames: CodecFrame[] = [];
  for (const { frame, x, y } of positions)
    frames.push({
      bytes: await frameOf(instance, frame),
      visible: {
        width: Math.min(level.columns, level.totalColumns - x),
        height: Math.min(level.rows, level.totalRows - y),
      },
    });
  try {
    return await codecs.map(frames, instance.format, options);
  } catch (error) {
    const { code, message, data, cause } = toStainError(error);
    const { inBatch, ...rest } = data as { inBatch?: number };
    const found = inBatch ?? (positions.length === 1 ? 0 : undefined);
    if (found !== undefined) {
      const plain = inBatch === undefined ? error : new StainError(code, message, { data: rest, cause });
      throw atFrame(plain, instance.file.sopInstanceUid, positions[found]!.frame);
    }
    if (!DAMAGE.has(code)) throw error;
    // One of them ended its thread: each alone says which.
    const mapped: Uint8Array[] = [];
    for (const position of positions)
      mapped.push(...(await mapFrames(level, instance, [position], codecs, options)));
    return mapped;
  }
}

/** A frame as it is stored. @throws FRAME_INVALID, which names it */
async function frameOf({ file, format }: StoredInstance, frame: number): Promise<Uint8Array> {
  try {
    if (file.frameLength(frame) > mostStoredBytes(format))
      throw invalidFrame(`A frame has ${file.frameLength(frame)} bytes, many more than its pixels.`);
    return await file.frame(frame);
  } catch (error) {
    throw atFrame(error, file.sopInstanceUid, frame);
  }
}

/** A damaged frame is found by nobody who does not know which it is. @param frame 0-based */
export function atFrame(error: unknown, sopInstanceUid: string, frame: number): unknown {
  if (!(error instanceof StainError) || !DAMAGE.has(error.code)) return error;
  const number = frame + 1;
  return new StainError(error.code, `${error.message} It is frame ${number} of instance ${sopInstanceUid}.`, {
    data: { ...error.data, sopInstanceUid, frame: number },
    cause: error,
  });
}
