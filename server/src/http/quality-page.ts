/** The quality report as a page to read and to print. */
import type { Outcome, ReportSummary } from '../jobs/outcome-records.ts';
import { type Html, html } from '../web/html.ts';
import { viewerPath } from './archive-paths.ts';
import type { Identifiers } from './identifiers.ts';
import { picturesOf } from './outcome-pictures.ts';
import { type Column, minute, page, table } from './page.ts';

export interface QualityReport {
  /** What it is of, in words. */
  readonly title: string;
  /** ISO 8601 */
  readonly at: string;
  readonly summary: ReportSummary;
  readonly rows: readonly QualityRow[];
  /** Of the first row, from 1. */
  readonly first: number;
}

export interface QualityRow {
  readonly slide: Outcome;
  readonly identifiers: Identifiers;
}

export interface QualityPageOptions {
  readonly basePath: string;
  readonly hasViewer: boolean;
  readonly csv: string;
  readonly previous: string | undefined;
  readonly next: string | undefined;
}

export function qualityPage(report: QualityReport, options: QualityPageOptions): string {
  const { title, at, summary, rows, first } = report;
  const { before, after } = summary.meanDistance;
  const link = (address: string | undefined, text: string): Html | string =>
    address === undefined ? '' : html`<a href="${address}">${text}</a>`;
  return page(
    'Quality report',
    html`<header><h1>Quality report</h1><span>${title}, as of ${minute(at)} UTC</span></header>
<ul class="figures">
<li><b>${summary.slides}</b> slides</li>
${summary.byReason.filter(({ reason }) => reason !== '').map(({ reason, slides }) => html`<li><b>${slides}</b> ${reason}</li>\n`)}<li><b>${fixed(before)}</b> before, <b>${fixed(after)}</b> after: mean CIEDE2000 to the template</li>
</ul>
<nav aria-label="This report">${link(options.csv, 'As CSV')}${link(options.previous, 'Previous page')}${link(options.next, 'Next page')}<a href="${options.basePath}/api/operations.html">Operations</a></nav>
<main>
${
  rows.length === 0
    ? html`<p>There are no slides.</p>`
    : html`<p>Slides ${first} to ${first + rows.length - 1} of ${summary.slides}; what needs a person's look comes first. For research use only, not for primary diagnosis.</p>
${table(columnsOf(options), rows)}`
}
</main>`,
  );
}

function columnsOf({ basePath, hasViewer }: QualityPageOptions): Column<QualityRow>[] {
  return [
    {
      name: 'Slide',
      show: ({ slide: { studyInstanceUid, seriesInstanceUid, slide, source }, identifiers }) =>
        html`${
          identifiers.code === null
            ? html`${identifiers.accession || 'no accession number'}<small>${identifiers.container}</small>`
            : html`<small class="fault">${identifiers.code}</small>`
        }<code>${slide ?? seriesInstanceUid}</code>${
          hasViewer
            ? html` <a href="${viewerPath(source)}?StudyInstanceUIDs=${studyInstanceUid}">Open<span class="unseen"> series ${seriesInstanceUid}</span></a>`
            : ''
        }`,
    },
    {
      name: 'Before',
      show: ({ slide }) => picture(picturesOf(slide, basePath).before, 'before', slide),
    },
    { name: 'After', show: ({ slide }) => picture(picturesOf(slide, basePath).after, 'after', slide) },
    {
      name: 'Look',
      show: ({ slide: { reason, state, template } }) =>
        html`${reason || 'no'}<small>${state.toLowerCase()}, ${template}</small>`,
    },
    {
      name: 'Why',
      show: ({ slide: { code, message, notes } }) =>
        html`${code === null ? '' : html`<span class="fault">${code}</span> ${message ?? ''} `}${notes.map(({ message: text }) => `${text} `)}`,
    },
    {
      name: 'Not H&E (score)',
      isNumber: true,
      show: ({ slide: { outOfDistribution: ood } }) =>
        ood ? html`${ood.score.toFixed(2)}<small>${ood.verdict ?? ''}</small>` : '',
    },
    {
      name: 'CIEDE2000 before',
      isNumber: true,
      show: ({ slide }) => (slide.colourDistance ? fixed(slide.colourDistance.before) : ''),
    },
    {
      name: 'CIEDE2000 after',
      isNumber: true,
      show: ({ slide }) => (slide.colourDistance ? fixed(slide.colourDistance.after) : ''),
    },
    { name: 'When', show: ({ slide: { at } }) => (at === null ? '' : minute(at)) },
  ];
}

function picture(address: string | null, when: string, { seriesInstanceUid }: Outcome): Html | string {
  return address === null ? '' : html`<img alt="Series ${seriesInstanceUid} ${when}" src="${address}">`;
}

function fixed(distance: number | null): string {
  return distance === null ? '-' : distance.toFixed(1);
}
