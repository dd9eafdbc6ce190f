/** State of the process, for an orchestrator's probes and for Prometheus. */
import { z } from 'zod';
import { type Health, health } from '../../../core/src/contract/index.ts';
import { type Check, sharedChecks } from '../monitoring/checks.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import { json, type Route } from './route.ts';

const TAGS = ['Service'];

export interface HealthRoutesOptions {
  readonly version: string;
  /** What must work for jobs to run, by name. */
  readonly checks: Readonly<Record<string, Check>>;
  readonly metrics: Metrics;
  /** Who may read the metrics. */
  readonly metricsScope: Route['scope'];
}

export function healthRoutes({ version, checks, metrics, metricsScope }: HealthRoutesOptions): Route[] {
  const runChecks = sharedChecks(checks);
  return [
    {
      method: 'get',
      path: '/health',
      scope: 'public',
      operation: {
        tags: TAGS,
        summary: 'Whether the process is alive',
        responses: { 200: json('It does', health) },
      },
      handler(_request, response) {
        response.json({ status: 'ok', version, checks: [] } satisfies Health);
      },
    },
    {
      method: 'get',
      path: '/ready',
      scope: 'public',
      operation: {
        tags: TAGS,
        summary: 'Whether the service can run jobs now',
        responses: { 200: json('All checks pass', health), 503: json('A check fails', health) },
      },
      async handler(_request, response) {
        const found = await runChecks();
        const isReady = found.every(({ ok, isOptional }) => ok || isOptional);
        response.status(isReady ? 200 : 503).json({
          status: isReady ? 'ok' : 'unavailable',
          version,
          checks: found,
        } satisfies Health);
      },
    },
    {
      method: 'get',
      path: '/metrics',
      scope: metricsScope,
      operation: {
        tags: TAGS,
        summary: 'Metrics for Prometheus',
        responses: { 200: { description: 'Text format', content: { 'text/plain': { schema: z.string() } } } },
      },
      async handler(_request, response) {
        response.type(metrics.contentType).send(await metrics.text());
      },
    },
  ];
}
