/** Rules: their state, the series that they took up, and announcements of new series. */
import { z } from 'zod';
import {
  ruleList,
  ruleNotifications,
  ruleRetry,
  ruleSeriesPage,
  ruleSeriesQuery,
} from '../../../core/src/contract/index.ts';
import type { AllRules } from '../rules/all-rules.ts';
import { parseBody } from './json-body.ts';
import { PAGE_POLICY } from './page.ts';
import { parseInput } from './problem.ts';
import { json, type Route } from './route.ts';
import { rulesPage } from './rules-page.ts';

const TAGS = ['Rules'];
const nameParameter = z.object({ name: z.string().max(63) });

export interface RuleRoutesOptions {
  readonly rules: Pick<AllRules, 'report' | 'series' | 'retry' | 'announce'>;
}

/** Administrators only: a rule lists series whoever may see them. */
export function ruleRoutes({ rules }: RuleRoutesOptions): Route[] {
  return [
    {
      method: 'get',
      path: '/api/rules',
      scope: 'administer',
      operation: {
        tags: TAGS,
        summary: 'All rules, and the state of the search for new slides',
        responses: { 200: json('The rules, in the order of their file', ruleList) },
      },
      async handler(_request, response) {
        response.json(await rules.report());
      },
    },
    {
      method: 'get',
      path: '/api/rules.html',
      scope: 'administer',
      page: '/api/rules.html',
      operation: {
        tags: TAGS,
        summary: 'The same as an HTML page',
        responses: { 200: { description: 'A page', content: { 'text/html': { schema: z.string() } } } },
      },
      async handler(_request, response) {
        const page = rulesPage(await rules.report());
        response.set('Content-Security-Policy', PAGE_POLICY).type('html').send(page);
      },
    },
    {
      method: 'get',
      path: '/api/rules/:name/series',
      scope: 'administer',
      problems: ['REQUEST_INVALID', 'RULE_NOT_FOUND'],
      operation: {
        tags: TAGS,
        summary: 'The series that a rule picked up, each with state and reason',
        requestParams: { path: nameParameter, query: ruleSeriesQuery },
        responses: { 200: json('A page', ruleSeriesPage) },
      },
      async handler(request, response) {
        const { name } = parseInput(nameParameter, request.params);
        const { state, after, limit } = parseInput(ruleSeriesQuery, request.query);
        const { series, next = null } = await rules.series(name, { state, after, limit });
        response.json({ series, next });
      },
    },
    {
      method: 'post',
      path: '/api/rules/:name/retry',
      scope: 'administer',
      audit: 'rule-retried',
      problems: ['REQUEST_INVALID', 'RULE_NOT_FOUND'],
      operation: {
        tags: TAGS,
        summary: 'Retry everything that was refused, failed or was cancelled',
        requestParams: { path: nameParameter },
        responses: { 202: json('How many series', ruleRetry) },
      },
      async handler(request, response) {
        const { name } = parseInput(nameParameter, request.params);
        response.status(202).json({ series: await rules.retry(name) });
      },
    },
    {
      method: 'post',
      path: '/api/rules/notifications',
      scope: 'normalize',
      audit: 'series-announced',
      problems: ['REQUEST_INVALID', 'RULE_NOT_FOUND', 'QUEUE_FULL'],
      operation: {
        tags: TAGS,
        summary: 'Announce series that are new in the archive, so that the rules examine them at once',
        requestBody: { required: true, content: { 'application/json': { schema: ruleNotifications } } },
        responses: { 202: { description: 'Recorded; the rules will examine them soon' } },
      },
      async handler(request, response) {
        const { series } = parseBody(ruleNotifications, request);
        await rules.announce(series);
        response.status(202).end();
      },
    },
  ];
}
