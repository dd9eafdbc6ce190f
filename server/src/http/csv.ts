/** CSV (RFC 4180) for spreadsheets: no cell is a formula, whatever an archive puts into a text. */

/** A line with its end. */
export function csvLine(cells: readonly (string | number | null)[]): string {
  return `${cells.map(cellOf).join(',')}\r\n`;
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
