/** The proxy as a client sees it, without the rest of the service. */
import { randomBytes } from 'node:crypto';
import express from 'express';
import { archiveCredentials } from '../../server/src/auth/archive-credentials.ts';
import { archiveProxy } from '../../server/src/http/archive-proxy.ts';
import { listen } from '../../server/src/http/listen.ts';
import { createLogger, requestLog } from '../../server/src/http/log.ts';
import { problemHandler, unknownRoute } from '../../server/src/http/problem.ts';

export interface ArchiveService extends AsyncDisposable {
  readonly url: string;
}

/** @param url DICOMweb root of the archive behind it */
export async function startArchiveService(url: string): Promise<ArchiveService> {
  const log = createLogger({ level: 'silent' });
  const app = express()
    .set('basePath', '')
    .use(requestLog(log))
    .use(
      '/dicom-web',
      archiveProxy(
        { url, timeoutSeconds: 60, users: 'known', bulkDataKey: randomBytes(32) },
        { isRequired: false },
        archiveCredentials({ headers: {}, users: 'known', oauth: {} }),
      ),
    )
    .use(unknownRoute, problemHandler(log));
  const server = await listen(app, { host: '127.0.0.1', port: 0, graceMs: 0 });
  return { url: server.url, [Symbol.asyncDispose]: () => server.close() };
}
