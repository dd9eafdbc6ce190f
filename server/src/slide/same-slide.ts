/**
 * Decides which images of a series show the same glass slide. A series should hold one (DICOM PS3.3 A.32.8), but
 * archives and converters combine two, and pixels of one slide must never get the header of another.
 *
 * No single attribute is enough: containers are often blank, frames of reference of one slide sometimes differ, and a
 * rescan of a container is a different image. So images are separated by what cannot be true of one slide; and if there
 * are several slides, the images of each must also have something in common.
 */

import type { StainError } from '../../../core/src/errors.ts';
import type { DataSet } from '../dicom/dataset.ts';
import { severalSlides, type ToldSlide } from './several-slides.ts';
import type { Level } from './types.ts';

/** Placeholders that converters write for an unknown container. */
const NO_CONTAINER = new Set([
  '',
  '0',
  'unknown',
  'none',
  'n/a',
  'na',
  'null',
  'undefined',
  'anonymous',
  'anonymized',
]);

/** What identifies a rescan. Each attribute alone also differs between the levels of one slide. */
const OF_A_SCAN = 'Frame of Reference UID and Acquisition DateTime';

/** Two spacings closer than this are equal: the steps of a pyramid are a factor of 2 or more, rarely 1.4. */
const SAME_SPACING = 0.02;

/** Headers of the instances of one image: several if it is a concatenation. */
export type ImageHeaders = readonly DataSet[];

/** What an instance says about its slide; undefined if it says nothing. */
interface Evidence {
  readonly container: string | undefined;
  readonly pyramid: string | undefined;
  readonly frameOfReference: string | undefined;
  readonly acquired: string | undefined;
}

/** What images of one slide can share. A time alone does not distinguish slides: scanners may run side by side. */
const BONDS = ['container', 'pyramid', 'frameOfReference'] as const satisfies readonly (keyof Evidence)[];

/**
 * The images of each slide, starting with the largest image and its slide. The result does not depend on the order of
 * the images.
 * @throws SEVERAL_SLIDES, naming each slide, if an image could belong to more than one
 */
export function tellSlidesApart(images: readonly ImageHeaders[]): ImageHeaders[][] {
  const evidence = new Map(images.map((image) => [image, evidenceOf(image)]));
  const why = (a: ImageHeaders, b: ImageHeaders): string | undefined =>
    difference(evidence.get(a)!, evidence.get(b)!);
  const sorted = images.toSorted((a, b) => pixelsOf(b) - pixelsOf(a) || (uidOf(a) < uidOf(b) ? -1 : 1));
  const { groups, reasons } = grouped(sorted, why);
  const groupOf = new Map(groups.flatMap((group) => group.map((image) => [image, group] as const)));
  const isAsGrouped = (a: ImageHeaders, b: ImageHeaders): boolean =>
    (why(a, b) === undefined) === (groupOf.get(a) === groupOf.get(b));
  const isTold =
    groups.length <= 1 ||
    (!mayBeLevels(groups, reasons) &&
      sorted.every((a, i) => sorted.slice(i + 1).every((b) => isAsGrouped(a, b))) &&
      groups.every((group) => haveInCommon(group.map((image) => evidence.get(image)!))));
  if (!isTold)
    throw severalSlides(groups.map(toldOf), reasons, 'It is unclear which slide some of the images show.');
  return groups;
}

/** Some scanners give each level its own frame of reference and time: images of different sizes may be such levels. */
function mayBeLevels(groups: readonly ImageHeaders[][], reasons: ReadonlySet<string>): boolean {
  const sizes = new Set(groups.map(([image]) => pixelsOf(image!)));
  const isOfScans = reasons.size === 1 && reasons.has(OF_A_SCAN);
  return isOfScans && sizes.size === groups.length && groups.every((group) => group.length === 1);
}

/** For callers that want one slide when several can be distinguished. */
export function severalToChooseFrom(slides: readonly (readonly ImageHeaders[])[]): StainError {
  const { reasons } = grouped(slides.flat(), (a, b) => difference(evidenceOf(a), evidenceOf(b)));
  return severalSlides(slides.map(toldOf), reasons);
}

/**
 * Whether an image that is not a level of a pyramid, such as a thumbnail, clearly belongs to one of the slides.
 * @param others slides of the series
 */
