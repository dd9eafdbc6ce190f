/** The report of a batch as CSV. */
import type { BatchSeries } from '../../../core/src/contract/index.ts';

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

/** RFC 4180. No cell is a formula to a spreadsheet, whatever an archive puts into a message. */
export function csvOf(series: readonly BatchSeries[]): string {
  const lines = series.map((line) => COLUMNS.map((column) => cellOf(line[column])).join(','));
  return [COLUMNS.join(','), ...lines, ''].join('\r\n');
}

/** Characters that a spreadsheet may take for the end of a cell, depending on its locale. */
const CELL_END = /([;|\t\r\n])/;
const FORMULA = /^["\s]*[=+\-@＝＋－＠]/;

/**
 * A cell that begins like a formula, or with a space of its own, gets an apostrophe in front (OWASP, CSV injection).
 */
function cellOf(value: string | number | null): string {
  const given = String(value ?? '');
  const parts = given.split(CELL_END).map((part) => (FORMULA.test(part) ? `'${part}` : part));
  const text = (/^[\t\r\n]/.test(given) ? "'" : '') + parts.join('');
  return /[",;\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
