/** `serve`: the HTTP service, with the embedded archive if no other is configured. Runs until it is interrupted. */

import { once } from 'node:events';
import express from 'express';
import { archiveKnowsUsers, openAccess, openSearch } from '../auth/access.ts';
import { archiveCredentials } from '../auth/archive-credentials.ts';
import { openArchiveUsers } from '../auth/archive-users.ts';
import { openLogin } from '../auth/login.ts';
import { CodecPool } from '../codec/codec-pool.ts';
import type { Config } from '../config.ts';
import { createApp } from '../http/app.ts';
import { archiveProxy } from '../http/archive-proxy.ts';
import { archiveTarget } from '../http/archive-target.ts';
import { listen } from '../http/listen.ts';
import { serviceKey } from '../jobs/service-key.ts';
import { NormalizedArchive } from '../normalized/normalized-archive.ts';
import { InstanceFiles } from '../pipeline/instance-files.ts';
import { Looks } from '../pipeline/looks.ts';
import { loadRules } from '../rules/rule.ts';
import { readTlsFiles } from '../tls.ts';
import { openViewer } from '../viewer/open-viewer.ts';
import { type Composition, VERSION } from '../wiring/composition.ts';
import { startBatches } from '../wiring/job-service.ts';
import { startResults } from '../wiring/result-service.ts';
import { startRules } from '../wiring/rule-service.ts';
import { stainService } from '../wiring/stain-service.ts';
import { bringInTemplates } from '../wiring/template-service.ts';
import { openWorkingProcess } from '../wiring/working-process.ts';
import { describeLeftOut } from './left-out-files.ts';
import { addSample } from './sample.ts';

/** Distinguishes results of this product from slides; optional keys at series level (PS3.18 10.6.1.2.3). */
const MADE_BY = ['Manufacturer', 'ManufacturerModelName'];

/** All rules together take turns with users at fitting slides. */
const RULES_USER = 'rules';

/** In a spool with a quota, cached sources leave most of the room to jobs. */
function sourceRoom({ sourceBytes, quotaBytes = Number.POSITIVE_INFINITY }: Config['spool']): number {
  return Math.min(sourceBytes, Math.floor(quotaBytes / 4));
}

/** @param onListening called when the service answers, with the URL of the viewer if there is one */
export async function serveCommand(
  composition: Composition,
  signal: AbortSignal,
  onListening: (viewer: string | undefined) => void = () => {},
): Promise<void> {
  const { config } = composition;
  const login = openLogin(config);
  const credentials = archiveCredentials(
    config.dicomweb,
    await readTlsFiles('dicomweb.tls', config.dicomweb.tls),
  );
  const users = openArchiveUsers(config, login, credentials);
  const ruleSet = loadRules(config);
  if (!config.dicomweb.url && config.archive.sample) await addSample(config.archive.folder);
  await using parts = await openWorkingProcess(
    composition,
    config.dicomweb.url ?? config.archive.folder,
    signal,
    users && { users: users.check },
  );
  const { archive, environment, jobs, templates, log } = parts;
  await bringInTemplates(composition, templates, log);
  await using cleanup = new AsyncDisposableStack();
  const search = openSearch(config, login, archive.client, credentials);

  // A viewer without normalised archives is better than none.
  const viewer = await openViewer(config, () => templates.list().catch(() => []), signal);
  const looks = new Looks(config.limits);
  // The embedded archive reads its files itself.
  const instanceFiles =
    archive.router || config.spool.sourceBytes === 0
      ? undefined
      : cleanup.use(new InstanceFiles(environment, sourceRoom(config.spool)));
  const looking = { ...environment, instanceFiles };
  const codecs = new CodecPool({ threads: composition.threads });
  cleanup.defer(() => codecs.close());
  const normalizedArchive = new NormalizedArchive({
    environment: looking,
    jobs,
    derivations: jobs.derivations,
    output: config.output,
    looks,
    codecs,
    threads: composition.threads,
    onFrame: (outcome, seconds) => parts.metrics.frameAnswered(outcome, seconds),
  });
  const batches = startBatches(config, jobs, parts, ({ template, ...slide }, fitSignal) =>
    normalizedArchive.fit(template, slide, RULES_USER, fitSignal),
  );
  cleanup.defer(() => batches.close());
  parts.metrics.readBatches(() => batches.statistics());
  const rules = startRules(composition, parts, ruleSet, credentials);
  cleanup.defer(() => rules.close());
  const results = startResults(config, parts);
  cleanup.defer(() => results.close());
  const app = createApp({
    ...parts,
    rules,
    results,
    normalized: { archive: normalizedArchive, search },
    config,
    login,
    access: openAccess(config, login, credentials),
    batches,
    searchInstances: search.instances,
    searchSeries: (principal, query, searchSignal, { maxResults, onLeftOut }) =>
      search.series(principal, { Modality: 'SM', includefield: MADE_BY, ...query }, searchSignal, {
        maxResults,
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
    ...stainService(composition, looking, looks, templates),
  });
  const { basePath } = config.server;
  const server = await listen(app, config.server);
  cleanup.defer(() => server.close());
  process.stderr.write(`Stain normalization ${VERSION}, research use only\n`);
  const viewerUrl = 'router' in viewer ? `${server.url}/` : undefined;
  process.stderr.write(`  viewer   ${'missing' in viewer ? viewer.missing : viewerUrl}\n`);
  process.stderr.write(`  service  ${server.url}${basePath}   API page ${server.url}${basePath}/docs\n`);
  process.stderr.write(
    `  login    ${login.isRequired ? config.oidc.issuer : 'none: the service is reachable only from this host'}\n`,
  );
  process.stderr.write(`  archive  ${archive.name}, at ${server.url}${basePath}/dicom-web\n`);
  process.stderr.write(`  normalised archive at ${server.url}${basePath}/normalized/{template}/dicom-web\n`);
  process.stderr.write(describeLeftOut(archive.leftOut, { names: false }));
  // An archive that is slow must not delay the start.
  void users?.look().then((fault) => {
    if (!fault) return;
    log.warn({ code: fault.code }, fault.message);
    process.stderr.write(`  users    ${fault.message} ${fault.remedy}\n`);
  });
  onListening(viewerUrl);
  if (!signal.aborted) await once(signal, 'abort');
}
