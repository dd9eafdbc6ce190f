/**
 * Turns the headers of a series into a Slide, or refuses it before any work is done.
 * Rules: DICOM PS3.3 A.32.8 (VL Whole Slide Microscopy Image IOD), C.8.12.4, C.7.6.17.3 (TILED_FULL order).
 */

import { type ErrorCode, StainError } from '../../../core/src/errors.ts';
import { MAX_FRAME_PIXELS } from '../../../core/src/image/raster.ts';
import { noteText } from '../../../core/src/notes.ts';
import type { DataSet } from '../dicom/dataset.ts';
import { MAX_INSTANCES, WHOLE_SLIDE } from '../dicom/sop-class.ts';
import { isUid } from '../dicom/uid.ts';
import { requireOneOrientation, requireOnePatient } from './consistent-images.ts';
import { framePositions } from './frame-positions.ts';
import { ownPlacement, placementOn, requireSameView } from './placement.ts';
import {
  type ImageHeaders,
  isMixed,
  isOfSlide,
  requireOnePyramid,
  severalToChooseFrom,
  tellSlidesApart,
  uidOf,
} from './same-slide.ts';
import type { Level, Slide, SlideInstance } from './types.ts';

/** Illumination that does not produce the absorption image of a stain (CID 8123). */
const NOT_BRIGHTFIELD = new Map([
  ['111743', 'epifluorescence'],
  ['111745', 'dark field'],
  ['111747', 'phase contrast'],
  ['111748', 'differential interference contrast'],
]);

/**
 * Limits what numbers in a header can make us hold in memory. For all images together: twice the number of tiles of 256
 * pixels in a slide of 40,000 megapixels.
 */
const MAX_FRAMES = 2_000_000;
/**
 * Maximum number of pixels along a side, because rows of tiles are held in memory: a glass slide of 76 mm at 0.1
 * micrometres has fewer.
 */
const MAX_SIDE = 1_000_000;

export interface SlideLimits {
  readonly maxSlideMegapixels: number;
}

/**
 * Describes the slide of a series from the headers of its instances, in any order; LABEL and OVERVIEW images are left
 * out.
 * @param image SOP Instance UID of any image of the wanted slide, if the series may hold several
 * @throws SEVERAL_SLIDES, SLIDE_NOT_FOUND and other reasons why a slide cannot be normalised
 */
export function describeSlide(headers: readonly DataSet[], limits: SlideLimits, image?: string): Slide {
  if (headers.length > MAX_INSTANCES)
    refuse('SLIDE_STRUCTURE_INVALID', `The series has ${headers.length} instances; no slide has that many.`);
  for (const header of headers) {
    requireWholeSlide(header);
    requireUids(header);
  }
  requireDistinctInstances(headers);
  const volumes = headers.filter((header) => flavour(header) === 'VOLUME');
  if (volumes.length === 0)
    refuse('NO_VOLUME_LEVEL', `The series has no VOLUME image: ${imageTypesOf(headers)}.`);
  const slides = tellSlidesApart(groupIntoImages(volumes));
  const images = image === undefined ? onlyOne(slides) : slideWith(image, slides, headers);
  const others = slides.filter((slide) => slide !== images);
  for (const header of images.flat()) requireSupportedPixels(header);
  requireFewFrames(images.flat());
  requireConsistent(images.flat());

  const levels = images
    .map((parts) => describeLevel(parts, 'level'))
    .sort((a, b) => b.totalColumns * b.totalRows - a.totalColumns * a.totalRows);
  const base = levels[0]!;
  requireDistinctSizes(levels);
  requireOnePyramid(levels);
  const megapixels = (base.totalColumns * base.totalRows) / 1e6;
  if (megapixels > limits.maxSlideMegapixels)
    refuse(
      'SLIDE_TOO_LARGE',
      `The slide has ${Math.round(megapixels)} megapixels; the limit is ${limits.maxSlideMegapixels}.`,
      {
        megapixels,
        limit: limits.maxSlideMegapixels,
      },
    );

  const { thumbnail, notes } = findThumbnail(
    headers.filter((header) => flavour(header) === 'THUMBNAIL'),
    base,
    (parts) => isOfSlide(parts, images, others),
  );
  return {
    studyInstanceUid: base.instances[0]!.dataset.string('StudyInstanceUID') ?? '',
    seriesInstanceUid: base.instances[0]!.dataset.string('SeriesInstanceUID') ?? '',
    isOneOfSeveral: others.length > 0,
    levels: levels.map((level, index) =>
      index === 0 ? { ...level, role: 'base' } : { ...level, placement: placementOn(base, level) },
    ),
    thumbnail,
    notes,
  };
}

