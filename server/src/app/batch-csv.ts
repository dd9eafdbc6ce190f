/** The report of a batch as a table. */
import type { BatchSeries } from '../contract/index.ts';

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

/** RFC 4180. Nothing in it is a formula to a spreadsheet, whatever an archive has put into a message. */
export function csvOf(series: readonly BatchSeries[]): string {
  const lines = series.map((line) => COLUMNS.map((column) => cellOf(line[column])).join(','));
  return [COLUMNS.join(','), ...lines, ''].join('\r\n');
}

/** What a spreadsheet of another country may take for the end of a cell. */
const CELL_END = /([;|\t\r\n])/;
const FORMULA = /^["\s]*[=+\-@＝＋－＠]/;

/** What begins a formula gets an apostrophe before it, and a cell that begins with a blank of its own (OWASP, CSV injection). */
function cellOf(value: string | number | null): string {
  const given = String(value ?? '');
  const parts = given.split(CELL_END).map((part) => (FORMULA.test(part) ? `'${part}` : part));
  const text = (/^[\t\r\n]/.test(given) ? "'" : '') + parts.join('');
  return /[",;\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
