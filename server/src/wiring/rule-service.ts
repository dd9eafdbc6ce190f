/** Assembles the rules of a service from the parts of the composition. */
import { Acceptances } from '../acceptance/acceptances.ts';
import type { ArchiveCredentials } from '../auth/archive-credentials.ts';
import type { Config } from '../config.ts';
import type { LoadedModel } from '../inference/manifest.ts';
import { OrthancFeed } from '../rules/orthanc-changes.ts';
import type { Rule } from '../rules/rule.ts';
import { RuleService } from '../rules/rule-service.ts';
import type { Composition } from './composition.ts';
import type { WorkingProcess } from './working-process.ts';

/** @param credentials for the archive */
export function startRules(
  { config, model }: Composition,
  { archive, jobs, templates, metrics, audit, log, onFault }: WorkingProcess,
  rules: readonly Rule[],
  credentials: ArchiveCredentials,
): RuleService {
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
  const service = new RuleService({
    rules,
    settings: config.rules,
    output: config.output,
    database: jobs.database,
    client: archive.client,
    orthanc: orthancFeed(config, credentials),
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

function orthancFeed(
  { rules, dicomweb }: Config,
  { service, tls }: ArchiveCredentials,
): OrthancFeed | undefined {
  const { orthancUrl: url } = rules;
  if (url === undefined) return undefined;
  // The credentials are for the archive's own host only.
  const isArchive = dicomweb.url !== undefined && new URL(dicomweb.url).origin === new URL(url).origin;
  return new OrthancFeed({
    url,
    ...(isArchive ? { headers: service, tls } : { headers: async () => ({}), tls: {} }),
  });
}