export function isOfSlide(
  image: ImageHeaders,
  slide: readonly ImageHeaders[],
  others: readonly (readonly ImageHeaders[])[],
): boolean {
  const own = evidenceOf(image);
  const fits = (images: readonly ImageHeaders[]): boolean =>
    images.every((other) => difference(own, evidenceOf(other)) === undefined);
  if (!fits(slide)) return false;
  return others.length === 0 || (!others.some(fits) && haveInCommon([own, ...slide.map(evidenceOf)]));
}

/** Whether the parts of a concatenation belong to different slides. */
export function isMixed(image: ImageHeaders): boolean {
  const evidence = evidenceOf(image);
  return difference(evidence, evidence) !== undefined;
}

/**
 * @param levels that nothing else tells apart
 * @throws SEVERAL_SLIDES, naming each slide, if they cannot form one pyramid
 */
export function requireOnePyramid(levels: readonly Level[]): void {
  const { groups, reasons } = grouped(levels, ({ spacing: a }, { spacing: b }) =>
    a && b && Math.abs(a[0] / b[0] - 1) < SAME_SPACING
      ? 'that two of one Pixel Spacing are not one pyramid'
      : undefined,
  );
  if (groups.length <= 1) return;
  const headersOf = ({ instances }: Level): ImageHeaders => instances.map(({ dataset }) => dataset);
  throw severalSlides(
    groups.map((group) => toldOf(group.map(headersOf))),
    reasons,
    'It is unclear which images belong together.',
  );
}

/** SOP Instance UID that stands for an image: for a concatenation, that of the first part. */
export function uidOf([first]: ImageHeaders): string {
  return first!.string('SOPInstanceUID') ?? '';
}

/** Puts each item into the first group whose members it does not differ from. */
function grouped<T>(
  items: readonly T[],
  why: (a: T, b: T) => string | undefined,
): { groups: T[][]; reasons: ReadonlySet<string> } {
  const groups: T[][] = [];
  const reasons = new Set<string>();
  for (const item of items) {
    const group = groups.find((some) =>
      some.every((other) => {
        const reason = why(item, other);
        if (reason) reasons.add(reason);
        return reason === undefined;
      }),
    );
    if (group) group.push(item);
    else groups.push([item]);
  }
  return { groups, reasons };
}

/** Why two images cannot be from one scan of one slide; undefined if they can. */
function difference(a: readonly Evidence[], b: readonly Evidence[]): string | undefined {
  for (const one of a)
    for (const other of b) {
      const differs = (key: keyof Evidence): boolean =>
        one[key] !== undefined && other[key] !== undefined && one[key] !== other[key];
      if (differs('container')) return 'Container Identifier';
      if (differs('pyramid')) return 'Pyramid UID';
      if (differs('frameOfReference') && differs('acquired')) return OF_A_SCAN;
    }
  return undefined;
}

/** Whether an attribute has the same value in all images; a single image needs none. */
function haveInCommon(images: readonly (readonly Evidence[])[]): boolean {
  if (images.length === 1) return true;
  return BONDS.some((key) => {
    const values = new Set(images.flatMap((image) => image.map((instance) => instance[key])));
    return values.size === 1 && !values.has(undefined);
  });
}

function evidenceOf(image: ImageHeaders): Evidence[] {
  return image.map((header) => {
    const container = text(header, 'ContainerIdentifier');
    return {
      container: container && !NO_CONTAINER.has(container.toLowerCase()) ? container : undefined,
      pyramid: text(header, 'PyramidUID'),
      frameOfReference: text(header, 'FrameOfReferenceUID'),
      acquired: text(header, 'AcquisitionDateTime'),
    };
  });
}

/** @param images largest first */
function toldOf(images: readonly ImageHeaders[]): ToldSlide {
  const [base] = images;
  return {
    container: evidenceOf(base!)[0]!.container,
    totalColumns: base![0]!.number('TotalPixelMatrixColumns') ?? 0,
    totalRows: base![0]!.number('TotalPixelMatrixRows') ?? 0,
    slide: uidOf(base!),
    sopInstanceUids: images.flat().map((header) => uidOf([header])),
  };
}

function pixelsOf([first]: ImageHeaders): number {
  return (first!.number('TotalPixelMatrixColumns') ?? 0) * (first!.number('TotalPixelMatrixRows') ?? 0);
}

function text(header: DataSet, keyword: string): string | undefined {
  return header.string(keyword)?.trim() || undefined;
}
