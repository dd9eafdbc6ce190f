/** What the pages for operators share: plain HTML in the viewer's colours, without scripts. */
import { createHash } from 'node:crypto';
import { Html, html } from '../web/html.ts';

const STYLE = `
* { box-sizing: border-box; }
body { margin: 1.5rem 2rem; background: #090c29; color: #e6e9f2; font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .75rem; }
a { color: #5acce6; }
header, nav, .figures { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: baseline; }
nav { margin: .5rem 0; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding: 0 0 .75rem; }
th, td { padding: .5rem .75rem; text-align: left; vertical-align: top; border-bottom: 1px solid #2b3166; }
tbody th { font-weight: normal; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
small { color: #aab3d6; display: block; font-weight: normal; }
code { font: .87em/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
.fault { color: #ffb4a8; }
time { white-space: nowrap; }
.figures { margin: 1rem 0; padding: 0; list-style: none; }
.figures li { padding: .5rem 1rem; background: #14194a; border-radius: 6px; }
.figures b { font-size: 1.3rem; margin-right: .4rem; font-variant-numeric: tabular-nums; }
.message { padding: .75rem 1rem; border: 1px solid #5acce6; border-radius: 6px; }
.message.fault { border-color: #ffb4a8; }
button { font: inherit; color: #fff; background: #0944b3; border: 1px solid #5a7fd6; border-radius: 4px; padding: .2rem .8rem; cursor: pointer; white-space: nowrap; }
:focus-visible { outline: 2px solid #5acce6; outline-offset: 2px; }
progress { width: 9rem; accent-color: #5acce6; }
img { display: block; max-width: 9rem; max-height: 6rem; border-radius: 3px; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (max-width: 46rem) {
  body { margin: 1rem; }
  table, caption, tbody, tr, th, td { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { padding: .5rem 0; border-bottom: 1px solid #2b3166; }
  th, td { padding: .15rem 0; border: 0; }
  td:empty { display: none; }
  td::before { content: attr(data-label); display: block; color: #aab3d6; font-size: 13px; }
  .number { text-align: left; }
}
@media print {
  body { margin: 0; background: #fff; color: #000; font-size: 11px; }
  a, small, .fault, td::before { color: #000; }
  th, td, tr { border-color: #999; break-inside: avoid; }
  nav, form, button { display: none; }
  .figures li { background: none; border: 1px solid #999; }
}
`;

const STYLE_HASH = `'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`;

/** Allows the style above, pictures of this service, and forms to this service; nothing else. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `style-src ${STYLE_HASH}`,
  // A browser that is given no icon asks for one at the root of the host.
  "img-src 'self' data:",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'self'",
].join('; ');

/** @param reloadSeconds how often a browser loads it again by itself; default: it does not */
export function page(title: string, body: Html, reloadSeconds?: number): string {
  return html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${reloadSeconds === undefined ? '' : html`<meta http-equiv="refresh" content="${reloadSeconds}">\n`}<link rel="icon" href="data:,">
<title>${title} - stain normalization</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
${body}
</body>
</html>
`.text;
}

export interface Column<T> {
  readonly name: string;
  readonly isNumber?: boolean;
  show(item: T): Html | string | number;
}

/**
 * A table whose first column heads its rows; on a narrow screen each row becomes a list. The roles are those that the
 * elements lose there.
 */
export function table<T>(
  columns: readonly Column<T>[],
  items: readonly T[],
  caption: Html | string = '',
): Html {
  const kind = ({ isNumber }: Column<T>): Html => (isNumber ? html` class="number"` : html``);
  const cell = (item: T, column: Column<T>, i: number): Html =>
    i === 0
      ? html`<th scope="row" role="rowheader">${column.show(item)}</th>`
      : html`<td role="cell" data-label="${column.name}"${kind(column)}>${column.show(item)}</td>`;
  return html`<table role="table">
${caption === '' ? '' : html`<caption>${caption}</caption>\n`}<thead role="rowgroup"><tr role="row">${columns.map(
    (column) => html`<th scope="col" role="columnheader"${kind(column)}>${column.name}</th>`,
  )}</tr></thead>
<tbody role="rowgroup">
${items.map((item) => html`<tr role="row">${columns.map((column, i) => cell(item, column, i))}</tr>\n`)}</tbody>
</table>`;
}

/** In whole units that a person compares at a glance. */
export function duration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** 2026-11-26 20:15 */
export function minute(time: string): Html {
  return html`<time>${time.slice(0, 16).replace('T', ' ')}</time>`;
}
