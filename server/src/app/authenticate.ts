/** Finds out who asks before a route is entered. */
import type { RequestHandler, Response } from 'express';
import { type Login, requireScopeOf } from '../auth/login.ts';
import type { Principal, Scope } from '../auth/principal.ts';

/** Lets those with the scope pass; `public` routes are open to everybody. */
export function requireScope(login: Login, scope: Scope): RequestHandler {
  return async (request, response, next) => {
    const principal = await login.identify(request.get('Authorization'));
    // Known from here on: the audit trail names whoever is refused, too.
    response.locals['principal'] = principal;
    requireScopeOf(principal, scope);
    next();
  };
}

/** Of a request that has passed `requireScope`; without a valid token there is none. */
export function principalOf(response: Response): Principal {
  return response.locals['principal'];
}
