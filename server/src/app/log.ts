/** The log: one line a request, with the pattern of its route. Addresses, queries and bodies are never logged: they name patients' studies and may hold tokens. */
import { randomUUID } from 'node:crypto';
import type { RequestHandler, Response } from 'express';
import { type DestinationStream, type Logger, pino } from 'pino';
import type { Metrics } from '../monitoring/metrics.ts';
import { scrub } from './scrub.ts';

const SECRETS = ['authorization', 'cookie', 'headers', 'password', 'token'];

export function createLogger({
  level,
  destination,
}: {
  level: string;
  destination?: DestinationStream;
}): Logger {
  return pino(
    {
      level,
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[redacted]' },
      serializers: { err: (error: unknown) => describeError(error) },
    },
    destination ?? pino.destination({ fd: 1, sync: true }),
  );
}

/** An error may be its own cause, and one fault may stand for many. */
const MOST_CAUSES = 5;

/**
 * Kind, code, text and stack of an error and of its causes, with what may identify somebody left out. Not its other
 * properties: HTTP clients hang requests on theirs, PostgreSQL rows.
 */
export function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  const { code, address, port, syscall, cause } = error as NodeJS.ErrnoException & {
    address?: unknown;
    port?: unknown;
  };
  const others = error instanceof AggregateError ? error.errors.slice(0, MOST_CAUSES) : [];
  return {
    type: scrub(error.name),
    ...(typeof code === 'string' ? { code: scrub(code) } : {}),
    // Of a connection that failed: the host that we were configured with.
    ...(typeof syscall === 'string' && typeof address === 'string' ? { address, port } : {}),
    stack: scrubbedStack(error),
    ...(cause === undefined || depth >= MOST_CAUSES ? {} : { cause: describeError(cause, depth + 1) }),
    ...(others.length === 0 || depth >= MOST_CAUSES
      ? {}
      : { errors: others.map((other) => describeError(other, depth + 1)) }),
  };
}

const FRAME = '    at ';

/** The frames are ours: file and line of the fault stay. Whatever else a library has put into its stack does not. */
function scrubbedStack({ name, message, stack = '' }: Error): string {
  const head = Math.max(0, stack.indexOf(message)) + message.length;
  const frames = stack
    .slice(head)
    .split('\n')
    .filter((line) => line.startsWith(FRAME));
  return [scrub(`${name}: ${message}`), ...frames].join('\n');
}

const EVENT_STREAM = 'text/event-stream; charset=utf-8';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Gives every request an id (a proxy's, if that is a UUID) and logs its end. */
export function requestLog(log: Logger, metrics?: Pick<Metrics, 'requestEnded'>): RequestHandler {
  return (request, response, next) => {
    const given = request.get('X-Request-Id');
    const requestId = given && UUID.test(given) ? given : randomUUID();
    response.locals['requestId'] = requestId;
    response.setHeader('X-Request-Id', requestId);
    const start = performance.now();
    response.once('close', () => {
      const ms = Math.round(performance.now() - start);
      const status = response.writableFinished ? response.statusCode : 'aborted';
      const { method } = request;
      const route = routeOf(response);
      log.info({ requestId, method, route, status, ms }, 'request');
      // How long a stream of events lasted says nothing of the service.
      if (response.getHeader('Content-Type') !== EVENT_STREAM)
        metrics?.requestEnded(method, route, status, ms / 1000);
    });
    next();
  };
}

export function requestIdOf(response: Response): string {
  return response.locals['requestId'];
}

/** The pattern under which a request is logged. */
export function setRoute(response: Response, pattern: string): void {
  response.locals['route'] = pattern;
}

export function routeOf(response: Response): string {
  return response.locals['route'] ?? 'unmatched';
}
