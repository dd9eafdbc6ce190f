/** What a service and a worker have in common: archive, jobs, spool, audit trail, metrics, probes. */
import type { Logger } from 'pino';
import { monitoringHosts } from '../app/hosts.ts';
import { listen } from '../app/listen.ts';
import { createLogger } from '../app/log.ts';
import { createMonitoringApp } from '../app/monitoring-app.ts';
import { openAnchorTable } from '../audit/anchor.ts';
import { type AuditTrail, openAuditTrail } from '../audit/audit-trail.ts';
import { type Composition, VERSION } from '../composition.ts';
import { DEFAULT_MODEL } from '../contract/default-model.ts';
import type { Device } from '../contract/index.ts';
import { StainError } from '../errors.ts';
import { awaitDatabase } from '../jobs/await-database.ts';
import type { JobService } from '../jobs/job-service.ts';
import type { TemplateService } from '../jobs/template-service.ts';
import { type Check, spoolCheck } from '../monitoring/checks.ts';
import { Metrics } from '../monitoring/metrics.ts';
import type { NormalizationEnvironment } from '../normalization/normalize-series.ts';
import { spoolUse } from '../normalization/spool.ts';
import { type ArchiveLocation, openArchiveLocation } from './archive-location.ts';
import { DatabaseAbsence } from './database-absence.ts';
import { openJobService } from './job-service.ts';
import { keepSpoolClean } from './keep-spool-clean.ts';
import { reportCrashes } from './report-crashes.ts';
import { openTemplateService } from './template-service.ts';

export interface WorkingProcess extends AsyncDisposable {
  readonly log: Logger;
  readonly archive: ArchiveLocation;
  readonly environment: NormalizationEnvironment;
  readonly jobs: JobService;
  readonly templates: TemplateService;
  readonly audit: AuditTrail;
  readonly metrics: Metrics;
  /** For /ready. */
  readonly checks: Readonly<Record<string, Check>>;
  device(): Promise<Device>;
  /** Tells the log of a fault outside of any job. */
  onFault(error: unknown): void;
  /** Opens what lies in the database, which is waited for where it is away. @throws SHUTTING_DOWN when interrupted */
  awaitDatabase<T>(open: () => Promise<T>): Promise<T>;
}

/**
 * Waits for the database; the listener for metrics and probes answers meanwhile.
 * @param location of the archive: a URL or a folder. @param signal ends the waiting. @throws CONFIGURATION_INVALID
 */
export async function openWorkingProcess(
  composition: Composition,
  location: string,
  signal: AbortSignal,
): Promise<WorkingProcess> {
  const { config } = composition;
  const log = createLogger({ level: config.log.level });
  const device = (): Promise<Device> => describeDevice(composition);
  const absence = new DatabaseAbsence(log);
  const onFault = (error: unknown): void => {
    if (error instanceof StainError && error.code === 'DATABASE_UNAVAILABLE') absence.report(error);
    else log.error({ err: error }, 'a fault outside of any job');
  };
  let opened: JobService | undefined;
  const openedJobs = (): JobService => {
    if (opened) return opened;
    throw new StainError('DATABASE_UNAVAILABLE', 'The database has not answered since the start.');
  };
  const metrics = new Metrics({
    jobs: async () => openedJobs().statistics(),
    spool: () => spoolUse(config.spool),
    device,
  });
  await using cleanup = new AsyncDisposableStack();
  cleanup.use(reportCrashes(log));
  const audit = cleanup.use(await openAuditTrail(config, { log, onLost: (way) => metrics.auditLost(way) }));
  const rotate = (): void =>
    void audit.rotate().catch((err) => log.error({ err }, 'the audit trail could not be opened anew'));
  process.on('SIGHUP', rotate);
  cleanup.defer(() => void process.off('SIGHUP', rotate));
  const archive = cleanup.use(
    await openArchiveLocation(location, config, {
      create: true,
      onAnswer: (method, outcome, seconds) => metrics.archiveAnswered(method, outcome, seconds),
    }),
  );
  // Jobs begin as soon as their service is open; their templates are there a moment later.
  const openedTemplates = Promise.withResolvers<TemplateService>();
  openedTemplates.promise.catch(() => {});
  const environment = composition.environment(
    { source: archive.client, destination: archive.client },
    { version: async (id, sha256) => (await openedTemplates.promise).version(id, sha256) },
  );
  const checks = {
    database: async () => openedJobs().ping(),
    archive: async () => {
      await archive.client.searchStudies({ limit: 1 }, AbortSignal.timeout(10_000));
    },
    model: async () => {
      await composition.network(DEFAULT_MODEL);
    },
    spool: spoolCheck(config.spool),
    audit: () => audit.check(),
  };
  const { host, port } = config.monitoring;
  if (port !== undefined) {
    const isOwnHost = monitoringHosts({ host }, config.server.allowedHosts);
    const app = createMonitoringApp({ version: VERSION, checks, metrics, isOwnHost }, log);
    const server = await listen(app, { host, port });
    cleanup.defer(() => server.close());
    process.stderr.write(`  metrics  ${server.url}/metrics\n`);
  }
  const untilOpen = <T>(open: () => Promise<T>): Promise<T> =>
    awaitDatabase(open, signal, (error) => absence.report(error, { waits: true }));
  const jobs = await untilOpen(() => openJobService(config, environment, { log, metrics, onFault, audit }));
  cleanup.defer(() => jobs.close());
  opened = jobs;
  openedTemplates.resolve(untilOpen(() => openTemplateService(composition, jobs)));
  const templates = await openedTemplates.promise;
  cleanup.use(await audit.anchorIn(await untilOpen(() => openAnchorTable(jobs.database))));
  cleanup.use(await keepSpoolClean(config.spool, jobs, log));
  audit.record({ event: 'application-start', outcome: 'success' });
  cleanup.defer(() => audit.record({ event: 'application-stop', outcome: 'success' }));
  const resources = cleanup.move();
  return {
    log,
    archive,
    environment,
    jobs,
    templates,
    audit,
    metrics,
    checks,
    device,
    onFault,
    awaitDatabase: untilOpen,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

async function describeDevice({ config, network, threads }: Composition): Promise<Device> {
  const { executionProvider, providerReason, deviceProof } = await network(DEFAULT_MODEL);
  return {
    requested: config.device,
    executionProvider,
    reason: providerReason ?? null,
    proof: deviceProof ?? null,
    threads,
  };
}
