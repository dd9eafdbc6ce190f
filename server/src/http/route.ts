/** A route together with its documentation: what the app answers and what openapi.json says cannot differ. */
import type { Request, RequestHandler, Response, Router } from 'express';
import type { ZodType } from 'zod';
import type { ZodOpenApiOperationObject } from 'zod-openapi';
import { type ErrorCode, StainError } from '../../../core/src/errors.ts';
import type { AuditedEvent } from '../audit/audit-event.ts';
import type { Scope } from '../auth/principal.ts';
import { sendProblem } from '../web/problem.ts';
import { setRoute } from './log.ts';

export interface Route {
  readonly method: 'get' | 'post' | 'put' | 'delete';
  /** In Express syntax: /api/templates/:id. */
  readonly path: string;
  /** The scope that the user needs; `public`: no login. */
  readonly scope: Scope | 'public';
  /** The event for the audit trail; refusals are recorded for every route. */
  readonly audit?: AuditedEvent;
  readonly operation: Omit<ZodOpenApiOperationObject, 'responses'> & {
    /** The responses that are not problems. */
    readonly responses: ZodOpenApiOperationObject['responses'];
  };
  /** Path of the page from which people come here in a browser: they see problems as a page too. */
  readonly page?: string;
  /** The problems that the route may return, besides INTERNAL. */
  readonly problems?: readonly ErrorCode[];
  readonly handler: (request: Request, response: Response) => void | Promise<void>;
}

/**
 * Browsers and proxies keep nothing that a route returns, unless the route allows it: slides, jobs and templates belong
 * to the user. Also answers 405 if the path is known but the method is not.
 * @param guard handlers that a request passes before its handler
 */
export function mountRoutes(
  router: Router,
  routes: readonly Route[],
  guard: (route: Route) => readonly RequestHandler[],
): void {
  const byPath = Map.groupBy(routes, ({ path }) => path);
  for (const [path, ofPath] of byPath) {
    const named: RequestHandler = (_request, response, next) => {
      setRoute(response, path);
      response.set('Cache-Control', 'no-store');
      next();
    };
    for (const route of ofPath) {
      const paged: RequestHandler = (_request, response, next) => {
        response.locals['page'] = route.page;
        next();
      };
      router[route.method](path, named, paged, ...guard(route), route.handler);
    }
    const allowed = ofPath.map(({ method }) => method.toUpperCase()).join(', ');
    router.all(path, named, (request, response) => {
      response.set('Allow', allowed);
      if (request.method === 'OPTIONS') response.status(204).end();
      else sendProblem(response, new StainError('REQUEST_INVALID', `Use ${allowed} here.`), 405);
    });
  }
}

/** A response with a JSON body, for `operation.responses`. */
export function json(description: string, schema: ZodType) {
  return { description, content: { 'application/json': { schema } } };
}
