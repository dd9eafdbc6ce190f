/** The HTTP service, put together: what comes before the routes, the routes, and what is said when there is none. */
import express, { type Express, type RequestHandler, type Router } from 'express';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { Access } from '../auth/access.ts';
import type { Login } from '../auth/login.ts';
import type { Config } from '../config.ts';
import type { JobService } from '../jobs/job-service.ts';
import { audited } from './audited.ts';
import { auditedArchive } from './audited-archive.ts';
import { requireScope } from './authenticate.ts';
import { type BatchRoutesOptions, batchRoutes } from './batch-routes.ts';
import { liftBodyDeadline } from './client-time.ts';
import { docsRouter } from './docs.ts';
import { EventStreams } from './event-stream.ts';
import { type HealthRoutesOptions, healthRoutes } from './health-routes.ts';
import { apiHosts, requireHost } from './hosts.ts';
import { jsonBody } from './json-body.ts';
import { requestLog, setRoute } from './log.ts';
import { normalizationRoutes } from './normalization-routes.ts';
import { createOpenApi } from './openapi.ts';
import { problemHandler, unknownRoute } from './problem.ts';
import { limitRate, limitRateOfAddress } from './rate-limit.ts';
import { json, mountRoutes, type Route } from './route.ts';
import { cors, securityHeaders } from './security.ts';
import { type ServiceRoutesOptions, serviceRoutes } from './service-routes.ts';
import { type StainRoutesOptions, stainRoutes } from './stain-routes.ts';
import { type TemplateRoutesOptions, templateRoutes } from './template-routes.ts';
import { upsRoutes } from './ups/ups-routes.ts';
import { UserJobs } from './user-jobs.ts';

/** The viewer asks the archive for many small things at once. */
const ARCHIVE_RATE_FACTOR = 20;
const HEARTBEAT_MS = 15_000;

export interface AppOptions
  extends Pick<ServiceRoutesOptions, 'device' | 'models'>,
    Pick<TemplateRoutesOptions, 'templates' | 'createTemplate'>,
    Pick<HealthRoutesOptions, 'version' | 'checks' | 'metrics'>,
    Pick<BatchRoutesOptions, 'batches' | 'searchSeries'>,
    Omit<StainRoutesOptions, 'basePath'> {
  readonly config: Pick<Config, 'server' | 'output' | 'limits'>;
  readonly jobs: JobService;
  readonly login: Login;
  readonly access: Access;
  readonly audit: Pick<AuditTrail, 'record'>;
  readonly log: Logger;
  /** The archive, at /dicom-web: the embedded one, or the way to the configured one. */
  readonly archiveRouter?: Router | undefined;
  /** Its own trail then tells who read what. */
  readonly archiveKnowsUsers?: boolean;
  /** OHIF, at the root of the host. */
  readonly viewerRouter?: Router | undefined;
  /** For tests. */
  readonly heartbeatMs?: number;
}

export function createApp(options: AppOptions): Express {
  const { config, jobs, login, access, log, version } = options;
  const { basePath } = config.server;
  const userJobs = new UserJobs(jobs, access);
  const routes: Route[] = [
    ...normalizationRoutes({
      config,
      jobs: userJobs,
      streams: new EventStreams(config.limits),
      heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS,
    }),
    ...batchRoutes(options),
    ...upsRoutes({ config, jobs: userJobs }),
    ...stainRoutes({ ...options, basePath }),
    ...templateRoutes({ ...options, basePath }),
    ...serviceRoutes({ ...options, basePath }),
    ...healthRoutes({ ...options, metricsScope: 'administer' }),
  ];
  routes.push(documentRoute(() => document));
  const document = createOpenApi(routes, { version, basePath, hasLogin: login.isRequired });
  const limited = limitRate(config.limits.requestsPerSecond);
  // Nothing of a body is read for those who may not send one.
  const guard = ({ scope, audit }: Route): RequestHandler[] =>
    scope === 'public'
      ? [limited]
      : [audited(options.audit, audit), requireScope(login, scope), limited, ...jsonBody()];

  const service = express.Router();
  if (options.archiveRouter)
    service.use(
      '/dicom-web',
      named('/dicom-web'),
      audited(options.audit, undefined),
      auditedArchive(options.audit, { reads: !options.archiveKnowsUsers }),
      archiveGuard(login),
      limitRate(config.limits.requestsPerSecond * ARCHIVE_RATE_FACTOR),
      longBody,
      options.archiveRouter,
    );
  service.use('/docs', docsRouter());
  mountRoutes(service, routes, guard);

  const app = express();
  app.disable('x-powered-by');
  app.set('basePath', basePath);
  app.set('trust proxy', config.server.trustedProxies);
  app.use(
    requestLog(log, options.metrics),
    securityHeaders(config.server),
    requireHost(apiHosts(config.server, login)),
    cors(config.server),
    limitRateOfAddress(config.limits.requestsPerSecondPerAddress),
  );
  app.use(basePath || '/', service);
  app.use([`${basePath}/api`, `${basePath}/dicom-web`, `${basePath}/ups-rs`], unknownRoute);
  if (options.viewerRouter) app.use(options.viewerRouter);
  app.use(unknownRoute, problemHandler(log));
  return app;
}

/** Whoever may ask for normalisations may store as well. */
function archiveGuard(login: Login): RequestHandler {
  const [read, store] = [requireScope(login, 'read'), requireScope(login, 'normalize')];
  // What a browser asks before a request from elsewhere carries no token.
  return (request, response, next) => {
    if (request.method === 'OPTIONS') return next();
    return (request.method === 'POST' ? store : read)(request, response, next);
  };
}

/** A slide may be stored in one request. */
const longBody: RequestHandler = (request, _response, next) => {
  if (request.method === 'POST') liftBodyDeadline(request);
  next();
};

/** The document describes itself too, so it is asked for when it is made. */
function documentRoute(document: () => unknown): Route {
  return {
    method: 'get',
    path: '/openapi.json',
    scope: 'public',
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

function named(pattern: string): RequestHandler {
  return (_request, response, next) => {
    setRoute(response, pattern);
    next();
  };
}