/**
 * Whether even the finest level was made from a finer one, which has not arrived or is not kept: Image Type, value 4
 * (PS3.3 C.8.12.4.1.1).
 */
export function lacksBase({ levels }: Slide): boolean {
  return levels[0]!.instances[0]!.dataset.strings('ImageType')[3] === 'RESAMPLED';
}

function onlyOne(slides: readonly ImageHeaders[][]): ImageHeaders[] {
  if (slides.length > 1) throw severalToChooseFrom(slides);
  return slides[0]!;
}

/** The slide to which an image belongs, whatever its flavour. */
function slideWith(
  sopInstanceUid: string,
  slides: readonly ImageHeaders[][],
  headers: readonly DataSet[],
): ImageHeaders[] {
  const named = headers.find((header) => uidOf([header]) === sopInstanceUid);
  if (!named) refuse('SLIDE_NOT_FOUND', `The series has no image ${sopInstanceUid}.`);
  const found =
    slides.find((slide) => slide.flat().includes(named)) ??
    slides.find((slide) => {
      const others = slides.filter((other) => other !== slide);
      return isOfSlide([named], slide, others);
    });
  return found ?? refuse('SLIDE_NOT_FOUND', `It is unclear which slide image ${sopInstanceUid} shows.`);
}

/** The first thumbnail of the slide. An unusable one is left out with a note: the slide itself is not affected. */
function findThumbnail(
  headers: readonly DataSet[],
  base: Level,
  isOfThisSlide: (image: ImageHeaders) => boolean,
): { thumbnail: Level | undefined; notes: string[] } {
  if (headers.length === 0) return { thumbnail: undefined, notes: [] };
  try {
    // Archives list thumbnails in any order, and the choice determines the result.
    const sorted = headers.toSorted((a, b) => (uidOf([a]) < uidOf([b]) ? -1 : 1));
    const own = groupIntoImages(sorted).find(isOfThisSlide);
    if (!own) refuse('SLIDE_STRUCTURE_INVALID', 'It may show another slide.');
    for (const header of own) requireSupportedPixels(header);
    requireFewFrames(own);
    requireConsistent([...base.instances.map(({ dataset }) => dataset), ...own]);
    const found = describeLevel(own, 'thumbnail');
    if (found.totalColumns > base.totalColumns || found.totalRows > base.totalRows)
      refuse('SLIDE_STRUCTURE_INVALID', 'The thumbnail is larger than the slide.');
    requireSameView(base, found);
    // Its spacing and origin are often copied from another image: it is placed by its size alone.
    const placement = placementOn(base, { ...found, spacing: undefined, origin: undefined });
    return { thumbnail: { ...found, placement }, notes: [] };
  } catch (error) {
    if (!(error instanceof StainError)) throw error;
    return { thumbnail: undefined, notes: [withoutThumbnail(error)] };
  }
}

/** The note about a thumbnail that is left out. */
export function withoutThumbnail({ message }: StainError): string {
  return noteText('THUMBNAIL_LEFT_OUT', { reason: message });
}

function refuse(code: ErrorCode, message: string, data?: Record<string, unknown>): never {
  throw new StainError(code, message, data ? { data } : {});
}

/** Image Type value 3: VOLUME, THUMBNAIL, LABEL, OVERVIEW (PS3.3 C.8.12.4.1.1). Some converters write lower case. */
function flavour(header: DataSet): string {
  return header.strings('ImageType')[2]?.trim().toUpperCase() ?? '';
}

/** The image types that the headers name instead, without duplicates. */
function imageTypesOf(headers: readonly DataSet[]): string {
  const types = new Set(headers.map((header) => header.strings('ImageType').join('\\') || '(empty)'));
  return `Image Type is ${[...types].slice(0, 4).join(', ')}; its third value names the kind of image`;
}

function requireWholeSlide(header: DataSet): void {
  const sopClass = header.string('SOPClassUID') ?? '';
  const modality = header.string('Modality') ?? '';
  if (sopClass !== WHOLE_SLIDE || modality !== 'SM')
    refuse(
      'NOT_WHOLE_SLIDE',
      `The series contains an image of modality ${modality || '(none)'} that is not a whole-slide image.`,
      {
        sopClass,
        modality,
      },
    );
}

/** They become references in the result, which must not fail after all the work because of an invalid UID. */
function requireUids(header: DataSet): void {
  for (const keyword of ['StudyInstanceUID', 'SeriesInstanceUID', 'SOPInstanceUID'])
    if (!isUid(header.string(keyword))) refuse('DICOM_INVALID', `An instance has no valid ${keyword}.`);
}

