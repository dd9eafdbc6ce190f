/** `worker`: runs jobs from the queue that it shares with services and other workers. Runs until it is interrupted. */
import { once } from 'node:events';
import { DEFAULT_MODEL } from '../../../core/src/contract/default-model.ts';
import { invalidSetting } from '../setting.ts';
import { type Composition, VERSION } from '../wiring/composition.ts';
import { openWorkingProcess } from '../wiring/working-process.ts';

/** @throws CONFIGURATION_INVALID without a shared database and a shared archive */
export async function workerCommand(composition: Composition, signal: AbortSignal): Promise<void> {
  const { config, network } = composition;
  requireShared('database.url', config.database.url);
  requireShared('dicomweb.url', config.dicomweb.url);
  if (config.jobs.concurrency === 0)
    throw invalidSetting('jobs.concurrency', 'a worker must process at least one slide at a time.');
  // A broken model or device is reported now, not by the first job.
  await network(DEFAULT_MODEL);
  await using parts = await openWorkingProcess(composition, signal);
  process.stderr.write(
    `Stain normalization ${VERSION}, research use only: a worker on ${parts.archives.get(undefined).name}\n`,
  );
  if (!signal.aborted) await once(signal, 'abort');
}

function requireShared(key: string, value: string | undefined): void {
  if (value === undefined)
    throw invalidSetting(key, 'a worker needs the setting that it shares with the service.');
}
