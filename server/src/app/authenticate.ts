/** Finds out who asks before a route is entered. */
import type { RequestHandler, Response } from 'express';
import type { Login } from '../auth/login.ts';
import type { Principal, Scope } from '../auth/principal.ts';

/** Lets those with the scope pass; `public` routes are open to everybody. */
export function requireScope(login: Login, scope: Scope): RequestHandler {
  return async (request, response, next) => {
    response.locals['principal'] = await login.authorize(request.get('Authorization'), scope);
    next();
  };
}

/** Of a request that has passed `requireScope`. */
export function principalOf(response: Response): Principal {
  return response.locals['principal'];
}
