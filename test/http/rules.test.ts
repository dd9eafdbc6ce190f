/** The routes of rules, over rules that the test makes up. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ruleList } from '../../core/src/contract/index.ts';
import { StainError } from '../../core/src/errors.ts';
import type { RuleRoutesOptions } from '../../server/src/http/rule-routes.ts';
import { ruleReports } from '../../server/src/rules/rule-report.ts';
import { NO_BATCHES, NO_JOBS, startApp, type TestApp } from '../support/test-app.ts';

const NOW = new Date('2026-11-26T12:00:00Z');
const RULE = {
  enabled: true,
  match: [{ keyword: 'StationName', tag: '00081010', values: ['A'] }],
  template: 'one',
  model: 'fast',
  transfer: 'linear',
  outcome: 'fit',
  priority: 'normal',
} as const;
const HOURS = { from: '20:00', to: '06:00', days: ['Mon'] as const };

let app: TestApp;
let announced: unknown;
let asked: unknown;

const rules: RuleRoutesOptions['rules'] = {
  report: async () =>
    ruleReports(
      [
        { ...RULE, name: 'open', hours: HOURS },
        { ...RULE, name: 'lost', hours: undefined },
        { ...RULE, name: 'off', hours: undefined, enabled: false },
        { ...RULE, name: 'night', hours: undefined, since: '2026-11-01' },
        { ...RULE, name: 'new', hours: undefined, withoutAcceptance: 'validation <study>' },
      ],
      {
        // As after the clock was put back.
        sweptAt: new Date(NOW.getTime() + 60_000),
        isSurveyed: true,
        fault: undefined,
        ruleFaults: { lost: { code: 'TEMPLATE_NOT_FOUND', message: 'No template <b>.' } },
        unread: 0,
      },
      ['open', 'lost', 'off', 'night'].map((rule) => ({
        rule,
        createdAt: NOW,
        isServed: rule === 'open',
        counts: { WAITING: 2 },
        lagSeconds: 5,
        held: rule === 'open' ? { 'Maker Alpha': 1 } : ({} as Record<string, number>),
      })),
      {
        decisions: [
          {
            scanner: 'Maker Beta',
            template: 'one',
            model: 'fast',
            transfer: 'linear',
            decision: 'accepted',
            name: 'Dr. Example',
            role: 'pathologist',
            signedAt: NOW.toISOString(),
          },
        ],
        invalid: [{ file: 'old.json', message: '"old.json" was changed after it was signed.' }],
        scannersFor: () => new Set(),
      },
      NOW,
    ),
  async series(name, filter) {
    if (name !== 'open') throw new StainError('RULE_NOT_FOUND', `There is no rule "${name}".`);
    asked = filter;
    return { series: [], next: 7 };
  },
  retry: async () => 3,
  async announce(series) {
    announced = series;
  },
};

beforeAll(async () => {
  app = await startApp(NO_JOBS, { batches: NO_BATCHES, rules });
});
afterAll(() => app[Symbol.asyncDispose]());

const get = (path: string, init?: RequestInit) => fetch(`${app.url}/api/rules${path}`, init);
const post = (path: string, body: unknown) =>
  get(path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'Content-Type': 'application/json' },
  });

it('lists the rules with their states', async () => {
  const { search, rules: listed } = ruleList.parse(await (await get('')).json());
  expect(search).toMatchObject({ ageSeconds: 0, isSurveyed: true, code: null });
  expect(listed.map(({ name, state, code }) => [name, state, code])).toEqual([
    ['open', 'OPEN', null],
    ['lost', 'FAULTY', 'TEMPLATE_NOT_FOUND'],
    ['off', 'DISABLED', null],
    ['night', 'OUT OF HOURS', null],
    ['new', 'STARTING', null],
  ]);
  expect(listed[0]).toMatchObject({
    hours: HOURS,
    counts: { WAITING: 2 },
    lagSeconds: 5,
    withoutAcceptance: null,
    notAccepted: [{ scanner: 'Maker Alpha', series: 1 }],
  });
  expect(listed[4]).toMatchObject({ withoutAcceptance: 'validation <study>', notAccepted: [] });
});

it('shows them as a page, with nothing that a rule could bring in', async () => {
  const answer = await get('.html');
  expect(answer.headers.get('Content-Type')).toMatch(/^text\/html/);
  expect(answer.headers.get('Content-Security-Policy')).toMatch(/^default-src 'none'; style-src 'sha256-/);
  const page = await answer.text();
  expect(page).toMatch(/<td role="cell" data-label="Waiting" class="number">2<\/td>/);
  expect(page).toContain('TEMPLATE_NOT_FOUND: No template &#60;b&#62;.');
  expect(page).not.toContain('<b>');
  expect(page).toContain('1 waits for an acceptance of Maker Alpha');
  expect(page).toContain('without an acceptance: validation &#60;study&#62;');
  expect(page).toMatch(/Maker Beta.*accepted.*Dr\. Example, pathologist.*2026-11-26/);
  expect(page).toContain('ACCEPTANCE_INVALID: &#34;old.json&#34; was changed after it was signed.');
});

it('lists the series of a rule by state, page by page', async () => {
  const answer = await get('/open/series?state=REFUSED&after=3&limit=2');
  expect(await answer.json()).toEqual({ series: [], next: 7 });
  expect(asked).toEqual({ state: 'REFUSED', after: 3, limit: 2 });
  expect((await get('/open/series?state=LOST')).status).toBe(400);
  expect((await get('/open/series?limit=100000')).status).toBe(400);
  expect((await get('/none/series')).status).toBe(404);
});

it('tries again what was parked', async () => {
  const answer = await post('/open/retry', undefined);
  expect(answer.status).toBe(202);
  expect(await answer.json()).toEqual({ series: 3 });
});

it('takes announcements of series and of studies, and nothing else', async () => {
  const series = [{ studyInstanceUid: '1.2', seriesInstanceUid: '1.2.3' }, { studyInstanceUid: '1.3' }];
  expect((await post('/notifications', { series })).status).toBe(202);
  expect(announced).toEqual(series);
  announced = undefined;
  for (const wrong of [
    { series: [] },
    { series: [{ studyInstanceUid: '../1' }] },
    { series: [{ seriesInstanceUid: '1.2.3' }] },
    { series: Array.from({ length: 1001 }, () => ({ studyInstanceUid: '1.2' })) },
  ])
    expect((await post('/notifications', wrong)).status).toBe(400);
  expect(announced).toBeUndefined();
});
