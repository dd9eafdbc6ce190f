/**
 * The login of the service: tokens of an OpenID Connect issuer; or none, for a service reachable only from its own
 * host.
 */
import { isIP } from 'node:net';
import { StainError } from '../../../core/src/errors.ts';
import type { Config } from '../config.ts';
import { invalidSetting } from '../setting.ts';
import { LOCAL, type Principal, type Scope } from './principal.ts';
import { createTokenVerifier } from './token-verifier.ts';

export interface Login {
  /** False if everybody is LOCAL. */
  readonly isRequired: boolean;
  /**
   * Identifies the user; `requireScopeOf` decides what the user may do.
   * @param authorization value of the Authorization header
   * @throws UNAUTHENTICATED, LOGIN_UNAVAILABLE
   */
  identify(authorization: string | undefined): Promise<Principal>;
}

/** @throws CONFIGURATION_INVALID for an incomplete login, or if others can reach the service without one */
export function openLogin({ oidc, server }: Pick<Config, 'oidc' | 'server'>): Login {
  const { issuer, audience } = oidc;
  if (issuer === undefined) {
    // Probably a variable that is empty: nobody sets an audience and wants no login.
    if (audience !== undefined)
      throw invalidSetting('oidc.issuer', 'set the issuer of the tokens, or remove oidc.audience.');
    if (!isLoopback(server.host))
      throw invalidSetting(
        'server.host',
        'without a login (oidc.issuer) the service may listen only on 127.0.0.1 or ::1.',
      );
    return { isRequired: false, identify: async () => LOCAL };
  }
  if (audience === undefined)
    throw invalidSetting('oidc.audience', 'set the audience of the tokens for this service.');
  if (isInTheClear(new URL(issuer)))
    throw invalidSetting('oidc.issuer', 'an issuer on another host must use https.');
  const verify = createTokenVerifier({ ...oidc, issuer, audience });
  return {
    isRequired: true,
    async identify(authorization) {
      const token = /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization ?? '')?.[1];
      if (token === undefined) throw new StainError('UNAUTHENTICATED', 'The request has no bearer token.');
      return verify(token);
    },
  };
}

/** @throws FORBIDDEN */
export function requireScopeOf({ scopes }: Principal, scope: Scope): void {
  if (!scopes.has(scope))
    throw new StainError('FORBIDDEN', `The token does not allow this: it lacks the scope to ${scope}.`, {
      data: { scope },
    });
}

/** Whether traffic to this URL crosses a network unencrypted. */
export function isInTheClear({ protocol, hostname }: URL): boolean {
  return protocol !== 'https:' && !isLoopback(hostname.replace(/^\[|\]$/g, ''));
}

/** Whether an address can be reached only from this host. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