/** Two instances with the same UID are fetched as one: the slide would lack the other. */
function requireDistinctInstances(headers: readonly DataSet[]): void {
  const uids = new Set(headers.map((header) => header.string('SOPInstanceUID')));
  if (uids.size < headers.length)
    refuse('SLIDE_STRUCTURE_INVALID', 'Two instances of the series have the same SOP Instance UID.');
}

/** Attributes of one value by which frames are read. The result would copy a second value, which readers may take. */
const OF_ONE_VALUE = [
  'SamplesPerPixel',
  'PlanarConfiguration',
  'Rows',
  'Columns',
  'BitsAllocated',
  'BitsStored',
  'NumberOfFrames',
  'TotalPixelMatrixRows',
  'TotalPixelMatrixColumns',
];

function requireSingleValues(header: DataSet): void {
  for (const keyword of OF_ONE_VALUE) {
    const values = header.numbers(keyword);
    if (values.length > 1)
      refuse('DICOM_INVALID', `${keyword} has ${values.length} values, and must have one.`, { keyword });
  }
}

function requireSupportedPixels(header: DataSet): void {
  requireSingleValues(header);
  const samples = header.number('SamplesPerPixel');
  const [allocated, stored] = [header.number('BitsAllocated'), header.number('BitsStored')];
  const paths = header.items('OpticalPathSequence');
  for (const path of paths) {
    for (const code of path.items('IlluminationTypeCodeSequence')) {
      const name = NOT_BRIGHTFIELD.get(code.string('CodeValue') ?? '');
      if (name)
        refuse(
          'FLUORESCENCE_UNSUPPORTED',
          `The slide was imaged with ${name} illumination, not brightfield.`,
        );
    }
  }
  if (samples !== 3 || allocated !== 8 || stored !== 8)
    refuse(
      'PIXEL_FORMAT_UNSUPPORTED',
      `The image has ${samples} sample(s) per pixel of ${stored} bits in ${allocated}.`,
      { samples, allocated, stored },
    );
  const colours = header.string('PhotometricInterpretation') ?? 'RGB';
  if (colours !== 'RGB' && !colours.startsWith('YBR_'))
    refuse(
      'PIXEL_FORMAT_UNSUPPORTED',
      `The Photometric Interpretation of the image is ${colours}, neither RGB nor YBR.`,
    );
  if (paths.length > 1 || (header.number('NumberOfOpticalPaths') ?? 1) > 1)
    refuse(
      'OPTICAL_PATHS_UNSUPPORTED',
      `The slide has ${Math.max(paths.length, header.number('NumberOfOpticalPaths') ?? 1)} optical paths.`,
    );
  if ((header.number('TotalPixelMatrixFocalPlanes') ?? 1) > 1)
    refuse(
      'FOCAL_PLANES_UNSUPPORTED',
      `The slide has ${header.number('TotalPixelMatrixFocalPlanes')} focal planes.`,
    );
}

function requireConsistent(headers: readonly DataSet[]): void {
  requireOnePatient(headers);
  requireOneOrientation(headers);
}

/** The positions of all frames are held in memory. */
function requireFewFrames(headers: readonly DataSet[]): void {
  let frames = 0;
  for (const header of headers) {
    const count = numberOfFrames(header);
    if (!Number.isInteger(count) || count < 1)
      refuse('SLIDE_STRUCTURE_INVALID', `Number of Frames is ${count}.`);
    frames += count;
  }
  if (frames > MAX_FRAMES)
    refuse('SLIDE_STRUCTURE_INVALID', `The slide has ${frames} frames; the limit is ${MAX_FRAMES}.`);
}

function numberOfFrames(header: DataSet): number {
  return header.number('NumberOfFrames') ?? 1;
}

/** Instances that share a Concatenation UID are one image, in order of In-concatenation Number. */
function groupIntoImages(headers: readonly DataSet[]): DataSet[][] {
  const images = new Map<string, DataSet[]>();
  for (const header of headers) {
    const key = header.string('ConcatenationUID') ?? header.string('SOPInstanceUID') ?? '';
    images.set(key, [...(images.get(key) ?? []), header]);
  }
  for (const parts of images.values()) {
    parts.sort((a, b) => (a.number('InConcatenationNumber') ?? 1) - (b.number('InConcatenationNumber') ?? 1));
    if (!parts[0]!.has('ConcatenationUID')) continue;
    const total = parts[0]!.number('InConcatenationTotalNumber') ?? parts.length;
    const complete =
      parts.length === total && parts.every((part, i) => part.number('InConcatenationNumber') === i + 1);
    if (!complete)
      refuse(
        'SLIDE_STRUCTURE_INVALID',
        `A concatenation of ${total} instances is incomplete: ${parts.length} found.`,
      );
    if (isMixed(parts))
      refuse('SLIDE_STRUCTURE_INVALID', 'A concatenation joins instances of different slides.');
  }
  return [...images.values()];
}

