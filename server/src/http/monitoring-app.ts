/** Metrics and probes only, for a listener of their own. */
import express, { type Express } from 'express';
import type { Logger } from 'pino';
import { type HealthRoutesOptions, healthRoutes } from './health-routes.ts';
import { type IsOwnHost, requireHost } from './hosts.ts';
import { requestLog } from './log.ts';
import { problemHandler, unknownRoute } from './problem.ts';
import { mountRoutes } from './route.ts';

export interface MonitoringAppOptions extends Omit<HealthRoutesOptions, 'metricsScope'> {
  readonly isOwnHost: IsOwnHost;
}

export function createMonitoringApp(options: MonitoringAppOptions, log: Logger): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('basePath', '');
  app.use(requestLog(log), requireHost(options.isOwnHost));
  mountRoutes(app, healthRoutes({ ...options, metricsScope: 'public' }), () => []);
  app.use(unknownRoute, problemHandler(log));
  return app;
}
