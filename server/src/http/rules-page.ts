/** The rules as a page for operators: a browser loads it again by itself. */
import type { RuleList } from '../../../core/src/contract/index.ts';
import { ERROR_TABLE } from '../../../core/src/errors.ts';
import { type Html, html } from '../web/html.ts';
import { type Column, duration, page, table } from './page.ts';

const RELOAD_SECONDS = 10;

/** Columns with a number of series, and the states that each counts. */
const COUNTS = [
  ['Waiting', ['WAITING']],
  ['Fitted', ['FITTED']],
  ['In the queue', ['SCHEDULED', 'IN PROGRESS']],
  ['Stored', ['COMPLETED']],
  ['Parked', ['REFUSED', 'FAILED', 'CANCELED']],
] as const;

type Rule = RuleList['rules'][number];

/** What an operator watches of a rule. */
export const RULE_COLUMNS: readonly Column<Rule>[] = [
  { name: 'Rule', show: nameOf },
  {
    name: 'State',
    show: ({ state, code, message, withoutAcceptance, notAccepted }) =>
      html`${state}${code === null ? '' : html`<small class="fault">${`${code}: ${message}`}</small>`}${
        withoutAcceptance === null
          ? ''
          : html`<small>Picks up slides of scanners without an acceptance: ${withoutAcceptance}</small>`
      }${notAccepted.map(
        ({ scanner, series }) =>
          html`<small class="fault">${series} ${series === 1 ? 'waits' : 'wait'} for an acceptance of ${scanner}</small>`,
      )}`,
  },
  ...COUNTS.map(([name, states]) => ({
    name,
    isNumber: true,
    show: ({ counts }: Rule) => states.reduce((sum, one) => sum + (counts[one] ?? 0), 0),
  })),
  {
    name: 'Longest wait',
    isNumber: true,
    show: ({ lagSeconds }) => (lagSeconds > 0 ? duration(lagSeconds) : ''),
  },
];

type Acceptances = NonNullable<RuleList['acceptances']>;

const ACCEPTANCE_COLUMNS: readonly Column<Acceptances['decisions'][number]>[] = [
  { name: 'Scanner', show: ({ scanner }) => scanner },
  { name: 'With', show: ({ template, transfer, model }) => `${template}, ${transfer}, ${model}` },
  { name: 'Decision', show: ({ decision }) => decision },
  { name: 'By', show: ({ name, role }) => `${name}, ${role}` },
  { name: 'On', show: ({ signedAt }) => signedAt.slice(0, 10) },
];

export function rulesPage({ search, rules, acceptances }: RuleList): string {
  return page(
    'Rules',
    html`<h1>Rules</h1>
<p>${searchText(search)}</p>
${table(RULE_COLUMNS, rules)}
${rules.length === 0 ? html`<p>There are no rules: rules.file names none.</p>` : ''}
${acceptances ? acceptanceTable(acceptances) : ''}`,
    RELOAD_SECONDS,
  );
}

function acceptanceTable({ decisions, invalid }: Acceptances): Html {
  return html`<h2>Acceptances of scanners</h2>
${invalid.map(({ message }) => html`<p class="fault">ACCEPTANCE_INVALID: ${message}</p>`)}
${
  decisions.length > 0
    ? table(ACCEPTANCE_COLUMNS, decisions)
    : html`<p>None is signed: rules pick up no slides, unless they give a reason (withoutAcceptance).</p>`
}
<p>To accept a scanner: ${ERROR_TABLE.SCANNER_NOT_ACCEPTED.remedy}</p>`;
}

/** Where the search for new slides stands. */
export function searchText({ ageSeconds, isSurveyed, code, message, unread }: RuleList['search']): Html {
  const texts = [
    ageSeconds === null
      ? 'The archive has not been searched yet.'
      : `The archive was last searched ${duration(ageSeconds)} ago.`,
    ...(isSurveyed
      ? []
      : ['The first survey of the archive is not complete; nothing counts as new until then.']),
    ...(unread > 0 ? [`The headers of ${unread} series cannot be read at the moment.`] : []),
  ];
  return html`${texts.join(' ')}${code === null ? '' : html` <span class="fault">${`${code}: ${message}`}</span>`}`;
}

function nameOf({
  name,
  match,
  hours,
  outcome,
  source,
  destination,
  template,
  transfer,
  priority,
}: Rule): Html {
  const matching = match.map(({ keyword, values }) => `${keyword} ${values.join(' or ')}`).join(', ');
  const when = hours
    ? `${hours.from} to ${hours.to} ${[...(hours.days ?? []), hours.timeZone ?? ''].join(' ')}`.trim()
    : 'always';
  const from = source === undefined ? '' : `, from ${source}`;
  const to = destination === undefined ? '' : `, to ${destination}`;
  const how = `${outcome}, ${template}, ${transfer}, ${priority} priority, ${when}${from}${to}`;
  return html`${name}<small>${matching || 'every slide'}</small><small>${how}</small>`;
}
