/** Turns a series in an archive into pixels with random access: inspect, fetch into the spool, open. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import {
  type FrameFormat,
  invalidFrame,
  maxStoredBytes,
  type StoredFrame,
} from '../../../core/src/codec/frame-format.ts';
import {
  coloursByGlass,
  isDoubtful,
  type NativeColours,
  withColours,
} from '../../../core/src/codec/native-colours.ts';
import { allowsLoss } from '../../../core/src/dicom/transfer-syntaxes.ts';
import { StainError } from '../../../core/src/errors.ts';
import { WHITE } from '../../../core/src/image/raster.ts';
import type { CodecPool } from '../codec/codec-pool.ts';
import type { Part10File } from '../dicom/part10-file.ts';
import { describeSlide, withoutThumbnail } from '../slide/describe.ts';
import type { Level, Slide } from '../slide/types.ts';
import { createTemporarySpool, type NeededRoom, type Spool } from '../spool/spool.ts';
import { type AnnouncedSlide, announcedSlide, isOfThumbnail } from './announced-slide.ts';
import { Checkpoint, type FetchedInstance } from './checkpoint.ts';
import { colourOf } from './colour.ts';
import { placed, requireDamage, unlessDamaged } from './damage.ts';
import { type FetchedFile, fetchInstance, openInstance } from './fetch-instance.ts';
import { imagesOf, type SeriesAccess } from './inspect-series.ts';
import { NOTHING, sum } from './needed-room.ts';
import type { ProgressTracker } from './progress.ts';
import type { SeriesReference, SlideReference } from './series-reference.ts';
import { overviewLevels, type SlidePixels, slidePixels } from './slide-pixels.ts';

/** Where a job fetches to, and what is already there. */
export interface FetchPlace {
  readonly spool: Spool;
  readonly checkpoint: Checkpoint;
  /** Called with what is to be fetched, before it is; may refuse it. */
  onAnnounced(slide: AnnouncedSlide): void;
  /** Spool room that the work needs in addition to the source. */
  roomFor(slide: AnnouncedSlide): NeededRoom;
  /** What the archive has just announced; if undefined, its metadata are read. */
  readonly announced?: AnnouncedSlide | undefined;
}

export interface OpenSeries extends SlidePixels, AsyncDisposable {}

/**
 * Fetches all levels of the slide and opens them. From here on, the headers used are those of the instances themselves.
 * @param place of a job, where an earlier attempt may have fetched some; otherwise a folder that is removed with the
 * series
 */
