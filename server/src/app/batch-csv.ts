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
] as const satisfies readonly (keyof BatchSeries)[];

/** RFC 4180. Nothing in it is a formula to a spreadsheet, whatever an archive has put into a message. */
export function csvOf(series: readonly BatchSeries[]): string {
  const lines = series.map((line) => COLUMNS.map((column) => cellOf(line[column])).join(','));
  return [COLUMNS.join(','), ...lines, ''].join('\r\n');
}

/**
 * What begins a formula gets an apostrophe before it (OWASP, CSV injection): at the start of a cell, and behind what a
 * spreadsheet of another country may take for the end of one.
 */
function cellOf(value: string | number | null): string {
  const text = String(value ?? '').replace(/(?<=^|[;|\t\r\n])(?=["\s]*[=+\-@＝＋－＠])|^(?=[\t\r\n])/g, "'");
  return /[",;\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
