/** Which series a comparison is of: what is asked for, otherwise what is compared now, otherwise the newest results. */
import { PluginError } from '../plugin-error.ts';
import {
  type ComparisonMode,
  type ComparisonStatus,
  MAX_OTHERS,
  type PluginState,
  type SlideSeries,
} from '../state.ts';

/** Series by their UIDs. */
interface Asked {
  readonly mode: ComparisonMode;
  readonly normalized?: string | undefined;
  readonly against?: string | undefined;
  readonly others?: readonly string[] | undefined;
}

/**
 * @param all slides of the studies that are open
 * @throws NOTHING_TO_COMPARE, and TOO_FEW_RESULTS for `two-by-two`
 */
export function whatToCompare(
  asked: Asked,
  { series, results, comparison }: Pick<PluginState, 'series' | 'results' | 'comparison'>,
  all: readonly SlideSeries[],
): ComparisonStatus {
  const { mode } = asked;
  const find = (uid: string | null | undefined): SlideSeries | undefined =>
    all.find(({ seriesInstanceUid }) => seriesInstanceUid === uid);
  const normalized = find(
    asked.normalized ??
      (comparison?.normalized ?? (series?.derived ? series : results[0]))?.seriesInstanceUid,
  );
  const source = normalized?.derived?.sourceSeriesInstanceUid;
  const isOther = (one: SlideSeries | undefined): one is SlideSeries =>
    one?.derived != null && one !== normalized && one.derived.sourceSeriesInstanceUid === source;
  const wanted = find(asked.against ?? comparison?.against.seriesInstanceUid);
  const isTwoByTwo = mode === 'two-by-two';
  const against = !isTwoByTwo && isOther(wanted) ? wanted : find(source);
  if (!normalized || !against) throw new PluginError(isTwoByTwo ? 'TOO_FEW_RESULTS' : 'NOTHING_TO_COMPARE');
  if (!isTwoByTwo) return { mode, against, normalized, others: [] };

  const seen = comparison ? [comparison.normalized, comparison.against, ...comparison.others] : [];
  const uids = asked.others ?? [...seen, ...results].map(({ seriesInstanceUid }) => seriesInstanceUid);
  const others = [...new Set(uids)].map(find).filter(isOther).slice(0, MAX_OTHERS);
  if (others.length === 0) throw new PluginError('TOO_FEW_RESULTS');
  return { mode, against, normalized, others };
}
