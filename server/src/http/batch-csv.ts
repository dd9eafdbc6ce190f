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

export function csvOf(series: readonly BatchSeries[]): string {
  return [COLUMNS, ...series.map((line) => COLUMNS.map((column) => line[column]))].map(csvLine).join('');
}
