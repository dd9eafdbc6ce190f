/** Identifies the user before a route is entered. */
import type { RequestHandler, Response } from 'express';
import { type Login, requireScopeOf } from '../auth/login.ts';
import type { Principal, Scope } from '../auth/principal.ts';

/** Lets users with the scope pass; `public` routes are open to everybody. */
export function requireScope(login: Login, scope: Scope): RequestHandler {
  return async (request, response, next) => {
    const principal = await login.identify(request.get('Authorization'));
    // Set from here on, so that the audit trail also names users who are refused.
    response.locals['principal'] = principal;
    requireScopeOf(principal, scope);
    next();
  };
}

/** The user of a request that passed `requireScope`; undefined without a valid token. */
export function principalOf(response: Response): Principal {
  return response.locals['principal'];
}
