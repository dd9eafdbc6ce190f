import { StainError } from '../../../../core/src/errors.ts';

/**
 * The same answer for a series that never existed, that the user may not see, or that is in another study: it reveals
 * nothing.
 */
export function noSeries(series: string, study: string): StainError {
  return new StainError('SERIES_NOT_FOUND', `This archive shows you no series ${series} in study ${study}.`);
}
