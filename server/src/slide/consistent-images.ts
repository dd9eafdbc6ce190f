/** What the images of one slide must agree on, beyond being of one slide: otherwise some header would be wrong. */
import { StainError } from '../../../core/src/errors.ts';
import type { DataSet } from '../dicom/dataset.ts';

/** Direction cosines are written with a few digits. */
const SAME_DIRECTION = 0.01;

/**
 * A study in which a patient was corrected or removed halfway. Images without a Patient ID name nobody.
 * @throws SLIDE_STRUCTURE_INVALID
 */
export function requireOnePatient(headers: readonly DataSet[]): void {
  const patients = new Set(headers.map((header) => header.string('PatientID')?.trim() || undefined));
  patients.delete(undefined);
  if (patients.size > 1)
    throw new StainError(
      'SLIDE_STRUCTURE_INVALID',
      `The images of the slide name ${patients.size} patients.`,
    );
}

/**
 * Levels are placed by their sizes and origins alone. One that is turned would be taken for a wrong one, and made anew
 * with the base level's pixels under its own orientation.
 * @throws SLIDE_STRUCTURE_INVALID
 */
export function requireOneOrientation(headers: readonly DataSet[]): void {
  const [first, ...others] = headers
    .map((header) => header.numbers('ImageOrientationSlide'))
    .filter((cosines) => cosines.length === 6);
  const isTurned = (cosines: readonly number[]): boolean =>
    cosines.some((cosine, i) => Math.abs(cosine - first![i]!) > SAME_DIRECTION);
  if (others.some(isTurned))
    throw new StainError(
      'SLIDE_STRUCTURE_INVALID',
      'Two images of the slide have different Image Orientation (Slide).',
    );
}
