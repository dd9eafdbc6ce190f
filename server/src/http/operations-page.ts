/** What an operator looks at: whatever needs a person first, then the work, and what it depends on. */
import type { Batch, Health, Job, JobState, RuleList } from '../../../core/src/contract/index.ts';
import { ERROR_TABLE, type ErrorCode, type StainError } from '../../../core/src/errors.ts';
import type { Outcome, Throughput } from '../jobs/outcome-records.ts';
import type { TemplateRecord } from '../templates/template-records.ts';
import { type Html, html } from '../web/html.ts';
import { viewerPath } from './archive-paths.ts';
import { type Column, duration, minute, page, table } from './page.ts';
import { RULE_COLUMNS, searchText } from './rules-page.ts';

export interface Operations {
  /** ISO 8601 */
  readonly at: string;
  readonly toLookAt: readonly Outcome[];
  /** How many days `toLookAt` goes back. */
  readonly days: number;
  /** Running jobs, then waiting ones in their order; as many as are listed. */
  readonly unfinished: readonly Job[];
  readonly byState: Partial<Record<JobState, number>>;
  readonly throughput: { readonly hour: Throughput; readonly day: Throughput };
  readonly batches: readonly Batch[];
  /** Undefined if this process has no rules. */
  readonly rules: RuleList | undefined;
  /** URL without credentials, or folder. */
  readonly archive: string | undefined;
  readonly checks: Health['checks'];
  readonly templates: readonly TemplateRecord[];
}

/** What the page says first, after a form was sent. */
export type Message = { readonly retried: number } | { readonly fault: StainError };

export interface PageOptions {
  readonly basePath: string;
  /** Whether the viewer is at the root of the host. */
  readonly hasViewer: boolean;
  /** Maximum number of rows of a table. */
  readonly maxRows: number;
}

export function operationsPage(found: Operations, options: PageOptions, message?: Message): string {
  const { at, toLookAt, unfinished, byState, throughput, batches, rules, templates, days } = found;
  const { basePath, maxRows } = options;
  const running = unfinished.filter(({ state }) => state === 'IN PROGRESS');
  const waiting = unfinished.filter(({ state }) => state === 'SCHEDULED');
  const numberWaiting = Math.max(byState.SCHEDULED ?? 0, waiting.length);
  const shown = toLookAt.slice(0, maxRows);
  const hasMore = toLookAt.length > maxRows;
  const broken = found.checks.filter(({ ok }) => !ok).length;
  return page(
    'Operations',
    html`<header><h1>Operations</h1><span>as of ${minute(at)} UTC</span><a href="${basePath}/api/operations.html">Load again</a><a href="${basePath}/api/quality.html">Quality report</a></header>
${message ? messageText(message) : ''}
<ul class="figures">
<li><b>${shown.length}${hasMore ? '+' : ''}</b> to look at</li>
<li><b>${running.length}</b> running</li>
<li><b>${numberWaiting}</b> in the queue</li>
<li><b>${throughput.hour.completed}</b> done in the last hour</li>
<li><b>${throughput.day.completed}</b> in the last day</li>
<li><b>${broken}</b> of ${found.checks.length} checks fail</li>
</ul>
<nav aria-label="Parts of this page">${PARTS.map(([id, name]) => html`<a href="#${id}">${name}</a>`)}</nav>
<main>
${section(
  'look',
  table(lookColumns(options), shown),
  shown.length === 0 && `Nothing of the last ${days} days needs a look.`,
  html`<p>Slides of the last ${days} days that failed, were refused, or may not be H&amp;E.${hasMore ? ` The ${maxRows} most pressing are listed.` : ''}</p>`,
)}
${section('running', table(runningColumns(options), running), running.length === 0 && 'Nothing is running.')}
${section(
  'queue',
  table(queueColumns(waiting, options), waiting),
  waiting.length === 0 && 'The queue is empty.',
  numberWaiting > waiting.length
    ? html`<p>The next ${waiting.length} of ${numberWaiting} are listed.</p>`
    : html``,
)}
${section('batches', table(batchColumns(options), batches), batches.length === 0 && 'There are no batches.')}
${section(
  'rules',
  rules ? table([...RULE_COLUMNS, retryRule(options)], rules.rules) : html``,
  (rules?.rules.length ?? 0) === 0 && 'There are no rules.',
  rules && rules.rules.length > 0
    ? html`<p>${searchText(rules.search)} <a href="${basePath}/api/rules.html">Rules alone</a></p>`
    : html``,
)}
${section('archive', table(checkColumns(found.archive), found.checks), found.checks.length === 0 && 'There are no checks.')}
${section('templates', table(templateColumns(options), templates), templates.length === 0 && 'There are no templates.')}
${section(
  'throughput',
  table(THROUGHPUT_COLUMNS, [
    { within: 'Last hour', ...throughput.hour },
    { within: 'Last day', ...throughput.day },
  ]),
  false,
)}
${section(
  'audit',
  html`<p><a href="${basePath}/api/audit.ndjson">Export the audit trail of this process</a> (FHIR AuditEvent, one a line). The export is itself recorded.</p>`,
  false,
)}
</main>`,
  );
}

