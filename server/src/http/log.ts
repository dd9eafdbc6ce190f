/**
 * The log: one line per request, with the pattern of its route; probes that succeed only at level debug. URLs, queries and bodies are never logged: they
 * identify patients' studies and may contain tokens.
 */
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

/** An error may be its own cause, and may have a long chain of causes. */
const MAX_CAUSES = 5;

/**
 * Kind, code, text and stack of an error and of its causes, without anything that may identify a person. Other
 * properties are omitted: HTTP clients attach requests to their errors, PostgreSQL attaches rows.
 */
export function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  const { code, address, port, syscall, cause } = error as NodeJS.ErrnoException & {
    address?: unknown;
    port?: unknown;
  };
  const others = error instanceof AggregateError ? error.errors.slice(0, MAX_CAUSES) : [];
  return {
    type: scrub(error.name),
    ...(typeof code === 'string' ? { code: scrub(code) } : {}),
    // For a failed connection: the host from our configuration.
    ...(typeof syscall === 'string' && typeof address === 'string' ? { address, port } : {}),
    stack: scrubbedStack(error),
    ...(cause === undefined || depth >= MAX_CAUSES ? {} : { cause: describeError(cause, depth + 1) }),
    ...(others.length === 0 || depth >= MAX_CAUSES
      ? {}
      : { errors: others.map((other) => describeError(other, depth + 1)) }),
  };
}

const FRAME = '    at ';

/** The stack frames are ours: file and line of the fault stay. Whatever else a library has put into the stack goes. */
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

/** Machines ask these every few seconds, which would bury everything else. */
const PROBES = new Set(['/health', '/ready', '/metrics']);

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
      const isQuiet = PROBES.has(route) && status === 200;
      log[isQuiet ? 'debug' : 'info']({ requestId, method, route, status, ms }, 'request');
      // The duration of an event stream says nothing about the service.
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
