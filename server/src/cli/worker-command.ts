/** `worker`: takes jobs from the queue that it shares with the services and other workers. Runs until it is interrupted. */
import { once } from 'node:events';
import { createLogger } from '../app/log.ts';
import { type Composition, VERSION } from '../composition.ts';
import { DEFAULT_MODEL } from '../contract/default-model.ts';
import { StainError } from '../errors.ts';
import { openArchiveLocation } from './archive-location.ts';
import { openJobService } from './job-service.ts';
import { keepSpoolClean } from './keep-spool-clean.ts';

/** @throws CONFIGURATION_INVALID without a database and an archive that can be shared */
export async function workerCommand(composition: Composition, signal: AbortSignal): Promise<void> {
  const { config } = composition;
  requireShared('database.url', config.database.url);
  const url = requireShared('dicomweb.url', config.dicomweb.url);
  if (config.jobs.concurrency === 0)
    throw new StainError('CONFIGURATION_INVALID', 'jobs.concurrency: a worker works on at least one slide.', {
      data: { key: 'jobs.concurrency' },
    });
  const log = createLogger({ level: config.log.level });
  await using archive = await openArchiveLocation(url, config, { create: false });
  const environment = composition.environment({ source: archive.client, destination: archive.client });
  // A model or device that does not work is met now and not by the first job.
  await composition.network(DEFAULT_MODEL);
  await using cleanup = new AsyncDisposableStack();
  const jobs = await openJobService(config, environment, log);
  cleanup.defer(() => jobs.close());
  cleanup.use(await keepSpoolClean(config.spool, jobs, log));
  process.stderr.write(`Stain normalization ${VERSION}, research use only: a worker on ${archive.name}\n`);
  if (!signal.aborted) await once(signal, 'abort');
}

function requireShared(key: string, value: string | undefined): string {
  if (value !== undefined) return value;
  throw new StainError('CONFIGURATION_INVALID', `${key}: a worker needs what it shares with the service.`, {
    data: { key },
  });
}
