/** A route and its documentation in one value: what the app answers and what openapi.json says cannot differ. */
import type { Request, RequestHandler, Response, Router } from 'express';
import type { ZodType } from 'zod';
import type { ZodOpenApiOperationObject } from 'zod-openapi';
import type { AuditedEvent } from '../audit/audit-event.ts';
import type { Scope } from '../auth/principal.ts';
import { type ErrorCode, StainError } from '../errors.ts';
import { setRoute } from './log.ts';
import { sendProblem } from './problem.ts';

export interface Route {
  readonly method: 'get' | 'post' | 'put' | 'delete';
  /** In the form of Express: /api/templates/:id. */
  readonly path: string;
  /** What the user must be allowed to; `public`: no login. */
  readonly scope: Scope | 'public';
  /** What the audit trail says of it; refusals are in it for every route. */
  readonly audit?: AuditedEvent;
  readonly operation: Omit<ZodOpenApiOperationObject, 'responses'> & {
    /** The answers that are no problems. */
    readonly responses: ZodOpenApiOperationObject['responses'];
  };
  /** The problems it may answer, besides INTERNAL. */
  readonly problems?: readonly ErrorCode[];
  readonly handler: (request: Request, response: Response) => void | Promise<void>;
}

/**
 * Nothing that a route answers is kept by browsers or proxies, unless it says so itself: slides, jobs and templates are the
 * user's. Also answers 405 where the path is known and the method is not.
 * @param guard what a request passes before its handler
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
    for (const route of ofPath) router[route.method](path, named, ...guard(route), route.handler);
    const allowed = ofPath.map(({ method }) => method.toUpperCase()).join(', ');
    router.all(path, named, (request, response) => {
      response.set('Allow', allowed);
      if (request.method === 'OPTIONS') response.status(204).end();
      else sendProblem(response, new StainError('REQUEST_INVALID', `Use ${allowed} here.`), 405);
    });
  }
}

/** An answer with a JSON body, for `operation.responses`. */
export function json(description: string, schema: ZodType) {
  return { description, content: { 'application/json': { schema } } };
}