const PARTS = [
  ['look', 'Needs a look first'],
  ['running', 'Running'],
  ['queue', 'Queue'],
  ['batches', 'Batches'],
  ['rules', 'Rules'],
  ['archive', 'Archive and health'],
  ['templates', 'Templates'],
  ['throughput', 'Throughput'],
  ['audit', 'Audit trail'],
] as const;

/** @param empty shown where there is no content */
function section(id: (typeof PARTS)[number][0], content: Html, empty: string | false, before = html``): Html {
  const name = PARTS.find(([part]) => part === id)![1];
  return html`<section aria-labelledby="${id}"><h2 id="${id}">${name}</h2>
${empty === false ? html`${before}${content}` : html`<p>${empty}</p>`}</section>`;
}

function messageText(message: Message): Html {
  if ('retried' in message) {
    const { retried } = message;
    const what = retried === 0 ? 'Nothing is' : retried === 1 ? 'One slide is' : `${retried} slides are`;
    return html`<p class="message" role="status">${what} tried again.</p>`;
  }
  const { code, message: text, remedy } = message.fault;
  return html`<p class="message fault" role="alert">${`${code}: ${text}`} <span>${remedy}</span></p>`;
}

interface SlideAddress {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly slide?: string | null | undefined;
  readonly source?: string | null | undefined;
}

/** Its UIDs; a page for operators names no patient. */
function slideText(
  { studyInstanceUid, seriesInstanceUid, slide, source }: SlideAddress,
  { hasViewer }: PageOptions,
): Html {
  const link = html` <a href="${viewerPath(source)}?StudyInstanceUIDs=${studyInstanceUid}">Open<span class="unseen"> series ${seriesInstanceUid}</span></a>`;
  return html`<code>${seriesInstanceUid}</code>${hasViewer ? link : ''}${slide ? html`<small>slide <code>${slide}</code></small>` : ''}`;
}

/** @param what said to those who do not see the row */
function tryAgain(address: string, what: string): Html {
  return html`<form method="post" action="${address}"><button>Try again<span class="unseen">: ${what}</span></button></form>`;
}

function faultText(code: string | null, message: string | null): Html {
  if (code === null) return html``;
  const remedy = Object.hasOwn(ERROR_TABLE, code) ? ERROR_TABLE[code as ErrorCode].remedy : '';
  return html`<span class="fault">${code}</span> ${message ?? ''}<small>${remedy}</small>`;
}

function lookColumns(options: PageOptions): Column<Outcome>[] {
  const root = `${options.basePath}/api/operations`;
  const address = ({ job, line }: Outcome): string =>
    line
      ? `${root}/batches/${line.batch}/retry?position=${line.position}&part=${line.part}`
      : `${root}/normalizations/${job}/retry`;
  return [
    { name: 'Slide', show: (one) => slideText(one, options) },
    { name: 'What', show: ({ reason, template }) => html`${reason}<small>${template}</small>` },
    {
      name: 'Why',
      show: ({ code, message, outOfDistribution: ood }) =>
        code !== null
          ? faultText(code, message)
          : html`${(ood?.reasons ?? []).join(' ')}<small>score ${ood?.score.toFixed(2) ?? ''}</small>`,
    },
    { name: 'When', show: ({ at }) => (at === null ? '' : minute(at)) },
    {
      name: 'Action',
      show: (one) =>
        one.state === 'COMPLETED' ? '' : tryAgain(address(one), `series ${one.seriesInstanceUid}`),
    },
  ];
}

function runningColumns(options: PageOptions): Column<Job>[] {
  return [
    { name: 'Slide', show: ({ request }) => slideText(request, options) },
    { name: 'Template', show: ({ request }) => request.template },
    { name: 'Stage', show: ({ progress, cancelRequested }) => stageText(progress, cancelRequested) },
    { name: 'Since', show: ({ startedAt }) => (startedAt === null ? '' : minute(startedAt)) },
    { name: 'Requested by', show: requesterText },
  ];
}

function stageText(progress: Job['progress'], cancelRequested: boolean): Html {
  if (cancelRequested) return html`stopping`;
  if (!progress) return html`starting`;
  const { stage, fraction, secondsLeft } = progress;
  const percent = Math.round(100 * fraction);
  const left = secondsLeft === undefined ? '' : `, ${duration(secondsLeft)} left`;
  return html`<progress max="100" value="${percent}" aria-label="Progress"></progress><small>${stage}, ${percent} %${left}</small>`;
}

