/**
 * The configured archive on our own origin, so that the viewer needs no CORS. Read-only but for STOW-RS; it streams
 * both ways and keeps nothing.
 */
import type { IncomingHttpHeaders } from 'node:http';
import express, { type Request, type RequestHandler, type Response, type Router } from 'express';
import { createProxyMiddleware } from 'http-proxy-middleware';
import type { ArchiveCredentials } from '../auth/archive-credentials.ts';
import type { Login } from '../auth/login.ts';
import type { Config } from '../config.ts';
import { parseRoot, takeCredentials } from '../dicomweb/connection.ts';
import { StainError } from '../errors.ts';
import { principalOf } from './authenticate.ts';
import { sendProblem } from './problem.ts';

/**
 * As they are stored. OHIF sends a list, which Orthanc 1.10 answers with uncompressed frames, after decoding the whole
 * instance for each.
 */
const STORED_FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*';

const FRAMES = /\/frames\/(\d|,|%2c)+$/i;
const STORE = /^\/studies(\/[\d.]+)?$/;
const READING = ['GET', 'HEAD', 'OPTIONS'];
/** Parent folders in every spelling that some server takes for one: encoded, twice encoded, with parameters. */
const TRAVERSAL = /(^|\/)\.{1,2}(;[^/]*)?(\/|$)|%(2e|2f|5c|3b|25)|\\/i;

/** All that concerns the data. Our cookies, and what is said about our connection, are no business of the archive. */
const TO_ARCHIVE = [
  'accept',
  'accept-charset',
  'accept-encoding',
  'accept-language',
  'authorization',
  'content-encoding',
  'content-length',
  'content-type',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'range',
  // Without it the body would be sent as if it were the next request.
  'transfer-encoding',
  'user-agent',
];

/** Nor do cookies, redirects and security headers of the archive speak for our origin. */
const TO_BROWSER = new Set([
  'accept-ranges',
  'allow',
  'cache-control',
  'content-encoding',
  'content-language',
  'content-length',
  'content-range',
  'content-type',
  'date',
  'etag',
  'expires',
  'last-modified',
  'retry-after',
  'warning',
  'www-authenticate',
]);

/** To be mounted under any prefix. Problems: REQUEST_INVALID, ARCHIVE_UNREACHABLE, ARCHIVE_TIMEOUT */
export function archiveProxy(
  { url, timeoutSeconds, users }: Pick<Config['dicomweb'], 'timeoutSeconds' | 'users'> & { url: string },
  { isRequired }: Pick<Login, 'isRequired'>,
  credentials: ArchiveCredentials,
): Router {
  const root = parseRoot(url);
  const authorization = takeCredentials(root);
  const service = async (): Promise<IncomingHttpHeaders> => ({
    ...(authorization ? { authorization } : {}),
    ...Object.fromEntries(
      Object.entries(await credentials.service()).map(([name, value]) => [name.toLowerCase(), value]),
    ),
  });
  const prepare: RequestHandler = async (request, response, next) => {
    // A user's own token goes through to an archive that knows it, and then our credentials are not lent.
    const isOwn = isRequired ? users !== 'unknown' : request.headers.authorization !== undefined;
    const { token } = principalOf(response) ?? {};
    const exchanged = isRequired && isOwn && token !== undefined;
    const instead = exchanged
      ? { authorization: `Bearer ${await credentials.ofUser(token)}` }
      : isOwn
        ? undefined
        : await service();
    request.headers = headersFor(request, instead);
    next();
  };
  // A busy archive drops connections before it has answered: what only reads is asked for once more.
  const askedAgain = new WeakSet<Request>();
  const proxy = createProxyMiddleware<Request, Response>({
    target: root.href,
    followRedirects: false,
    on: {
      proxyReq(outgoing) {
        outgoing.setTimeout(timeoutSeconds * 1000, () =>
          outgoing.destroy(new StainError('ARCHIVE_TIMEOUT', 'The archive did not answer in time.')),
        );
      },
      proxyRes(incoming) {
        for (const name of Object.keys(incoming.headers))
          if (!TO_BROWSER.has(name)) delete incoming.headers[name];
      },
      error(error: NodeJS.ErrnoException, request, response) {
        // Half an answer cannot be taken back: the browser sees the connection break.
        if (!('headersSent' in response) || response.headersSent) response.destroy();
        else if (error.code === 'ECONNRESET' && request.method === 'GET' && !askedAgain.has(request)) {
          askedAgain.add(request);
          void proxy(request, response);
        } else sendProblem(response, archiveFault(error));
      },
    },
  });
  return express.Router().use(refuseOthers, prepare, proxy);
}

const refuseOthers: RequestHandler = (request, _response, next) => {
  const isStore = request.method === 'POST' && STORE.test(request.path);
  if (!isStore && !READING.includes(request.method))
    throw new StainError('REQUEST_INVALID', 'Only reading and STOW-RS go through here.');
  // The archive's other services would be reached with our credentials.
  if (TRAVERSAL.test(request.path))
    throw new StainError('REQUEST_INVALID', 'The path of the URL is not one of DICOMweb.');
  next();
};

/** @param credentials instead of the user's own */
function headersFor(request: Request, credentials: IncomingHttpHeaders | undefined): IncomingHttpHeaders {
  const passed = TO_ARCHIVE.filter(
    (name) => request.headers[name] !== undefined && !(credentials && name === 'authorization'),
  ).map((name) => [name, request.headers[name]]);
  return {
    ...Object.fromEntries(passed),
    ...credentials,
    // For the addresses that the archive writes into its answers.
    forwarded: `host=${request.host};proto=${request.protocol}`,
    ...(FRAMES.test(request.path) ? { accept: STORED_FRAMES } : {}),
  };
}

function archiveFault(cause: NodeJS.ErrnoException): StainError {
  if (cause instanceof StainError) return cause;
  if (cause.code === 'ETIMEDOUT')
    return new StainError('ARCHIVE_TIMEOUT', 'The archive did not answer in time.', { cause });
  return new StainError('ARCHIVE_UNREACHABLE', 'The archive cannot be reached.', { cause });
}
