/** Rules as the API shows them. */
import type { RuleList, RuleState } from '../../../core/src/contract/index.ts';
import type { AcceptedState } from '../acceptance/acceptances.ts';
import type { Rule } from './rule.ts';
import type { RuleStatus, WatchStatus } from './rule-records.ts';

export function ruleReports(
  rules: readonly Rule[],
  watch: WatchStatus,
  status: readonly RuleStatus[],
  accepted: AcceptedState | undefined,
  now: Date,
): RuleList {
  const { sweptAt, isSurveyed, fault, ruleFaults, unread } = watch;
  const found = new Map(status.map((one) => [one.rule, one]));
  return {
    search: {
      sweptAt: sweptAt?.toISOString() ?? null,
      // A clock that was put back must not make it negative.
      ageSeconds: sweptAt ? Math.max(0, (now.getTime() - sweptAt.getTime()) / 1000) : null,
      isSurveyed,
      code: fault?.code ?? null,
      message: fault?.message ?? null,
      unread,
    },
    rules: rules.map((rule) => {
      const { name, outcome, template, model, transfer, priority, hours, since, source, destination } = rule;
      const { withoutAcceptance } = rule;
      const one = found.get(name);
      const own = ruleFaults[name];
      return {
        name,
        state: stateOf(rule, one, own !== undefined),
        code: own?.code ?? null,
        message: own?.message ?? null,
        match: rule.match.map(({ keyword, values }) => ({ keyword, values: [...values] })),
        outcome,
        template,
        model,
        transfer,
        ...(source !== undefined && { source }),
        ...(destination !== undefined && { destination }),
        priority,
        hours: hours ? { ...hours, days: hours.days && [...hours.days] } : null,
        since: since ?? null,
        createdAt: one?.createdAt.toISOString() ?? null,
        counts: { ...one?.counts },
        lagSeconds: one?.lagSeconds ?? 0,
        withoutAcceptance: withoutAcceptance ?? null,
        notAccepted: Object.entries(one?.held ?? {}).map(([scanner, series]) => ({ scanner, series })),
      };
    }),
    acceptances: accepted ? { decisions: [...accepted.decisions], invalid: [...accepted.invalid] } : null,
  };
}

function stateOf({ enabled }: Rule, status: RuleStatus | undefined, isFaulty: boolean): RuleState {
  if (!enabled) return 'DISABLED';
  if (isFaulty) return 'FAULTY';
  if (!status) return 'STARTING';
  return status.isServed ? 'OPEN' : 'OUT OF HOURS';
}
