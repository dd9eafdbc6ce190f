/** Assembles the care of stored results from the parts of the composition. */
import type { Config } from '../config.ts';
import { ResultService } from '../results/result-service.ts';
import type { WorkingProcess } from './working-process.ts';

const NOTICES = {
  changed: 'a stored result does not match its slide any more',
  expiring: 'the retention of stored results ends soon: they will be rejected',
  rejected: 'a stored result was rejected',
  remade: 'a stored result is made again',
} as const;

export function startResults(
  { results, archives: named }: Pick<Config, 'results' | 'archives'>,
  { archives, jobs, environmentOf, metrics, log, onFault }: WorkingProcess,
): ResultService {
  const service = new ResultService({
    settings: results,
    jobs,
    archives: Object.keys(named),
    environmentOf,
    // Comparing is reading: an archive that takes nothing any more is compared all the same.
    archivesOf: ({ source, destination }) => ({
      source: archives.get(source).client,
      destination: archives.get(destination).client,
    }),
    onNotice: (what, facts) => log.warn(facts, NOTICES[what]),
    onFault,
  });
  metrics.readResults(() => service.counts());
  return service;
}
