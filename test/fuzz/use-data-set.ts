import { StainError } from '../../core/src/errors.ts';
import { deriveLevel } from '../../server/src/derived/derived-series.ts';
import type { DataSet } from '../../server/src/dicom/dataset.ts';
import { writeDataSet } from '../../server/src/dicom/dataset-writer.ts';
import { toDicomJson } from '../../server/src/dicom/to-json.ts';
import { describeSlide } from '../../server/src/slide/describe.ts';
import type { Level } from '../../server/src/slide/types.ts';
import { record } from '../derived/derive-for-tests.ts';

const LIMITS = { maxSlideMegapixels: 40_000 };

/** Everything that the product reads from a data set. */
export function use(dataSet: DataSet): void {
  toDicomJson(dataSet, () => 'bulk');
  writeDataSet(dataSet);
  const level = baseLevel(dataSet);
  if (!level) return;
  const options = { instanceNumber: 1, sopInstanceUid: '2.25.1', lossyRatio: 10, sourceIsLossy: true };
  writeDataSet(deriveLevel({ level, derivation: record(), ...options }));
}

/** Undefined for anything that is not a slide that can be normalised. */
function baseLevel(dataSet: DataSet): Level | undefined {
  try {
    return describeSlide([dataSet], LIMITS).levels[0];
  } catch (error) {
    if (error instanceof StainError) return undefined;
    throw error;
  }
}
