/**
 * The configured archive on our own origin, so that the viewer needs no CORS. Read-only but for STOW-RS; it streams
 * both ways and keeps nothing.
 */
import type { ServerResponse } from 'node:http';
import express, { type Request, type Response, type Router } from 'express';
import { createProxyMiddleware } from 'http-proxy-middleware';
import type { Config } from '../config.ts';
import { StainError } from '../errors.ts';
import { sendProblem } from './problem.ts';

/**
 * As they are stored. OHIF sends a list, which Orthanc 1.10 answers with uncompressed frames, after decoding the whole
 * instance for each.
 */
const STORED_FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*';

const FRAMES = /\/frames\/[\d,]+$/;
const STORE = /^\/studies(\/[\d.]+)?$/;

/** Ours stand; the archive's would speak for another origin. */
const NOT_PASSED_ON = ['set-cookie', 'server', 'x-powered-by', 'access-control-allow-origin', 'location'];

export function archiveProxy({ url, headers, timeoutSeconds }: Config['dicomweb'] & { url: string }): Router {
  const router = express.Router();
  router.use((request, _response, next) => {
    const isStore = request.method === 'POST' && STORE.test(request.path);
    if (!isStore && !['GET', 'HEAD', 'OPTIONS'].includes(request.method))
      throw new StainError('REQUEST_INVALID', 'Only reading and STOW-RS go through here.');
    // What climbs out of the archive's path would reach its other services with our credentials.
    if (/(^|\/)\.\.?(\/|$)|%2e|%2f|%5c|\\/i.test(request.url.split('?', 1)[0]!))
      throw new StainError('REQUEST_INVALID', 'The path of the URL is not one of DICOMweb.');
    next();
  });
  router.use(
    createProxyMiddleware<Request, Response>({
      target: url.replace(/\/$/, ''),
      changeOrigin: true,
      proxyTimeout: timeoutSeconds * 1000,
      followRedirects: false,
      on: {
        proxyReq(outgoing, request) {
          // A user's own token goes through; the service's credentials stand in where there is none.
          if (!request.headers.authorization)
            for (const [name, value] of Object.entries(headers)) outgoing.setHeader(name, value);
          outgoing.removeHeader('cookie');
          outgoing.removeHeader('origin');
          outgoing.removeHeader('referer');
          // For the addresses that the archive writes into its answers.
          outgoing.setHeader('Forwarded', `host=${request.host};proto=${request.protocol}`);
          if (FRAMES.test(request.path)) outgoing.setHeader('Accept', STORED_FRAMES);
        },
        proxyRes(incoming) {
          for (const name of NOT_PASSED_ON) delete incoming.headers[name];
        },
        error(error, _request, response) {
          const code = (error as NodeJS.ErrnoException).code;
          if (!('headersSent' in response)) return void response.destroy();
          if ((response as ServerResponse).headersSent) return void (response as ServerResponse).destroy();
          const fault =
            code === 'ECONNRESET' || code === 'ETIMEDOUT'
              ? new StainError('ARCHIVE_TIMEOUT', 'The archive did not answer in time.', { cause: error })
              : new StainError('ARCHIVE_UNREACHABLE', 'The archive cannot be reached.', { cause: error });
          sendProblem(response as Response, fault);
        },
      },
    }),
  );
  return router;
}
