/** OHIF with our plugin, at the root of the host: its own files name each other from there. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import express, { type RequestHandler, type Router } from 'express';
import { setRoute } from '../app/log.ts';
import { type AppConfigOptions, appConfig } from './app-config.ts';

export interface ViewerOptions {
  /** Folder of the prebuilt viewer. */
  readonly dist: string;
  /** Folder of the built plugin. */
  readonly plugin: string;
  readonly basePath: string;
  /** See app-config.ts. */
  readonly signIn?: AppConfigOptions['signIn'];
}

const ONE_YEAR_MS = 365 * 24 * 3600 * 1000;
/** Names that change with the content: digests as OHIF's build and ours put them there. */
const HASHED = /[./-]([0-9a-f]{16}|[0-9A-Z]{8})\.(js|mjs|wasm|woff2)$/;

export async function viewerRouter({ dist, plugin, basePath, signIn }: ViewerOptions): Promise<Router> {
  const index = await readFile(join(dist, 'index.html'), 'utf8');
  const issuer = signIn && new URL(String(signIn['authority'])).origin;
  const policy = contentSecurityPolicy(index, issuer);
  const router = express.Router();
  const headers: RequestHandler = (_request, response, next) => {
    setRoute(response, 'viewer');
    response.set({
      'Content-Security-Policy': policy,
      // With both, the preview may use several threads.
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
      'Cross-Origin-Resource-Policy': 'same-origin',
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
    });
    next();
  };
  const files = (folder: string): RequestHandler =>
    express.static(folder, {
      index: false,
      redirect: false,
      setHeaders(response, path) {
        const isHashed = HASHED.test(path);
        response.setHeader(
          'Cache-Control',
          isHashed ? `public, max-age=${ONE_YEAR_MS / 1000}, immutable` : 'no-cache',
        );
      },
    });
  router.get('/app-config.js', headers, (_request, response) => {
    response.set('Cache-Control', 'no-cache').type('js').send(appConfig({ basePath, signIn }));
  });
  router.use('/plugins', onlyReading, headers, files(plugin));
  // A missing file of the plugin is missing, and not a page.
  router.use('/plugins', (_request, response) => void response.status(404).end());
  router.use(onlyReading, headers, files(dist));
  router.get('/', headers, sendIndex);
  router.get('/*path', pageOnly, headers, sendIndex);

  return router;

  function sendIndex(_request: express.Request, response: express.Response): void {
    response.set('Cache-Control', 'no-cache').type('html').send(index);
  }
}

const onlyReading: RequestHandler = (request, _response, next) =>
  next(request.method === 'GET' || request.method === 'HEAD' ? undefined : 'router');

/** OHIF's routes are in its page; whatever else is not found is not found. */
const pageOnly: RequestHandler = (request, _response, next) =>
  next(request.accepts(['json', 'html']) === 'html' ? undefined : 'router');

/**
 * As strict as OHIF bears: its slide viewer's decoders compile code at run time (without 'unsafe-eval' no frame is
 * shown), in WebAssembly and in workers made from blobs, and it sets style attributes. The two scripts inside its page
 * are named by their digests. The only other host is that of the issuer, where there is a login.
 */
function contentSecurityPolicy(index: string, issuer = ''): string {
  const inline = [...index.matchAll(/<script([^<>]*)>([^<]*)<\/script>/g)]
    .filter(([, attributes]) => !/\ssrc=/.test(attributes!))
    .map(([, , text]) => `'sha256-${createHash('sha256').update(text!).digest('base64')}'`);
  return [
    "default-src 'self'",
    `script-src 'self' 'unsafe-eval' 'wasm-unsafe-eval' ${inline.join(' ')}`,
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "worker-src 'self' blob:",
    `connect-src 'self' data: blob: ${issuer}`.trim(),
    // Where a session is renewed without a page of its own.
    `frame-src 'self' ${issuer}`.trim(),
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'self'",
  ].join('; ');
}
