/** `serve`: the HTTP service, with the embedded archive where no other is configured. Runs until it is interrupted. */

import { once } from 'node:events';
import { createApp } from '../app/app.ts';
import { archiveProxy } from '../app/archive-proxy.ts';
import { listen } from '../app/listen.ts';
import { openAccess, openSearch } from '../auth/access.ts';
import { archiveCredentials } from '../auth/archive-credentials.ts';
import { openLogin } from '../auth/login.ts';
import { type Composition, VERSION } from '../composition.ts';
import { openViewer } from '../viewer/open-viewer.ts';
import { openBatchService } from './job-service.ts';
import { addSample } from './sample.ts';
import { stainService } from './stain-service.ts';
import { openWorkingProcess } from './working-process.ts';

/** @param onListening called when the service answers, with the root of the viewer where there is one */
export async function serveCommand(
  composition: Composition,
  signal: AbortSignal,
  onListening: (viewer: string | undefined) => void = () => {},
): Promise<void> {
  const { config, templates } = composition;
  const login = openLogin(config);
  const credentials = archiveCredentials(config.dicomweb);
  if (!config.dicomweb.url && config.archive.sample) await addSample(config.archive.folder);
  await using parts = await openWorkingProcess(composition, config.dicomweb.url ?? config.archive.folder);
  const { archive, environment, jobs, log } = parts;
  await using cleanup = new AsyncDisposableStack();
  const batches = await openBatchService(jobs, archive.client, log);
  cleanup.defer(() => batches.close());
  const search = openSearch(config, login, archive.client, credentials);

  const viewer = await openViewer(config, signal);
  const app = createApp({
    ...parts,
    config,
    login,
    access: openAccess(config, login, credentials),
    batches,
    searchSeries: (principal, query, searchSignal, onLeftOut) =>
      search(principal, { Modality: 'SM', ...query }, searchSignal, (count) => {
        parts.log.warn({ count }, 'results of the archive without a valid UID are left out of a batch');
        onLeftOut?.(count);
      }),
    templates,
    version: VERSION,
    archiveRouter:
      archive.router ?? archiveProxy({ ...config.dicomweb, url: config.dicomweb.url! }, login, credentials),
    viewerRouter: 'router' in viewer ? viewer.router : undefined,
    models: async () => Promise.all((await composition.modelNames()).map(composition.model)),
    ...stainService(composition, environment),
  });
  const { basePath } = config.server;
  const server = await listen(app, config.server);
  cleanup.defer(() => server.close());
  process.stderr.write(`Stain normalization ${VERSION}, research use only\n`);
  const viewerUrl = 'router' in viewer ? `${server.url}/` : undefined;
  process.stderr.write(`  viewer   ${'missing' in viewer ? viewer.missing : viewerUrl}\n`);
  process.stderr.write(`  service  ${server.url}${basePath}   API page ${server.url}${basePath}/docs\n`);
  process.stderr.write(
    `  login    ${login.isRequired ? config.oidc.issuer : 'none: only this host reaches the service'}\n`,
  );
  process.stderr.write(`  archive  ${archive.name}, at ${server.url}${basePath}/dicom-web\n`);
  onListening(viewerUrl);
  if (!signal.aborted) await once(signal, 'abort');
}
