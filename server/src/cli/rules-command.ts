/** `rules`: checks the file of rules, and lists what they would take up. */
import { DEFAULT_ARCHIVE } from '../../../core/src/contract/default-archive.ts';
import { DEFAULT_MODEL } from '../../../core/src/contract/default-model.ts';
import { type ErrorCode, StainError, toStainError } from '../../../core/src/errors.ts';
import { Acceptances } from '../acceptance/acceptances.ts';
import type { Config } from '../config.ts';
import { type Arrival, readHeader, searchArrivals, tagsOf } from '../rules/arrivals.ts';
import { type HeaderFacts, judge } from '../rules/match.ts';
import { loadRules, type Rule } from '../rules/rule.ts';
import { dicomDate, recentStudies } from '../rules/survey.ts';
import { openArchiveLocation } from '../wiring/archive-location.ts';
import type { Composition } from '../wiring/composition.ts';
import { requireMeans, type Unchecked } from './rule-means.ts';

export interface RulesArguments {
  readonly dryRun: boolean;
  readonly days: number;
}

/** A series, and what the rules make of it. */
export interface DrySeries {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly instances: number | null;
  /** Rules that would take it up. */
  readonly rules: readonly string[];
  /** For each other rule, the first attribute that differs. */
  readonly differs: Readonly<Record<string, string>>;
  /** Why its header, which a rule needs, cannot be read. */
  readonly unread?: ErrorCode;
}

export interface RulesResult {
  readonly rules: readonly Rule[];
  readonly unchecked: readonly Unchecked[];
  /** Null without a dry run. */
  readonly series: readonly DrySeries[] | null;
}

/** @throws CONFIGURATION_INVALID and, for a dry run, the errors of searches */
export async function rulesCommand(
  { dryRun: isDryRun, days }: RulesArguments,
  composition: Composition,
  signal: AbortSignal,
): Promise<RulesResult> {
  const { config } = composition;
  if (config.rules.file === undefined)
    throw new StainError('CONFIGURATION_INVALID', 'rules.file is not set.');
  const rules = loadRules(config);
  const { acceptance } = config.rules;
  // A service would not start without it.
  if (acceptance !== undefined) new Acceptances(acceptance);
  const unchecked = await requireMeans(rules, composition);
  if (!isDryRun) return { rules, unchecked, series: null };
  const series: DrySeries[] = [];
  for (const [source, some] of Map.groupBy(rules, (rule) => rule.source))
    series.push(...(await dryRun(source, some, days, config, signal)));
  return { rules, unchecked, series };
}

/** What the rules for one archive would take up. */
async function dryRun(
  source: string | undefined,
  rules: readonly Rule[],
  days: number,
  config: Config,
  signal: AbortSignal,
): Promise<DrySeries[]> {
  await using archive = await openArchiveLocation(source ?? DEFAULT_ARCHIVE, config, { create: false });
  const { client } = archive;
  const StudyDate = recentStudies(dicomDate(new Date()), { lookBackDays: days, reachDays: days });
  const enabled = rules.filter((rule) => rule.enabled);
  const series: DrySeries[] = [];
  for (const arrival of await searchArrivals(client, { StudyDate }, rules, signal)) {
    const isUndecided = enabled.some((rule) => judge(rule, arrival.json, {}).isMatch === undefined);
    try {
      const header = isUndecided ? await readHeader(client, arrival, tagsOf(rules), signal) : {};
      series.push(drySeries(arrival, enabled, header));
    } catch (error) {
      // As for a service: one that cannot be read keeps no other from its turn.
      signal.throwIfAborted();
      series.push({ ...drySeries(arrival, enabled, {}), unread: toStainError(error).code });
    }
  }
  return series;
}

function drySeries(arrival: Arrival, rules: readonly Rule[], header: HeaderFacts): DrySeries {
  const { studyInstanceUid, seriesInstanceUid, instances = null, json } = arrival;
  const matching: string[] = [];
  const differs: Record<string, string> = {};
  for (const rule of rules) {
    const verdict = judge(rule, json, header);
    if (verdict.isMatch) matching.push(rule.name);
    else if (verdict.isMatch === false) differs[rule.name] = verdict.differs;
  }
  return { studyInstanceUid, seriesInstanceUid, instances, rules: matching, differs };
}

export function describeRules({ rules, unchecked, series }: RulesResult): string {
  const lines = rules.map((rule) => {
    const { name, enabled, outcome, template, transfer, model, priority, withoutAcceptance } = rule;
    const how = [
      outcome,
      template,
      transfer,
      ...(model === DEFAULT_MODEL ? [] : [model]),
      `${priority} priority`,
      ...(withoutAcceptance === undefined ? [] : [`without acceptance ("${withoutAcceptance}")`]),
    ];
    return `${name}: ${how.join(', ')}${enabled ? '' : ' (disabled)'}`;
  });
  const isValid = unchecked.length === 0 ? [`${rules.length} rules, all valid.`] : unchecked.map(notChecked);
  if (!series) return [...lines, ...isValid].join('\n');
  const taken = series.filter((one) => one.rules.length > 0);
  return [
    ...lines,
    ...isValid,
    '',
    ...series.map(({ seriesInstanceUid, instances, rules: matching, differs, unread }) => {
      const others = Object.entries(differs).map(([name, keyword]) => `${name}: ${keyword} differs`);
      const unknown = unread === undefined ? '' : `, header cannot be read (${unread})`;
      const what = matching.length > 0 ? `would be picked up by ${matching.join(', ')}` : 'no rule';
      const why = others.length > 0 ? ` (${others.join('; ')})` : '';
      return `${seriesInstanceUid}  ${instances ?? '?'} instances  ${what}${why}${unknown}`;
    }),
    `${taken.length} of ${series.length} slide series would be picked up if they are new. Nothing was changed.`,
  ].join('\n');
}

function notChecked({ rule, template, why }: Unchecked): string {
  return `Whether template "${template}" of rule "${rule}" exists is not known: no file has it, and the database of the service cannot be read. ${why} GET /api/rules of the service tells.`;
}
