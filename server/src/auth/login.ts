/** The login of the service: tokens of an OpenID Connect issuer, or none, for a service that only its own host reaches. */
import { isIP } from 'node:net';
import type { Config } from '../config.ts';
import { StainError } from '../errors.ts';
import { invalidSetting } from '../setting.ts';
import { LOCAL, type Principal, type Scope } from './principal.ts';
import { createTokenVerifier } from './token-verifier.ts';

export interface Login {
  /** False where everybody is LOCAL. */
  readonly isRequired: boolean;
  /**
   * Who asks; what they may do is another question (`requireScopeOf`).
   * @param authorization value of the header
   * @throws UNAUTHENTICATED, LOGIN_UNAVAILABLE
   */
  identify(authorization: string | undefined): Promise<Principal>;
}

/** @throws CONFIGURATION_INVALID for a login that is set up in part, or none where others reach the service */
export function openLogin({ oidc, server }: Pick<Config, 'oidc' | 'server'>): Login {
  const { issuer, audience } = oidc;
  if (issuer === undefined) {
    if (!isLoopback(server.host))
      throw invalidSetting(
        'server.host',
        'without a login (oidc.issuer) the service listens on 127.0.0.1 or ::1 only.',
      );
    return { isRequired: false, identify: async () => LOCAL };
  }
  if (audience === undefined)
    throw invalidSetting('oidc.audience', 'say which audience the tokens for this service have.');
  if (isInTheClear(new URL(issuer)))
    throw invalidSetting('oidc.issuer', 'the keys of an issuer on another host must come over https.');
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

/** Whether what is sent to an address crosses a network for everybody to read. */
export function isInTheClear({ protocol, hostname }: URL): boolean {
  return protocol !== 'https:' && !isLoopback(hostname.replace(/^\[|\]$/g, ''));
}

/** Whether an address is reached from this host only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
