/** The HTTP service, put together: what comes before the routes, the routes, and what is said when there is none. */
import express, { type Express, type Router } from 'express';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Config } from '../config.ts';
import type { JobService } from '../jobs/job-service.ts';
import { docsRouter } from './docs.ts';
import { requestLog, setRoute } from './log.ts';
import { normalizationRoutes } from './normalization-routes.ts';
import { createOpenApi } from './openapi.ts';
import { problemHandler, unknownRoute } from './problem.ts';
import { json, mountRoutes, type Route } from './route.ts';
import { cors, securityHeaders } from './security.ts';
import { type ServiceRoutesOptions, serviceRoutes } from './service-routes.ts';
import { type StainRoutesOptions, stainRoutes } from './stain-routes.ts';

/** Our largest request is a few hundred bytes. The archive reads its own bodies. */
const BODY_LIMIT = '64kb';
const HEARTBEAT_MS = 15_000;

export interface AppOptions
  extends Pick<ServiceRoutesOptions, 'version' | 'templates' | 'device' | 'models'>,
    Omit<StainRoutesOptions, 'basePath'> {
  readonly config: Pick<Config, 'server' | 'output'>;
  readonly jobs: JobService;
  readonly log: Logger;
  /** For /ready, besides the database: the archive, the models. */
  readonly checks?: ServiceRoutesOptions['checks'];
  /** The archive, at /dicom-web: the embedded one, or the way to the configured one. */
  readonly archiveRouter?: Router | undefined;
  /** OHIF, at the root of the host. */
  readonly viewerRouter?: Router | undefined;
  /** For tests. */
  readonly heartbeatMs?: number;
}

export function createApp(options: AppOptions): Express {
  const { config, jobs, log, version } = options;
  const { basePath } = config.server;
  const routes: Route[] = [
    ...normalizationRoutes({
      config,
      jobs,
      heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS,
    }),
    ...stainRoutes({ ...options, basePath }),
    ...serviceRoutes({ ...options, basePath, checks: { database: () => jobs.ping(), ...options.checks } }),
  ];
  routes.push(documentRoute(() => document));
  const document = createOpenApi(routes, { version, basePath });

  const service = express.Router();
  if (options.archiveRouter) service.use('/dicom-web', named('/dicom-web'), options.archiveRouter);
  service.use('/docs', docsRouter());
  service.use(express.json({ limit: BODY_LIMIT }));
  mountRoutes(service, routes);

  const app = express();
  app.disable('x-powered-by');
  app.set('basePath', basePath);
  app.use(requestLog(log), securityHeaders(config.server), cors(config.server));
  app.use(basePath || '/', service);
  app.use([`${basePath}/api`, `${basePath}/dicom-web`], unknownRoute);
  if (options.viewerRouter) app.use(options.viewerRouter);
  app.use(unknownRoute, problemHandler(log));
  return app;
}

/** The document describes itself too, so it is asked for when it is made. */
function documentRoute(document: () => unknown): Route {
  return {
    method: 'get',
    path: '/openapi.json',
    operation: {
      tags: ['Service'],
      summary: 'This document',
      responses: { 200: json('OpenAPI 3.1', z.looseObject({})) },
    },
    handler(_request, response) {
      response.json(document());
    },
  };
}

function named(pattern: string): express.RequestHandler {
  return (_request, response, next) => {
    setRoute(response, pattern);
    next();
  };
}
