/** Assembles the rules of a service from the parts of the composition. */
import { Acceptances } from '../acceptance/acceptances.ts';
import type { ArchiveSettings } from '../auth/archive-settings.ts';
import type { Config } from '../config.ts';
import type { LoadedModel } from '../inference/manifest.ts';
import { AllRules } from '../rules/all-rules.ts';
import { OrthancFeed } from '../rules/orthanc-changes.ts';
import type { Rule } from '../rules/rule.ts';
import { RuleService } from '../rules/rule-service.ts';
import type { ArchiveLocation } from './archive-location.ts';
import type { Composition } from './composition.ts';
import type { WorkingProcess } from './working-process.ts';

export function startRules(
  { config, model }: Composition,
  { archives, jobs, templates, metrics, audit, log, onFault }: WorkingProcess,
  rules: readonly Rule[],
): AllRules {
  // A model is verified once: its files do not change.
  const models = new Map<string, Promise<LoadedModel>>();
  const requireModel = (name: string): Promise<LoadedModel> => {
    const found = models.get(name) ?? model(name);
    models.set(name, found);
    return found.catch((error: unknown) => {
      models.delete(name);
      throw error;
    });
  };
  const { acceptance } = config.rules;
  const acceptances = acceptance === undefined ? undefined : new Acceptances(acceptance);
  if (acceptances)
    for (const { name, enabled, template, withoutAcceptance: reason } of rules)
      if (enabled && reason !== undefined)
        audit.record({ event: 'acceptance-overridden', outcome: 'success', rule: name, reason, template });
  const names = rules.map(({ name }) => name);
  const serviceFor = ({ archive, client, settings }: ArchiveLocation): RuleService =>
    new RuleService({
      archive,
      rules: rules.filter(({ source }) => source === archive),
      allNames: names,
      settings: config.rules,
      output: config.output,
      database: jobs.database,
      client,
      orthanc: archive === undefined ? orthancFeed(config, settings) : undefined,
      acceptances,
      async requireMeans(rule) {
        const { sha256: modelSha256 } = await requireModel(rule.model);
        const { sha256: templateSha256 } = await templates.version(rule.template);
        return { modelSha256, templateSha256 };
      },
      onSeen: (rule, series) => metrics.ruleSaw(rule, series),
      onSweep: (outcome) => metrics.sweepEnded(outcome),
      onTrouble: (facts) =>
        log.warn(
          { ...facts, archive },
          facts.rule === undefined ? 'the search for new slides failed' : 'a rule cannot be applied',
        ),
      onFault,
    });
  // The default archive has one even without rules: it lets the series of former rules wait.
  const isSearched = ({ archive }: ArchiveLocation): boolean =>
    archive === undefined || rules.some(({ source }) => source === archive);
  const service = new AllRules(archives.all.filter(isSearched).map(serviceFor), names);
  metrics.readRules(names, async () => {
    const { search, rules: reports } = await service.report();
    // A search that has never succeeded is as old as the process.
    const sweepAgeSeconds = rules.length > 0 ? (search.ageSeconds ?? process.uptime()) : undefined;
    return { sweepAgeSeconds, rules: reports };
  });
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
