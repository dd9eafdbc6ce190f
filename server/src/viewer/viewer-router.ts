/** Serves OHIF with our plugin at the root of the host, because its files refer to each other from there. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import express, { type RequestHandler, type Router } from 'express';
import expressStaticGzip from 'express-static-gzip';
import { StainError } from '../../../core/src/errors.ts';
import { setRoute } from '../http/log.ts';
import { sendProblem } from '../web/problem.ts';
import { type AppConfigOptions, appConfig, type NamedTemplate } from './app-config.ts';

export interface ViewerOptions {
  /** Folder of the prebuilt viewer. */
  readonly dist: string;
  /** Folder of the built plugin. */
  readonly plugin: string;
  readonly basePath: string;
  /** See app-config.ts. */
  readonly signIn?: AppConfigOptions['signIn'];
  readonly archives?: AppConfigOptions['archives'];
  /** The templates whose normalised archives are offered. */
  templates(): Promise<readonly NamedTemplate[]>;
}

const ONE_YEAR_MS = 365 * 24 * 3600 * 1000;
/** File names that change with the content: the digests added by OHIF's build and by ours. */
const HASHED = /[./-]([0-9a-f]{16}|[0-9A-Z]{8})\.(js|mjs|wasm|woff2)$/;

export async function viewerRouter({
  dist,
  plugin,
  basePath,
  signIn,
  archives = [],
  templates,
}: ViewerOptions): Promise<Router> {
  const index = await readFile(join(dist, 'index.html'), 'utf8');
  const issuer = signIn && new URL(String(signIn['authority'])).origin;
  const policy = contentSecurityPolicy(index, issuer);
  const router = express.Router();
  const headers: RequestHandler = (_request, response, next) => {
    setRoute(response, 'viewer');
    response.set({
      'Content-Security-Policy': policy,
      // With both headers, the preview may use several threads.
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
      'Cross-Origin-Resource-Policy': 'same-origin',
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
    });
    next();
  };
  const files = (folder: string): RequestHandler =>
    expressStaticGzip(folder, {
      enableBrotli: true,
      orderPreference: ['br', 'gz'],
      index: false,
      serveStatic: {
        redirect: false,
        setHeaders(response, path) {
          const isHashed = HASHED.test(path.replace(/\.(br|gz)$/, ''));
          // The library overwrites the Vary header.
          (response as express.Response).vary('Origin');
          response.setHeader(
            'Cache-Control',
            isHashed ? `public, max-age=${ONE_YEAR_MS / 1000}, immutable` : 'no-cache',
          );
        },
      },
    });
  router.get('/app-config.js', headers, async (_request, response) => {
    const text = appConfig({ basePath, signIn, archives }, await templates());
    response.set('Cache-Control', 'no-cache').type('js').send(text);
  });
  router.use(wellFormed);
  router.use('/plugins', onlyReading, headers, files(plugin));
  // A missing plugin file is an error, not a page.
  router.use('/plugins', (_request, response) => void response.status(404).end());
  router.use(onlyReading, headers, files(dist));
  router.get('/', headers, sendIndex);
  router.get('/*path', pageOnly, headers, sendIndex);

  return router;

  function sendIndex(_request: express.Request, response: express.Response): void {
    response.set('Cache-Control', 'no-cache').type('html').send(index);
  }
}

/** What serves the files would answer in its own words, without a code. */
const wellFormed: RequestHandler = (request, response, next) => {
  try {
    decodeURIComponent(request.path);
  } catch {
    sendProblem(response, new StainError('REQUEST_INVALID', 'The URL is malformed.'));
    return;
  }
  next();
};

const onlyReading: RequestHandler = (request, _response, next) =>
  next(request.method === 'GET' || request.method === 'HEAD' ? undefined : 'router');

/** OHIF's routes are inside its page; anything else that is not found is a 404. */
const pageOnly: RequestHandler = (request, _response, next) =>
  next(request.accepts(['json', 'html']) === 'html' ? undefined : 'router');

/**
 * As strict as OHIF permits: its slide viewer's decoders compile code at run time (without 'unsafe-eval' no frame is
 * shown), in WebAssembly and in workers made from blobs, and it sets style attributes. The two scripts inside its page
 * are allowed by their digests. The only other host is the issuer's, if there is a login.
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
    // To renew a session in a hidden frame.
    `frame-src 'self' ${issuer}`.trim(),
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'self'",
  ].join('; ');
}
