/** `serve`: the HTTP service, with the embedded archive if no other is configured. Runs until it is interrupted. */

import { once } from 'node:events';
import { accessByArchive } from '../auth/access.ts';
import { type ArchiveUsers, openArchiveUsers } from '../auth/archive-users.ts';
import { type Login, openLogin } from '../auth/login.ts';
import { CodecPool } from '../codec/codec-pool.ts';
import { createApp } from '../http/app.ts';
import { listen } from '../http/listen.ts';
import { serviceKey } from '../jobs/service-key.ts';
import { optional } from '../monitoring/checks.ts';
import { Looks } from '../pipeline/looks.ts';
import { loadRules } from '../rules/rule.ts';
import { openViewer } from '../viewer/open-viewer.ts';
import type { Archives } from '../wiring/archives.ts';
import { type Composition, VERSION } from '../wiring/composition.ts';
import { startBatches } from '../wiring/job-service.ts';
import { startResults } from '../wiring/result-service.ts';
import { startRules } from '../wiring/rule-service.ts';
import { type ServedArchive, serveArchive, sourceRoom } from '../wiring/served-archive.ts';
import { stainService } from '../wiring/stain-service.ts';
import { bringInTemplates } from '../wiring/template-service.ts';
import { openWorkingProcess } from '../wiring/working-process.ts';
import { describeLeftOut } from './left-out-files.ts';
import { addSample } from './sample.ts';

/** Distinguishes results of this product from slides; optional keys at series level (PS3.18 10.6.1.2.3). */
const MADE_BY = ['Manufacturer', 'ManufacturerModelName'];

/** All rules together take turns with users at fitting slides. */
const RULES_USER = 'rules';

/** @param onListening called when the service answers, with the URL of the viewer if there is one */
export async function serveCommand(
  composition: Composition,
  signal: AbortSignal,
  onListening: (viewer: string | undefined) => void = () => {},
): Promise<void> {
  const { config } = composition;
  const login = openLogin(config);
  const ruleSet = loadRules(config);
  if (!config.dicomweb.url && config.archive.sample) await addSample(config.archive.folder);
  let users: readonly NamedUsers[] = [];
  await using parts = await openWorkingProcess(composition, signal, (opened) => {
    users = usersOf(opened, login);
    return Object.fromEntries(
      users.map(({ name, check }) =>
        name === undefined ? ['users', check] : [`users ${name}`, optional(check)],
      ),
    );
  });
  const { archives, jobs, templates, log } = parts;
  await bringInTemplates(composition, templates, log);
  await using cleanup = new AsyncDisposableStack();

  // A viewer without normalised archives is better than none.
  const viewer = await openViewer(config, () => templates.list().catch(() => []), signal);
  const looks = new Looks(config.limits);
  const codecs = new CodecPool({ threads: composition.threads });
  cleanup.defer(() => codecs.close());
  const together = {
    login,
    looks,
    codecs,
    bulkDataKey: await parts.awaitDatabase(() => serviceKey(jobs.database, 'addresses of bulk data')),
    sourceRoom: sourceRoom(config.spool, archives.all.length),
  };
  const served = new Map(
    archives.all.map((location) => [
      location.archive,
      serveArchive(location, composition, parts, together, cleanup),
    ]),
  );
  /** @throws ARCHIVE_NOT_FOUND */
  const servedAs = (name: string | undefined): ServedArchive => served.get(archives.get(name).archive)!;
  const batches = startBatches(config, jobs, parts, ({ template, source, ...slide }, fitSignal) =>
    servedAs(source).normalized.fit(template, slide, RULES_USER, fitSignal),
  );
  cleanup.defer(() => batches.close());
  parts.metrics.readBatches(() => batches.statistics());
  const rules = startRules(composition, parts, ruleSet);
  cleanup.defer(() => rules.close());
  const results = startResults(config, parts);
  cleanup.defer(() => results.close());
  const app = createApp({
    ...parts,
    rules,
    results,
    config,
    login,
    access: accessByArchive((source) => servedAs(source).access),
    ...servedAs(undefined).routes,
    archives: archives.all.flatMap(({ archive: name, settings }) =>
      name === undefined
        ? []
        : [{ name, isReadOnly: settings?.isReadOnly ?? false, ...servedAs(name).routes }],
    ),
    requireArchives: (names) => void parts.environmentOf(names),
    batches,
    archive: archives.get(undefined),
    searchInstances: async (principal, query, searchSignal, { source }) =>
      servedAs(source).search.instances(principal, query, searchSignal),
    searchSeries: async (principal, query, searchSignal, { maxResults, onLeftOut, source }) =>
      servedAs(source).search.series(
        principal,
        { Modality: 'SM', includefield: MADE_BY, ...query },
        searchSignal,
        {
          maxResults,
          onLeftOut(count) {
            parts.log.warn({ count }, 'results of the archive without a valid UID are left out of a batch');
            onLeftOut?.(count);
          },
        },
      ),
    version: VERSION,
    viewerRouter: 'router' in viewer ? viewer.router : undefined,
    models: composition.models,
    ...stainService(composition, (source) => servedAs(source).looking, looks, templates),
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
  for (const { archive, name, settings } of archives.all)
    process.stderr.write(
      archive === undefined
        ? `  archive  ${name}, at ${server.url}${basePath}/dicom-web\n`
        : `  archive  ${archive}: ${name}${settings?.isReadOnly ? ', read-only' : ''}, at ${server.url}${basePath}/archives/${archive}/dicom-web\n`,
    );
  process.stderr.write(`  normalised archive at ${server.url}${basePath}/normalized/{template}/dicom-web\n`);
  process.stderr.write(describeLeftOut(archives.get(undefined).leftOut, { names: false }));
  // An archive that is slow must not delay the start.
  for (const { name, look } of users)
    void look().then((fault) => {
      if (!fault) return;
      log.warn({ code: fault.code, archive: name }, fault.message);
      process.stderr.write(
        `  users    ${name === undefined ? '' : `${name}: `}${fault.message} ${fault.remedy}\n`,
      );
    });
  onListening(viewerUrl);
  if (!signal.aborted) await once(signal, 'abort');
}

interface NamedUsers extends ArchiveUsers {
  /** Undefined for the default archive. */
  readonly name: string | undefined;
}

/** Of the archives that are asked with the tokens of users. */
function usersOf({ all }: Archives, login: Login): NamedUsers[] {
  return all.flatMap(({ archive, settings }) => {
    const users = settings && openArchiveUsers({ dicomweb: settings }, login, settings.credentials);
    return users ? [{ ...users, name: archive }] : [];
  });
}