export async function openSeries(
  series: SlideReference,
  access: SeriesAccess,
  progress: ProgressTracker,
  signal: AbortSignal,
  place?: FetchPlace,
): Promise<OpenSeries> {
  await using cleanup = new AsyncDisposableStack();
  const { files, isOneOfSeveral, notes, kept } = await fetchSlide(
    series,
    access,
    progress,
    signal,
    cleanup,
    place,
  );
  const described = describeSlide(
    [...files.values()].map(({ dataset }) => dataset),
    access.limits,
  );
  const colour = await colourOf(described.levels[0]!.instances[0]!.dataset, access.onInvalidProfile);
  const stored = await withTrueColours(
    described,
    new Map(imagesOf(described).map((level) => [level, storedInstances(level, files)])),
    access.codecs,
    signal,
  );
  const pixelsOf = (slide: Slide): SlidePixels =>
    slidePixels({
      slide,
      colour,
      codecs: access.codecs,
      readFrame: (level, { instance, frame }) => readStored(stored.get(level)![instance]!, frame),
      isLossy: ({ instances }) =>
        instances.some(({ sopInstanceUid }) => allowsLoss(files.get(sopInstanceUid)!.transferSyntaxUid)),
    });
  const all = { ...described, isOneOfSeveral, notes: [...described.notes, ...notes] };
  const slide = await requireReadable(pixelsOf(all), files, signal);
  await Promise.all(kept);
  const resources = cleanup.move();
  return { ...pixelsOf(slide), [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** All images of a slide in the spool, open. */
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
  /** As in `FetchedFile`, of all of them. */
  readonly kept: readonly Promise<void>[];
}> {
  const announced = place?.announced ?? (await announcedSlide(series, access, signal));
  progress.report('open', 1, 1, 'instances');
  place?.onAnnounced(announced);
  const fetchPlace = place ?? (await temporaryPlace(access, cleanup));
  const files = new Map<string, Part10File>();
  const kept: Promise<void>[] = [];
  // Nothing is still writing when the folder goes.
  cleanup.defer(() => Promise.allSettled(kept).then(() => {}));
  const notes: string[] = [];
  const needed = new Map(
    imagesOf(announced).flatMap(({ instances }) =>
      instances.map(({ sopInstanceUid, room }) => [sopInstanceUid, room]),
    ),
  );
  const reserve = (): Promise<void> =>
    fetchPlace.spool.reserve(sum(...needed.values(), fetchPlace.roomFor(announced)));
  await reserve();
  const uids = [...needed.keys()];
  access.codecs.start(signal);
  for (const [i, uid] of uids.entries()) {
    progress.report('fetch', i, uids.length, 'instances');
    try {
      const fetched = await fetchOnce(series, uid, access, fetchPlace, signal, async (length) => {
        const isMore = length > needed.get(uid)!.likely;
        needed.set(uid, { minimum: length, likely: length });
        // An instance longer than expected is not started until there is room for it.
        if (isMore) await reserve();
      });
      const { path, bytes } = fetched;
      kept.push(fetched.kept);
      needed.set(uid, { minimum: bytes, likely: bytes });
      const file = cleanup.use(await openInstance(series, uid, path, signal));
      files.set(uid, file);
      // While the others are fetched; its error comes when the slide is opened.
      if (i === 0) colourOf(file.dataset, access.onInvalidProfile).catch(() => {});
    } catch (error) {
      if (!isOfThumbnail(announced, uid)) throw error;
      notes.push(withoutThumbnail(requireDamage(error)));
    }
  }
  progress.report('fetch', uids.length, uids.length, 'instances');
  // Return the room that was reserved for the source and not needed.
  await reserve();
  return {
    files,
    isOneOfSeveral: announced.isOneOfSeveral,
    notes: [...announced.notes, ...notes],
    kept,
  };
}

async function temporaryPlace({ spool }: SeriesAccess, cleanup: AsyncDisposableStack): Promise<FetchPlace> {
  const temporary = cleanup.use(await createTemporarySpool(spool));
  const checkpoint = await Checkpoint.open(temporary, '', () => {});
  return { spool: temporary, checkpoint, onAnnounced: () => {}, roomFor: () => NOTHING };
}

/** An instance in the spool: either left by an earlier attempt, or fetched now. */
async function fetchOnce(
  series: SeriesReference,
  sopInstanceUid: string,
  access: SeriesAccess,
  { spool, checkpoint }: FetchPlace,
  signal: AbortSignal,
  onLength: (bytes: number) => Promise<void>,
): Promise<Omit<FetchedFile, 'sha256'>> {
  const { fetched } = checkpoint.reached;
  const earlier = fetched.find((instance) => instance.sopInstanceUid === sopInstanceUid);
  if (earlier) {
    const path = join(spool.directory, earlier.file);
    if ((await sha256Of(path, signal)) === earlier.sha256)
      return { path, bytes: (await stat(path)).size, kept: Promise.resolve() };
  }
  const file = await fetchInstance(series, sopInstanceUid, spool, access, signal, onLength);
  const instance: FetchedInstance = { sopInstanceUid, file: basename(file.path), sha256: file.sha256 };
  await checkpoint.save({ fetched: [...fetched.filter((other) => other !== earlier), instance] });
  return file;
}

/** SHA-256 of a file; undefined if it cannot be read. */
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

/**
 * Requires that every image has the frames that its header announces, and that its first frame can be decoded: a wrong
 * header is found before any work is done.
 * @returns the slide, without a thumbnail that cannot be read
 */
async function requireReadable(
  open: SlidePixels,
  files: ReadonlyMap<string, Part10File>,
  signal: AbortSignal,
): Promise<Slide> {
  for (const level of open.slide.levels) {
    requireFrames(level, files);
    const { x, y } = level.frames.at(0)!;
    await open.pixels(level, WHITE).read({ x, y, width: 1, height: 1 }, signal);
  }
  return withReadableThumbnail(open, (thumbnail) => requireFrames(thumbnail, files), signal);
}

/**
 * The slide without a thumbnail that cannot be read.
 * @param check of the thumbnail, in addition to its pixels
 */
export async function withReadableThumbnail(
  { slide, pixels }: Pick<SlidePixels, 'slide' | 'pixels'>,
  check: (thumbnail: Level) => void,
  signal: AbortSignal,
): Promise<Slide> {
  const { thumbnail } = slide;
  if (!thumbnail) return slide;
  try {
    check(thumbnail);
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
      throw placed(
        new StainError(
          'DICOM_INVALID',
          `An instance announces ${numberOfFrames} frames and holds ${found ?? 0}.`,
        ),
        sopInstanceUid,
      );
  }
}

/** What the headers of a level's instances say about their frames. */
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

/** Determines the colours of frames whose header may be wrong. @throws PIXEL_FORMAT_UNSUPPORTED */
async function withTrueColours(
  slide: Slide,
  stored: ReadonlyMap<Level, StoredInstance[]>,
  codecs: CodecPool,
  signal: AbortSignal,
): Promise<ReadonlyMap<Level, StoredInstance[]>> {
  const doubtful = new Set<StoredInstance>();
  for (const instance of [...stored.values()].flat()) {
    if (!instance.format.photometricInterpretation.startsWith('YBR_')) continue;
    const first = await unlessDamaged(readStored(instance, 0));
    if (first && isDoubtful(first.format, first.bytes)) doubtful.add(instance);
  }
  if (doubtful.size === 0) return stored;
  // One archive recoded the whole slide: what holds for the levels that show all of it holds for every level.
  async function* frames(): AsyncIterable<StoredFrame> {
    for (const instance of overviewLevels(slide).flatMap((level) =>
      stored.get(level)!.filter((instance) => doubtful.has(instance)),
    ))
      for (let frame = 0; frame < instance.file.numberOfFrames; frame++) {
        const read = await unlessDamaged(readStored(instance, frame));
        if (read) yield read;
      }
  }
  const found = await trueColours(frames(), codecs, signal);
  const resolved = (instance: StoredInstance): StoredInstance =>
    doubtful.has(instance) ? { ...instance, format: withColours(instance.format, found) } : instance;
  return new Map([...stored].map(([level, instances]) => [level, instances.map(resolved)]));
}

/** The colours of doubtful frames (`isDoubtful`); damaged ones do not count. */
export function trueColours(
  frames: AsyncIterable<StoredFrame>,
  codecs: CodecPool,
  signal: AbortSignal,
): Promise<NativeColours | undefined> {
  return coloursByGlass(frames, ({ bytes, format }) =>
    unlessDamaged(codecs.decode(bytes, format, { signal })),
  );
}

/** A frame as stored. @throws FRAME_INVALID */
async function readStored({ file, format }: StoredInstance, frame: number): Promise<StoredFrame> {
  const length = await file.frameLength(frame);
  if (length > maxStoredBytes(format))
    throw invalidFrame(`A frame has ${length} bytes, many more than its pixels.`);
  return { format, bytes: await file.frame(frame) };
}
