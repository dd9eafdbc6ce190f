/** A login whose tokens are the names of scopes: the user may do that much. */
import { StainError } from '../../core/src/errors.ts';
import type { Login } from '../../server/src/auth/login.ts';
import { SCOPES, type Scope } from '../../server/src/auth/principal.ts';

export const SCOPED_LOGIN: Login = {
  isRequired: true,
  async identify(authorization) {
    const id = /^Bearer (\w+)$/.exec(authorization ?? '')?.[1];
    if (id === undefined) throw new StainError('UNAUTHENTICATED', 'The request has no bearer token.');
    return { id, scopes: new Set(SCOPES.slice(0, SCOPES.indexOf(id as Scope) + 1)), token: id };
  },
};