function describeLevel(parts: readonly DataSet[], role: Level['role']): Level {
  const size = (keyword: string): number => {
    const values = new Set(parts.map((part) => part.number(keyword)));
    const [value] = values;
    if (values.size !== 1 || value === undefined || !Number.isInteger(value) || value < 1)
      refuse('SLIDE_STRUCTURE_INVALID', `${keyword} is missing, zero or differs within one level.`);
    return value;
  };
  const instances: SlideInstance[] = parts.map((dataset) => ({
    dataset,
    sopInstanceUid: dataset.string('SOPInstanceUID') ?? '',
    numberOfFrames: numberOfFrames(dataset),
  }));
  const grid = {
    rows: size('Rows'),
    columns: size('Columns'),
    totalRows: size('TotalPixelMatrixRows'),
    totalColumns: size('TotalPixelMatrixColumns'),
  };
  if (grid.rows * grid.columns > MAX_FRAME_PIXELS || Math.max(grid.totalRows, grid.totalColumns) > MAX_SIDE)
    refuse(
      'SLIDE_STRUCTURE_INVALID',
      `An image of ${grid.totalColumns} x ${grid.totalRows} pixels in frames of ${grid.columns} x ${grid.rows} cannot be part of a slide.`,
    );
  const level = {
    role,
    instances,
    ...grid,
    spacing: pixelSpacing(instances[0]!.dataset),
    origin: originOf(instances[0]!.dataset),
    frames: framePositions(instances, grid),
  };
  return { ...level, placement: ownPlacement(level) };
}

/** Pixel spacing of an image in millimetres (down, across). */
function pixelSpacing(header: DataSet): Level['spacing'] {
  const [down, across] =
    header
      .items('SharedFunctionalGroupsSequence')[0]
      ?.items('PixelMeasuresSequence')[0]
      ?.numbers('PixelSpacing') ?? [];
  return down !== undefined && across !== undefined && down > 0 && across > 0 ? [down, across] : undefined;
}

/** In millimetres from the origin of the slide coordinate system. */
function originOf(header: DataSet): Level['origin'] {
  const [origin] = header.items('TotalPixelMatrixOriginSequence');
  const x = origin?.number('XOffsetInSlideCoordinateSystem');
  const y = origin?.number('YOffsetInSlideCoordinateSystem');
  return x === undefined || y === undefined ? undefined : { x, y };
}

/** Two images of the same size cannot be told apart as levels: one is a copy, or an unknown focal plane. */
function requireDistinctSizes(levels: readonly Level[]): void {
  for (let i = 1; i < levels.length; i++) {
    const [finer, coarser] = [levels[i - 1]!, levels[i]!];
    if (coarser.totalColumns > finer.totalColumns || coarser.totalRows > finer.totalRows)
      refuse('SLIDE_STRUCTURE_INVALID', 'The levels of the series are not one pyramid.');
    if (coarser.totalColumns === finer.totalColumns && coarser.totalRows === finer.totalRows) {
      requireOnePathAndPlane(finer, coarser);
      refuse(
        'SLIDE_STRUCTURE_INVALID',
        `Two images of the series have the same size (${finer.totalColumns} x ${finer.totalRows}).`,
      );
    }
  }
}

/** Some scanners store each optical path or focal plane as a separate image. */
function requireOnePathAndPlane(...images: readonly Level[]): void {
  const headers = images.map(({ instances }) => instances[0]!.dataset);
  const paths = new Set(
    headers.map((header) => header.items('OpticalPathSequence')[0]?.string('OpticalPathIdentifier')),
  );
  if (paths.size > 1 && !paths.has(undefined))
    refuse(
      'OPTICAL_PATHS_UNSUPPORTED',
      `The slide has an image for each of ${paths.size} or more optical paths.`,
    );
  const planes = new Set(headers.map(focalPlane));
  if (planes.size > 1)
    refuse(
      'FOCAL_PLANES_UNSUPPORTED',
      `The slide has an image for each of ${planes.size} or more focal planes.`,
    );
}

/** Z offset of the image or of its frames in the slide coordinate system. */
function focalPlane(header: DataSet): number {
  const [origin] = header.items('TotalPixelMatrixOriginSequence');
  const [shared] = header.items('SharedFunctionalGroupsSequence');
  const first = header.sequence('PerFrameFunctionalGroupsSequence').at(0);
  const position = (first ?? shared)?.items('PlanePositionSlideSequence')[0];
  return (
    position?.number('ZOffsetInSlideCoordinateSystem') ??
    origin?.number('ZOffsetInSlideCoordinateSystem') ??
    0
  );
}
