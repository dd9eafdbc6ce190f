/** The rules for all archives as one: each archive is searched for itself. */
import type { RuleList } from '../../../core/src/contract/index.ts';
import { StainError } from '../../../core/src/errors.ts';
import type { RuleService } from './rule-service.ts';

export class AllRules {
  readonly #services: readonly RuleService[];
  readonly #names: readonly string[];

  /** @param services that of the default archive first @param names of all rules, in the order of their file */
  constructor(services: readonly RuleService[], names: readonly string[]) {
    this.#services = services;
    this.#names = names;
  }

  /** Where the search stands that is furthest behind, and every rule. */
  async report(): Promise<RuleList> {
    const reports = await Promise.all(this.#services.map((service) => service.report()));
    // An archive without rules is not searched.
    const used = reports.filter(({ rules }) => rules.length > 0);
    const [first, ...others] = (used.length > 0 ? used : reports).map(({ search }) => search);
    const found = new Map(reports.flatMap(({ rules }) => rules.map((rule) => [rule.name, rule])));
    return {
      search: others.reduce(together, first!),
      rules: this.#names.map((name) => found.get(name)!),
      // Of the site, not of an archive.
      acceptances: reports[0]!.acceptances,
    };
  }

  /** @throws RULE_NOT_FOUND */
  series(name: string, filter: Parameters<RuleService['series']>[1]): ReturnType<RuleService['series']> {
    return this.#of(name).series(name, filter);
  }

  /** @throws RULE_NOT_FOUND */
  async retry(name: string): Promise<number> {
    return this.#of(name).retry(name);
  }

  /** Of the default archive. @throws RULE_NOT_FOUND, QUEUE_FULL */
  async announce(series: Parameters<RuleService['announce']>[0]): Promise<void> {
    await this.#services[0]!.announce(series);
  }

  async close(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.close()));
  }

  #of(name: string): RuleService {
    const found = this.#services.find(({ names }) => names.includes(name));
    if (!found) throw new StainError('RULE_NOT_FOUND', `There is no rule "${name}".`);
    return found;
  }
}

type Search = RuleList['search'];

function together(a: Search, b: Search): Search {
  // Never searched is older than anything.
  const age = (search: Search): number => search.ageSeconds ?? Number.POSITIVE_INFINITY;
  const { sweptAt, ageSeconds } = age(a) >= age(b) ? a : b;
  const { code, message } = a.code === null ? b : a;
  return {
    sweptAt,
    ageSeconds,
    isSurveyed: a.isSurveyed && b.isSurveyed,
    code,
    message,
    unread: a.unread + b.unread,
  };
}
