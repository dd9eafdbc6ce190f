/** Sends a template to a service: `template add ... --to URL`. */

import { type Problem, problem, TEMPLATE_MEDIA_TYPE } from '../../../core/src/contract/index.ts';
import { ERROR_TABLE, type ErrorCode, StainError } from '../../../core/src/errors.ts';
import type { Template } from '../../../core/src/stain/template-document.ts';
import { isInTheClear } from '../auth/login.ts';
import { codeOf, isCertificateFault } from '../tls.ts';

const TIMEOUT_MS = 60_000;

export interface SendOptions {
  /** Root URL of the service, above its /api. */
  readonly to: string;
  /** Bearer token, for a service with a login. */
  readonly token?: string | undefined;
  readonly replace: boolean;
}

/**
 * @returns the URL of the template
 * @throws REQUEST_INVALID for an invalid URL, SERVICE_UNREACHABLE, and refusals of the service with their own codes
 */
export async function sendTemplate(
  template: Template,
  { to, token, replace }: SendOptions,
  signal: AbortSignal,
): Promise<string> {
  const root = rootOf(to, token);
  const address = `${root}/api/templates/${encodeURIComponent(template.id)}`;
  const answer = await fetch(replace ? `${address}?replace=true` : address, {
    method: 'PUT',
    headers: { 'Content-Type': TEMPLATE_MEDIA_TYPE, ...(token && { Authorization: `Bearer ${token}` }) },
    body: JSON.stringify(template),
    // The token is for this address only.
    redirect: 'error',
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  }).catch((cause: unknown) => {
    signal.throwIfAborted();
    const code = codeOf(cause);
    const what = isCertificateFault(code)
      ? `The certificate of ${root} is not accepted (${code}).`
      : `No service answers at ${root}.`;
    throw new StainError('SERVICE_UNREACHABLE', what, { cause });
  });
  const said: unknown = await answer.json().catch(() => undefined);
  if (answer.ok) return address;
  throw refusalOf(answer.status, problem.safeParse(said).data, root);
}

function rootOf(to: string, token: string | undefined): string {
  const url = URL.canParse(to) ? new URL(to) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash)
    throw new StainError(
      'REQUEST_INVALID',
      '--to must be the root URL of a service, such as https://stain.example.',
    );
  if (token !== undefined && isInTheClear(url))
    throw new StainError(
      'REQUEST_INVALID',
      'The token must not cross a network unencrypted: use https in --to.',
    );
  let root = url.origin + url.pathname;
  while (root.endsWith('/')) root = root.slice(0, -1);
  return root;
}

function refusalOf(status: number, said: Problem | undefined, root: string): StainError {
  if (said && said.code in ERROR_TABLE)
    return new StainError(said.code as ErrorCode, said.detail, { data: said.data ?? {} });
  return new StainError('SERVICE_UNREACHABLE', `${root} answered ${status}, but not like this service.`);
}
