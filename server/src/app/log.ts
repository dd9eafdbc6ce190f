/** The log: one line a request, with the pattern of its route. Addresses, queries and bodies are never logged: they name patients' studies and may hold tokens. */
import { randomUUID } from 'node:crypto';
import type { RequestHandler, Response } from 'express';
import { type DestinationStream, type Logger, pino } from 'pino';
import type { Metrics } from '../monitoring/metrics.ts';

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
      serializers: { err: describeError },
    },
    destination ?? pino.destination({ fd: 1, sync: true }),
  );
}

/** Kind, code and stack of an error and of its causes. Not its other properties: HTTP clients hang requests on theirs. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  const { code } = error as { code?: unknown };
  return {
    type: error.name,
    ...(typeof code === 'string' ? { code } : {}),
    stack: withoutSecrets(error.stack ?? ''),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  };
}

/** Credentials that came into a message within a URL or a header. */
function withoutSecrets(text: string): string {
  return text
    .replace(/\b(https?|postgres(?:ql)?):\/\/[^\s/@]*@/gi, '$1://[redacted]@')
    .replace(/\bhttps?:\/\/\S+/gi, withoutQuery)
    .replace(/\b(Bearer|Basic)\s+[\w.~+/=-]+/gi, '$1 [redacted]');
}

function withoutQuery(url: string): string {
  const start = url.indexOf('?');
  return start < 0 ? url : `${url.slice(0, start)}?[redacted]`;
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
      const route = response.locals['route'] ?? 'unmatched';
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
