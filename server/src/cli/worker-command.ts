/** `worker`: takes jobs from the queue that it shares with the services and other workers. Runs until it is interrupted. */
import { once } from 'node:events';
import { type Composition, VERSION } from '../composition.ts';
import { DEFAULT_MODEL } from '../contract/default-model.ts';
import { invalidSetting } from '../setting.ts';
import { openWorkingProcess } from './working-process.ts';

/** @throws CONFIGURATION_INVALID without a database and an archive that can be shared */
export async function workerCommand(composition: Composition, signal: AbortSignal): Promise<void> {
  const { config, network } = composition;
  requireShared('database.url', config.database.url);
  const url = requireShared('dicomweb.url', config.dicomweb.url);
  if (config.jobs.concurrency === 0)
    throw invalidSetting('jobs.concurrency', 'a worker works on at least one slide.');
  // A model or device that does not work is met now and not by the first job.
  await network(DEFAULT_MODEL);
  await using parts = await openWorkingProcess(composition, url, signal);
  process.stderr.write(
    `Stain normalization ${VERSION}, research use only: a worker on ${parts.archive.name}\n`,
  );
  if (!signal.aborted) await once(signal, 'abort');
}

function requireShared(key: string, value: string | undefined): string {
  if (value === undefined) throw invalidSetting(key, 'a worker needs what it shares with the service.');
  return value;
}
