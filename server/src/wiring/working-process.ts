/** What a service and a worker share: archive, jobs, spool, audit trail, metrics, probes. */
import type { Logger } from 'pino';
import { DEFAULT_MODEL } from '../../../core/src/contract/default-model.ts';
import type { Device } from '../../../core/src/contract/index.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { anchorTable } from '../audit/anchor.ts';
import { type AuditTrail, openAuditTrail } from '../audit/audit-trail.ts';
import { monitoringHosts } from '../http/hosts.ts';
import { listen } from '../http/listen.ts';
import { createLogger } from '../http/log.ts';
import { createMonitoringApp } from '../http/monitoring-app.ts';
import { awaitDatabase } from '../jobs/await-database.ts';
import type { JobService } from '../jobs/job-service.ts';
import { type Check, optional, spoolCheck } from '../monitoring/checks.ts';
import { Metrics } from '../monitoring/metrics.ts';
import { spoolUse } from '../spool/spool.ts';
import type { TemplateService } from '../templates/template-service.ts';
import { type Archives, type EnvironmentOf, environmentsOf, openArchives } from './archives.ts';
import { type Composition, VERSION } from './composition.ts';
import { DatabaseAbsence } from './database-absence.ts';
import { openJobService } from './job-service.ts';
import { keepRecords } from './keep-records.ts';
import { keepSpoolClean } from './keep-spool-clean.ts';
import { reportCrashes } from './report-crashes.ts';
import { openTemplateService } from './template-service.ts';

export interface WorkingProcess extends AsyncDisposable {
  readonly log: Logger;
  readonly archives: Archives;
  readonly environmentOf: EnvironmentOf;
  readonly jobs: JobService;
  readonly templates: TemplateService;
  readonly audit: AuditTrail;
  readonly metrics: Metrics;
  /** For /ready. */
  readonly checks: Readonly<Record<string, Check>>;
  device(): Promise<Device>;
  /** Logs an error outside any job. */
  onFault(error: unknown): void;
  /**
   * Opens something kept in the database, and waits for the database if it is away.
   * @throws SHUTTING_DOWN when interrupted
   */
  awaitDatabase<T>(open: () => Promise<T>): Promise<T>;
}

/**
 * Waits for the database; meanwhile the listener for metrics and probes already answers.
 * @param signal ends the waiting
 * @param moreChecks for /ready besides those that a worker has too. @throws CONFIGURATION_INVALID
 */
export async function openWorkingProcess(
  composition: Composition,
  signal: AbortSignal,
  moreChecks: (archives: Archives) => Readonly<Record<string, Check>> = () => ({}),
): Promise<WorkingProcess> {
  const { config } = composition;
  const log = createLogger({ level: config.log.level });
  const device = (): Promise<Device> => describeDevice(composition);
  const absence = new DatabaseAbsence(log);
  const onFault = (error: unknown): void => {
    if (error instanceof StainError && error.code === 'DATABASE_UNAVAILABLE') absence.report(error);
    else log.error({ err: error }, 'an error outside any job');
  };
  let opened: JobService | undefined;
  const openedJobs = (): JobService => {
    if (opened) return opened;
    throw new StainError('DATABASE_UNAVAILABLE', 'The database has not answered since the process started.');
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
    void audit.rotate().catch((err) => log.error({ err }, 'the audit trail could not be reopened'));
  process.on('SIGHUP', rotate);
  cleanup.defer(() => void process.off('SIGHUP', rotate));
  const archives = cleanup.use(await openArchives(config, (...answer) => metrics.archiveAnswered(...answer)));
  // Jobs start as soon as their service is open; their templates are available a moment later.
  const openedTemplates = Promise.withResolvers<TemplateService>();
  openedTemplates.promise.catch(() => {});
  const environmentOf = environmentsOf(composition, archives, {
    version: async (id, sha256) => (await openedTemplates.promise).version(id, sha256),
  });
  const checks = {
    database: async () => openedJobs().ping(),
    ...archiveChecks(archives),
    model: async () => {
      await composition.network(DEFAULT_MODEL);
    },
    spool: spoolCheck(config.spool),
    audit: () => audit.check(),
    ...moreChecks(archives),
  };
  void means(composition).catch((thrown: unknown) => {
    const { code, message, remedy } = toStainError(thrown);
    log.error({ code }, message);
    process.stderr.write(`  network  cannot be used, and nothing can be normalised: ${message} ${remedy}\n`);
  });
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
  const jobs = await untilOpen(() => openJobService(config, environmentOf, { log, metrics, onFault, audit }));
  cleanup.defer(() => jobs.close());
  opened = jobs;
  openedTemplates.resolve(untilOpen(() => openTemplateService(composition, jobs)));
  const templates = await openedTemplates.promise;
  const anchors = anchorTable(jobs.database);
  cleanup.use(await audit.anchorIn(anchors));
  cleanup.use(keepRecords(config, { database: jobs.database, anchors, log }));
  cleanup.use(await keepSpoolClean(config.spool, jobs, log));
  audit.record({ event: 'application-start', outcome: 'success' });
  cleanup.defer(() => audit.record({ event: 'application-stop', outcome: 'success' }));
  const resources = cleanup.move();
  return {
    log,
    archives,
    environmentOf,
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

/** The service does its work for the others while a named archive is away. */
function archiveChecks({ all }: Archives): Record<string, Check> {
  return Object.fromEntries(
    all.map(({ archive, client }) => {
      const answers = async (): Promise<void> => {
        await client.searchStudies({ limit: 1 }, AbortSignal.timeout(10_000));
      };
      return archive === undefined ? ['archive', answers] : [`archive ${archive}`, optional(answers)];
    }),
  );
}

/** Reads the models, and opens a device that was asked for by name: the network itself is opened on first use. */
async function means({ config, models, network }: Composition): Promise<void> {
  await models();
  if (config.device.startsWith('cuda')) await network(DEFAULT_MODEL);
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
