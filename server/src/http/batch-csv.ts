/** The report of a batch as CSV. */
import type { BatchSeries } from '../../../core/src/contract/index.ts';
import { csvLine } from './csv.ts';

const COLUMNS = [
  'studyInstanceUid',
  'seriesInstanceUid',
  'state',
  'job',
  'code',
  'message',
  'derivedSeriesInstanceUid',
  'seconds',
  'attempts',
  'nextTryAt',
  'slide',
] as const satisfies readonly (keyof BatchSeries)[];

/** @param more columns behind those of every batch */
export function csvOf<T extends BatchSeries>(
  series: readonly T[],
  more: readonly (keyof T & string)[] = [],
): string {
  const columns = [...COLUMNS, ...more];
  return [columns, ...series.map((line) => columns.map((column) => line[column] as string | number | null))]
    .map(csvLine)
    .join('');
}
