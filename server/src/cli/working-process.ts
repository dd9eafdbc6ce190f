/** What a service and a worker have in common: archive, jobs, spool, audit trail, metrics, probes. */
import type { Logger } from 'pino';
import { monitoringHosts } from '../app/hosts.ts';
import { listen } from '../app/listen.ts';
import { createLogger } from '../app/log.ts';
import { createMonitoringApp } from '../app/monitoring-app.ts';
import { type AuditTrail, openAuditTrail } from '../audit/audit-trail.ts';
import { type Composition, VERSION } from '../composition.ts';
import { DEFAULT_MODEL } from '../contract/default-model.ts';
import type { Device } from '../contract/index.ts';
import type { JobService } from '../jobs/job-service.ts';
import { type Check, spoolCheck } from '../monitoring/checks.ts';
import { Metrics } from '../monitoring/metrics.ts';
import type { NormalizationEnvironment } from '../normalization/normalize-series.ts';
import { spooledBytes } from '../normalization/spool.ts';
import { type ArchiveLocation, openArchiveLocation } from './archive-location.ts';
import { openJobService } from './job-service.ts';
import { keepSpoolClean } from './keep-spool-clean.ts';

export interface WorkingProcess extends AsyncDisposable {
  readonly log: Logger;
  readonly archive: ArchiveLocation;
  readonly environment: NormalizationEnvironment;
  readonly jobs: JobService;
  readonly audit: AuditTrail;
  readonly metrics: Metrics;
  /** For /ready. */
  readonly checks: Readonly<Record<string, Check>>;
  device(): Promise<Device>;
}

/** @param location of the archive: a URL or a folder. @throws CONFIGURATION_INVALID */
export async function openWorkingProcess(
  composition: Composition,
  location: string,
): Promise<WorkingProcess> {
  const { config } = composition;
  const log = createLogger({ level: config.log.level });
  const device = (): Promise<Device> => describeDevice(composition);
  const metrics = new Metrics({
    jobs: () => jobs.statistics(),
    spoolBytes: () => spooledBytes(config.spool),
    device,
  });
  await using cleanup = new AsyncDisposableStack();
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
  const environment = composition.environment({ source: archive.client, destination: archive.client });
  const jobs = await openJobService(config, environment, { log, metrics, audit });
  cleanup.defer(() => jobs.close());
  cleanup.use(await keepSpoolClean(config.spool, jobs, log));
  const checks = {
    database: () => jobs.ping(),
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
  audit.record({ event: 'application-start', outcome: 'success' });
  cleanup.defer(() => audit.record({ event: 'application-stop', outcome: 'success' }));
  const resources = cleanup.move();
  return {
    log,
    archive,
    environment,
    jobs,
    audit,
    metrics,
    checks,
    device,
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
