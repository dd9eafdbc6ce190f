/** `serve`: the HTTP service, with the embedded archive where no other is configured. Runs until it is interrupted. */

import { once } from 'node:events';
import express from 'express';
import { createApp } from '../app/app.ts';
import { archiveProxy } from '../app/archive-proxy.ts';
import { archiveTarget } from '../app/archive-target.ts';
import { listen } from '../app/listen.ts';
import { archiveKnowsUsers, openAccess, openSearch } from '../auth/access.ts';
import { archiveCredentials } from '../auth/archive-credentials.ts';
import { openLogin } from '../auth/login.ts';
import { type Composition, VERSION } from '../composition.ts';
import { serviceKey } from '../jobs/service-key.ts';
import { openViewer } from '../viewer/open-viewer.ts';
import { openBatchService } from './job-service.ts';
import { describeLeftOut } from './left-out-files.ts';
import { addSample } from './sample.ts';
import { stainService } from './stain-service.ts';
import { bringInTemplates } from './template-service.ts';
import { openWorkingProcess } from './working-process.ts';

/** Tells results of this product from slides; optional keys at the level of series (PS3.18 10.6.1.2.3). */
const MADE_BY = ['Manufacturer', 'ManufacturerModelName'];

/** @param onListening called when the service answers, with the root of the viewer where there is one */
export async function serveCommand(
  composition: Composition,
  signal: AbortSignal,
  onListening: (viewer: string | undefined) => void = () => {},
): Promise<void> {
  const { config } = composition;
  const login = openLogin(config);
  const credentials = archiveCredentials(config.dicomweb);
  if (!config.dicomweb.url && config.archive.sample) await addSample(config.archive.folder);
  await using parts = await openWorkingProcess(
    composition,
    config.dicomweb.url ?? config.archive.folder,
    signal,
  );
  const { archive, environment, jobs, templates, log } = parts;
  await bringInTemplates(composition, templates, log);
  await using cleanup = new AsyncDisposableStack();
  const batches = await parts.awaitDatabase(() => openBatchService(config, jobs, parts));
  cleanup.defer(() => batches.close());
  parts.metrics.readBatches(() => batches.statistics());
  const search = openSearch(config, login, archive.client, credentials);

  const viewer = await openViewer(config, signal);
  const app = createApp({
    ...parts,
    config,
    login,
    access: openAccess(config, login, credentials),
    batches,
    searchSeries: (principal, query, searchSignal, { mostResults, onLeftOut }) =>
      search(principal, { Modality: 'SM', includefield: MADE_BY, ...query }, searchSignal, {
        mostResults,
        onLeftOut(count) {
          parts.log.warn({ count }, 'results of the archive without a valid UID are left out of a batch');
          onLeftOut?.(count);
        },
      }),
    version: VERSION,
    archiveRouter: archive.router
      ? express.Router().use(archiveTarget, archive.router)
      : archiveProxy(
          {
            ...config.dicomweb,
            url: config.dicomweb.url!,
            bulkDataKey: await parts.awaitDatabase(() => serviceKey(jobs.database, 'addresses of bulk data')),
          },
          login,
          credentials,
        ),
    archiveKnowsUsers: archiveKnowsUsers(config, login),
    viewerRouter: 'router' in viewer ? viewer.router : undefined,
    models: composition.models,
    ...stainService(composition, environment, templates),
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
  process.stderr.write(describeLeftOut(archive.leftOut, { names: false }));
  onListening(viewerUrl);
  if (!signal.aborted) await once(signal, 'abort');
}
