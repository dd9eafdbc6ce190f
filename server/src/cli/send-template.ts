/** Sends a template to a service: `template add ... --to URL`. */
import { isInTheClear } from '../auth/login.ts';
import { type Problem, problem, TEMPLATE_MEDIA_TYPE } from '../contract/index.ts';
import { ERROR_TABLE, type ErrorCode, StainError } from '../errors.ts';
import type { Template } from '../stain/template-document.ts';

const TIMEOUT_MS = 60_000;

export interface SendOptions {
  /** Root of the service, where its /api is. */
  readonly to: string;
  /** Bearer token, for a service with a login. */
  readonly token?: string | undefined;
  readonly replace: boolean;
}

/**
 * @returns the address of the template
 * @throws REQUEST_INVALID for an address that is none, SERVICE_UNREACHABLE, and what the service refuses by its own code
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
    // The token is for this address alone.
    redirect: 'error',
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  }).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw new StainError('SERVICE_UNREACHABLE', `No service answers at ${root}.`, { cause });
  });
  const said: unknown = await answer.json().catch(() => undefined);
  if (answer.ok) return address;
  throw refusalOf(answer.status, problem.safeParse(said).data, root);
}

function rootOf(to: string, token: string | undefined): string {
  const url = URL.canParse(to) ? new URL(to) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash)
    throw new StainError('REQUEST_INVALID', '--to is the root of a service, such as https://stain.example.');
  if (token !== undefined && isInTheClear(url))
    throw new StainError(
      'REQUEST_INVALID',
      'The token must not cross a network in the clear: --to is https.',
    );
  let root = url.origin + url.pathname;
  while (root.endsWith('/')) root = root.slice(0, -1);
  return root;
}

function refusalOf(status: number, said: Problem | undefined, root: string): StainError {
  if (said && said.code in ERROR_TABLE)
    return new StainError(said.code as ErrorCode, said.detail, { data: said.data ?? {} });
  return new StainError('SERVICE_UNREACHABLE', `${root} answered ${status}, and not as this service does.`);
}