function requesterText({ requestedBy, batch }: Job): Html {
  return html`${requestedBy}${batch === null ? '' : html`<small>batch ${batch.slice(0, 8)}</small>`}`;
}

function queueColumns(waiting: readonly Job[], options: PageOptions): Column<Job>[] {
  const places = new Map(waiting.map(({ id }, i) => [id, i + 1]));
  return [
    { name: 'Place', isNumber: true, show: ({ id }) => places.get(id)! },
    { name: 'Slide', show: ({ request }) => slideText(request, options) },
    { name: 'Template', show: ({ request }) => request.template },
    { name: 'Priority', show: ({ priority }) => priority },
    { name: 'Requested', show: ({ createdAt }) => minute(createdAt) },
    { name: 'Requested by', show: requesterText },
    {
      name: 'Waits for',
      show: ({ waiting: fault }) => (fault ? faultText(fault.code, fault.message) : 'its turn'),
    },
  ];
}

function batchColumns({ basePath, hasViewer }: PageOptions): Column<Batch>[] {
  return [
    {
      name: 'Batch',
      show: ({ id }) =>
        html`${id.slice(0, 8)} ${hasViewer ? html`<a href="/stain-batches?batch=${id}">Report<span class="unseen"> of ${id.slice(0, 8)}</span></a> ` : ''}<a href="${basePath}/api/quality.html?batch=${id}">Quality<span class="unseen"> of ${id.slice(0, 8)}</span></a>`,
    },
    { name: 'Requested', show: ({ createdAt }) => minute(createdAt) },
    { name: 'By', show: ({ requestedBy }) => requestedBy },
    { name: 'Template', show: ({ template }) => template },
    {
      name: 'Slides',
      show: ({ counts, isCancelled }) =>
        html`${countsText(counts)}${isCancelled ? html`<small>cancelled</small>` : ''}`,
    },
    {
      name: 'Action',
      show: ({ id, counts, isCancelled }) =>
        isCancelled || (counts['FAILED'] ?? 0) + (counts['REFUSED'] ?? 0) === 0
          ? ''
          : tryAgain(`${basePath}/api/operations/batches/${id}/retry`, `batch ${id.slice(0, 8)}`),
    },
  ];
}

function countsText(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([state, count]) => `${count} ${state.toLowerCase()}`)
    .join(', ');
}

function retryRule({ basePath }: PageOptions): Column<RuleList['rules'][number]> {
  return {
    name: 'Action',
    show: ({ name, counts }) =>
      ['REFUSED', 'FAILED', 'CANCELED'].every((state) => (counts[state] ?? 0) === 0)
        ? ''
        : tryAgain(`${basePath}/api/operations/rules/${encodeURIComponent(name)}/retry`, `rule ${name}`),
  };
}

function checkColumns(archive: string | undefined): Column<Health['checks'][number]>[] {
  return [
    {
      name: 'Part',
      show: ({ name }) =>
        html`${name}${name === 'archive' && archive !== undefined ? html`<small><code>${archive}</code></small>` : ''}`,
    },
    { name: 'State', show: ({ ok, code }) => (ok ? 'works' : faultText(code ?? 'INTERNAL', null)) },
  ];
}

function templateColumns({ basePath }: PageOptions): Column<TemplateRecord>[] {
  return [
    { name: 'Name', show: ({ name, id }) => html`${name}<small>${id}</small>` },
    {
      name: 'Picture',
      show: ({ id, sha256, name }) =>
        html`<img loading="lazy" alt="The stain of ${name}" src="${basePath}/api/templates/${encodeURIComponent(id)}/thumbnail?sha256=${sha256}">`,
    },
    { name: 'Version', isNumber: true, show: ({ version }) => version },
    { name: 'Owner', show: ({ isShipped, owner }) => (isShipped ? 'shipped' : (owner ?? 'the service')) },
    { name: 'Source', show: ({ origin }) => origin },
  ];
}

const THROUGHPUT_COLUMNS: readonly Column<Throughput & { readonly within: string }>[] = [
  { name: 'Within', show: ({ within }) => within },
  { name: 'Slides done', isNumber: true, show: ({ completed }) => completed },
  { name: 'Slides failed', isNumber: true, show: ({ failed }) => failed },
  { name: 'Megapixels', isNumber: true, show: ({ megapixels }) => Math.round(megapixels) },
  {
    name: 'Mean time of a slide',
    isNumber: true,
    show: ({ completed, seconds }) => (completed === 0 ? '' : duration(seconds / completed)),
  },
];
