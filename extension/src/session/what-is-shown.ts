/** What is on the screen, in words for whoever reads an annotation later. */
import type { Side } from '../comparison/comparison.ts';
import { resultFacts } from '../names.ts';
import type { PluginState, PreviewStatus, SlideSeries } from '../state.ts';
import { translate } from '../strings/translate.ts';

type Shown = Pick<PluginState, 'series' | 'comparison' | 'preview' | 'isOriginalHeld'>;

/**
 * @param side of a comparison that shows slides beside each other
 * @param templateName by its identifier
 */
export function whatIsShown(
  { series, comparison, preview, isOriginalHeld }: Shown,
  side: Side | undefined,
  templateName: (id: string) => string,
): string {
  const nameOf = (slide: SlideSeries | null): string =>
    slide?.derived
      ? [translate('viewport.normalized'), ...resultFacts(slide, templateName)].join(', ')
      : translate('viewport.original');
  const against = nameOf(comparison?.against ?? series);
  const normalized = preview ? previewed(preview) : nameOf(comparison?.normalized ?? series);
  // One on its way is not seen yet.
  if (normalized === null) return against;
  switch (comparison?.mode ?? preview?.mode) {
    case 'side-by-side':
    case 'two-by-two':
      if (typeof side === 'object') return nameOf(side);
      return side === 'against' ? against : normalized;
    case 'swipe':
      return translate('annotations.swipe', { left: against, right: normalized });
    case 'difference':
      return translate('annotations.difference', { against, normalized });
    default:
      return isOriginalHeld ? against : normalized;
  }
}

function previewed({
  state,
  mode,
  templateName,
  isWhole,
  tilesDone: done,
  tilesTotal: total,
}: PreviewStatus) {
  if (state === 'starting') return null;
  return [
    isWhole ? translate('viewport.preview') : translate('viewport.previewPartial', { done, total }),
    translate('viewport.template', { template: templateName }),
    // One that is drawn over the original can only be of this transfer.
    translate(mode === null ? 'transfer.paper' : 'transfer.linear'),
  ].join(', ');
}
