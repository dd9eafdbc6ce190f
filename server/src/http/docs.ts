/** The API documentation page: Swagger UI from its npm package, with nothing from other hosts and no inline scripts. */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import express, { type Router } from 'express';
import { setRoute } from './log.ts';

const FILES = ['swagger-ui.css', 'index.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'];

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  // Swagger UI sets style attributes; no other style sheet is loaded.
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

const PAGE = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Stain normalization API</title>
<link rel="stylesheet" href="./swagger-ui.css">
<link rel="stylesheet" href="./index.css">
<link rel="icon" type="image/png" href="./favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="./swagger-ui-bundle.js"></script>
<script src="./start.js"></script>
</body>
</html>
`;

/** `validatorUrl: null`: otherwise the page would show a badge from a public validator. */
const START = `SwaggerUIBundle({ url: '../openapi.json', dom_id: '#swagger-ui', validatorUrl: null, deepLinking: false });\n`;

/** Router for /docs. */
export function docsRouter(): Router {
  const folder = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  const router = express.Router({ strict: true });
  router.use((_request, response, next) => {
    setRoute(response, '/docs');
    response.set('Content-Security-Policy', POLICY);
    next();
  });
  router.get('/', (request, response) => {
    // The URLs in the page are relative to the folder.
    if (request.originalUrl.split('?')[0]!.endsWith('/')) response.type('html').send(PAGE);
    else response.redirect(301, `${request.baseUrl}/`);
  });
  router.get('/start.js', (_request, response) => void response.type('js').send(START));
  router.get(
    FILES.map((file) => `/${file}`),
    (request, response) => response.sendFile(request.path.slice(1), { root: folder }),
  );
  return router;
}
