/** Assembles the HTTP service: the middleware before the routes, the routes, and the answer to unknown addresses. */
import express, { type Express, type RequestHandler, type Router } from 'express';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { Access } from '../auth/access.ts';
import type { Login } from '../auth/login.ts';
import type { Config } from '../config.ts';
import type { JobService } from '../jobs/job-service.ts';
import { audited, setSubject } from './audited.ts';
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
import type { NormalizedRouterOptions } from './normalized/asked.ts';
import { normalizedRouter } from './normalized/normalized-router.ts';
import { createOpenApi } from './openapi.ts';
import { type OperationsRoutesOptions, operationsRoutes } from './operations-routes.ts';
import { problemHandler, unknownRoute } from './problem.ts';
import { type QualityRoutesOptions, qualityRoutes } from './quality-routes.ts';
import { limitRate, limitRateOfAddress } from './rate-limit.ts';
import { type ResultRoutesOptions, resultRoutes } from './result-routes.ts';
import { json, mountRoutes, type Route } from './route.ts';
import { type RuleRoutesOptions, ruleRoutes } from './rule-routes.ts';
import { cors, securityHeaders } from './security.ts';
import { type ServiceRoutesOptions, serviceRoutes } from './service-routes.ts';
import { type StainRoutesOptions, stainRoutes } from './stain-routes.ts';
import { type TemplateRoutesOptions, templateRoutes } from './template-routes.ts';
import { upsRoutes } from './ups/ups-routes.ts';
import { UserJobs } from './user-jobs.ts';

/** The viewer sends the archive many small requests at once. */
const ARCHIVE_RATE_FACTOR = 20;
const HEARTBEAT_MS = 15_000;

/** An archive at this host: the default one at the root of the service, a named one at /archives/{name}. */
export interface ArchiveRoutes {
  /** The archive at /dicom-web: the embedded one, or a proxy to the configured one. */
  readonly archiveRouter?: Router | undefined;
  /** If true, the archive's own trail says who read what. */
  readonly archiveKnowsUsers?: boolean;
  /** The normalised archive, at /normalized/{template}/dicom-web. */
  readonly normalized?: Omit<NormalizedRouterOptions, 'access'> | undefined;
}

export interface NamedArchiveRoutes extends ArchiveRoutes {
  readonly name: string;
  readonly isReadOnly: boolean;
}

export interface AppOptions
  extends Pick<ServiceRoutesOptions, 'device' | 'models'>,
    Pick<TemplateRoutesOptions, 'templates' | 'createTemplate'>,
    ArchiveRoutes,
    Pick<HealthRoutesOptions, 'version' | 'checks' | 'metrics'>,
    Pick<BatchRoutesOptions, 'batches' | 'searchSeries' | 'requireArchives'>,
    Pick<OperationsRoutesOptions, 'archive'>,
    Pick<QualityRoutesOptions, 'searchInstances'>,
    Partial<RuleRoutesOptions>,
    Partial<ResultRoutesOptions>,
    Omit<StainRoutesOptions, 'basePath'> {
  readonly config: Pick<Config, 'server' | 'output' | 'limits'>;
  readonly jobs: JobService;
  readonly login: Login;
  readonly access: Access;
  readonly audit: Pick<AuditTrail, 'record'> & OperationsRoutesOptions['audit'];
  readonly log: Logger;
  /** Those besides the default one. */
  readonly archives?: readonly NamedArchiveRoutes[];
  /** OHIF, at the root of the host. */
  readonly viewerRouter?: Router | undefined;
  /** For tests. */
  readonly heartbeatMs?: number;
}

export function createApp(options: AppOptions): Express {
  const { config, jobs, login, access, log, version, archives = [] } = options;
  const { basePath } = config.server;
  const userJobs = new UserJobs(jobs, access, options.requireArchives);
  const hasViewer = options.viewerRouter !== undefined;
  const routes: Route[] = [
    ...normalizationRoutes({
      config,
      jobs: userJobs,
      streams: new EventStreams(config.limits),
      heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS,
    }),
    ...batchRoutes(options),
    ...(options.rules ? ruleRoutes({ rules: options.rules }) : []),
    ...operationsRoutes({ ...options, basePath, hasViewer }),
    ...qualityRoutes({ ...options, basePath, hasViewer }),
    ...(options.results ? resultRoutes({ results: options.results }) : []),
    ...upsRoutes({ config, jobs: userJobs }),
    ...stainRoutes({ ...options, basePath }),
    ...templateRoutes({ ...options, basePath }),
    ...serviceRoutes({ ...options, archives, basePath }),
    ...healthRoutes({ ...options, metricsScope: 'administer' }),
  ];
  routes.push(documentRoute(() => document));
  const document = createOpenApi(routes, { version, basePath, hasLogin: login.isRequired });
  const limited = limitRate(config.limits.requestsPerSecond);
  // Checked before the body is read, so that nothing is read from clients that may not send one.
  const guard = ({ scope, audit }: Route): RequestHandler[] =>
    scope === 'public'
      ? [limited]
      : [audited(options.audit, audit), requireScope(login, scope), limited, ...jsonBody()];

  const service = express.Router();
  mountArchive(service, undefined, options, options);
  for (const archive of archives) mountArchive(service, archive.name, archive, options);
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
  const ours = ['api', 'archives', 'dicom-web', 'normalized', 'ups-rs'];
  app.use(
    ours.map((path) => `${basePath}/${path}`),
    unknownRoute,
  );
  if (options.viewerRouter) app.use(options.viewerRouter);
  app.use(unknownRoute, problemHandler(log));
  return app;
}

function mountArchive(
  service: Router,
  name: string | undefined,
  { archiveRouter, archiveKnowsUsers, normalized }: ArchiveRoutes,
  { audit, login, config, access }: Pick<AppOptions, 'audit' | 'login' | 'config' | 'access'>,
): void {
  const mount = (below: string, reads: boolean, ...handlers: RequestHandler[]): void => {
    const at = `${name === undefined ? '' : `/archives/${name}`}/${below}`;
    service.use(
      at,
      named(at),
      audited(audit, undefined),
      auditedArchive(audit, { reads }),
      (_request, response, next) => {
        setSubject(response, { archive: name });
        next();
      },
      archiveGuard(login),
      limitRate(config.limits.requestsPerSecond * ARCHIVE_RATE_FACTOR),
      ...handlers,
    );
  };
  if (archiveRouter) mount('dicom-web', !archiveKnowsUsers, longBody, archiveRouter);
  // Its frames are fetched with our own credentials, so the archive's trail does not say for whom.
  if (normalized)
    mount('normalized/:template/dicom-web', true, normalizedRouter({ ...normalized, access, source: name }));
}

/** Users who may request normalisations may also store. */
function archiveGuard(login: Login): RequestHandler {
  const [read, store] = [requireScope(login, 'read'), requireScope(login, 'normalize')];
  // A browser's preflight request carries no token.
  return (request, response, next) => {
    if (request.method === 'OPTIONS') return next();
    return (request.method === 'POST' ? store : read)(request, response, next);
  };
}

/** A whole slide may be stored in one request. */
const longBody: RequestHandler = (request, _response, next) => {
  if (request.method === 'POST') liftBodyDeadline(request);
  next();
};

/** The document also describes this route, so it is created on request. */
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
