/** Assembles the rules of a service from the parts of the composition. */
import type { ArchiveSettings } from '../auth/archive-settings.ts';
import type { Config } from '../config.ts';
import { OrthancFeed } from '../rules/orthanc-changes.ts';
import type { Rule } from '../rules/rule.ts';
import { RuleService } from '../rules/rule-service.ts';
import type { Composition } from './composition.ts';
import type { WorkingProcess } from './working-process.ts';

export function startRules(
  { config, model }: Composition,
  { archives, jobs, templates, metrics, log, onFault }: WorkingProcess,
  rules: readonly Rule[],
): RuleService {
  // A model is verified once: its files do not change.
  const models = new Map<string, Promise<unknown>>();
  const requireModel = async (name: string): Promise<void> => {
    const found = models.get(name) ?? model(name);
    models.set(name, found);
    await found.catch((error: unknown) => {
      models.delete(name);
      throw error;
    });
  };
  const { client, settings } = archives.get(undefined);
  const service = new RuleService({
    rules,
    settings: config.rules,
    output: config.output,
    database: jobs.database,
    client,
    orthanc: orthancFeed(config, settings),
    async requireMeans(rule) {
      await requireModel(rule.model);
      await templates.version(rule.template);
    },
    onSeen: (rule, series) => metrics.ruleSaw(rule, series),
    onSweep: (outcome) => metrics.sweepEnded(outcome),
    onTrouble: (facts) =>
      log.warn(
        facts,
        facts.rule === undefined ? 'the search for new slides failed' : 'a rule cannot be applied',
      ),
    onFault,
  });
  metrics.readRules(
    rules.map(({ name }) => name),
    async () => {
      const { search, rules: reports } = await service.report();
      // A search that has never succeeded is as old as the process.
      const sweepAgeSeconds = rules.length > 0 ? (search.ageSeconds ?? process.uptime()) : undefined;
      return { sweepAgeSeconds, rules: reports };
    },
  );
  return service;
}

function orthancFeed({ rules }: Config, settings: ArchiveSettings | undefined): OrthancFeed | undefined {
  const { orthancUrl: url } = rules;
  if (url === undefined) return undefined;
  // The credentials are for the archive's own host only.
  const isArchive = settings && new URL(settings.url).origin === new URL(url).origin;
  const { service, reach } = isArchive ? settings.credentials : { service: async () => ({}), reach: {} };
  return new OrthancFeed({ url, headers: service, tls: reach.tls ?? {} });
}
