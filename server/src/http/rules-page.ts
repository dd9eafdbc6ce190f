/** The rules as a page for operators: plain HTML that a browser loads again by itself, without scripts. */
import { createHash } from 'node:crypto';
import type { RuleList } from '../../../core/src/contract/index.ts';

const RELOAD_SECONDS = 10;

/** Columns with a number of series, and the states that each counts. */
const COLUMNS = [
  ['Waiting', ['WAITING']],
  ['Fitted', ['FITTED']],
  ['In the queue', ['SCHEDULED', 'IN PROGRESS']],
  ['Stored', ['COMPLETED']],
  ['Parked', ['REFUSED', 'FAILED', 'CANCELED']],
] as const;

const STYLE = `
body { margin: 2rem; background: #090c29; color: #e6e9f2; font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding: 0 0 1rem; }
th, td { padding: .5rem .75rem; text-align: left; vertical-align: top; border-bottom: 1px solid #2b3166; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
small { color: #aab3d6; display: block; font-weight: normal; }
.fault { color: #ffb4a8; }
`;

/** Allows the style above and nothing else. */
export const RULES_PAGE_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

export function rulesPage({ search, rules }: RuleList): string {
  const head = [
    '<th scope="col">Rule</th><th scope="col">State</th>',
    ...COLUMNS.map(([name]) => `<th scope="col" class="number">${name}</th>`),
    '<th scope="col" class="number">Longest wait</th>',
  ];
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="${RELOAD_SECONDS}">
<title>Rules - stain normalization</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Rules</h1>
<table>
<caption>${searchText(search)}</caption>
<thead><tr>${head.join('')}</tr></thead>
<tbody>
${rules.map(row).join('\n')}
</tbody>
</table>
${rules.length === 0 ? '<p>There are no rules: rules.file names none.</p>' : ''}
</body>
</html>
`;
}

function searchText({ ageSeconds, isSurveyed, code, message, unread }: RuleList['search']): string {
  const texts = [
    ageSeconds === null
      ? 'The archive has not been searched yet.'
      : `The archive was last searched ${duration(ageSeconds)} ago.`,
    ...(isSurveyed
      ? []
      : ['The first survey of the archive is not complete; nothing counts as new until then.']),
    ...(unread > 0 ? [`The headers of ${unread} series cannot be read at the moment.`] : []),
  ];
  const fault = code === null ? '' : ` <span class="fault">${escapeHtml(`${code}: ${message}`)}</span>`;
  return escapeHtml(texts.join(' ')) + fault;
}

function row(rule: RuleList['rules'][number]): string {
  const { name, state, code, message, outcome, template, transfer, priority, hours, counts, lagSeconds } =
    rule;
  const fault = code === null ? '' : `<small class="fault">${escapeHtml(`${code}: ${message}`)}</small>`;
  const matching = rule.match.map(({ keyword, values }) => `${keyword} ${values.join(' or ')}`).join(', ');
  const when = hours
    ? `${hours.from} to ${hours.to} ${[...(hours.days ?? []), hours.timeZone ?? ''].join(' ')}`.trim()
    : 'always';
  const how = `${outcome}, ${template}, ${transfer}, ${priority} priority, ${when}`;
  const numbers = COLUMNS.map(([, states]) => states.reduce((sum, one) => sum + (counts[one] ?? 0), 0));
  const cells = [...numbers.map(String), lagSeconds > 0 ? duration(lagSeconds) : ''];
  return [
    `<tr><th scope="row">${escapeHtml(name)}<small>${escapeHtml(matching || 'every slide')}</small><small>${escapeHtml(how)}</small></th>`,
    `<td>${escapeHtml(state)}${fault}</td>`,
    ...cells.map((cell) => `<td class="number">${escapeHtml(cell)}</td>`),
    '</tr>',
  ].join('');
}

function duration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
