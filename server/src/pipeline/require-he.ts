/**
 * A slide that is not H&E is not made to look like it. First the header is checked, then the pixels; either can refuse.
 * A header that says H&E does not overrule pixels that say otherwise, because laboratory systems stamp it on
 * everything.
 */

import { StainError } from '../../../core/src/errors.ts';
import { noteText } from '../../../core/src/notes.ts';
import { declaredStain } from '../dicom/declared-stain.ts';
import type { Slide } from '../slide/types.ts';
import type { Fit } from './fit.ts';

/** The request's policy: with `anyStain` every slide is normalised, and that is recorded. */
export interface StainPolicy {
  readonly anyStain?: boolean | undefined;
}

/** @throws STAIN_NOT_HE if a header of the slide names another stain */
export function requireDeclaredHe(slide: Slide, { anyStain }: StainPolicy): void {
  const names = declaredOthers(slide);
  if (names.length > 0 && !anyStain)
    throw new StainError(
      'STAIN_NOT_HE',
      `The header says that the slide is stained with ${inWords(names)}.`,
      {
        data: { seen: 'header', stains: names },
      },
    );
}

/** @throws STAIN_NOT_HE if the pixels show another stain */
export function requireHe({ outOfDistribution }: Pick<Fit, 'outOfDistribution'>, policy: StainPolicy): void {
  const { verdict, score, reasons } = outOfDistribution;
  if (verdict === 'other' && !policy.anyStain)
    throw new StainError('STAIN_NOT_HE', `The slide does not look like H&E. ${reasons.join(' ')}`, {
      data: { seen: 'pixels', score, reasons },
    });
}

/** Runs both checks. @throws STAIN_NOT_HE */
export function requireStainOfHe(
  slide: Slide,
  fit: Pick<Fit, 'outOfDistribution'>,
  policy: StainPolicy,
): void {
  requireDeclaredHe(slide, policy);
  requireHe(fit, policy);
}

/** Notes for a slide that is normalised although it is not H&E; empty for other slides. */
export function overrideNotes(
  slide: Slide,
  { outOfDistribution }: Pick<Fit, 'outOfDistribution'>,
  { anyStain }: StainPolicy,
): string[] {
  const names = declaredOthers(slide);
  if (!anyStain || (names.length === 0 && outOfDistribution.verdict !== 'other')) return [];
  return [
    names.length > 0
      ? noteText('NOT_HE_BY_HEADER', { stains: inWords(names) })
      : noteText('NOT_HE_BY_PIXELS'),
  ];
}

function declaredOthers({ levels }: Slide): readonly string[] {
  const names = levels
    .flatMap(({ instances }) => instances)
    .flatMap(({ dataset }) => {
      const declared = declaredStain(dataset);
      return declared?.stain === 'other' ? declared.names : [];
    });
  return [...new Set(names)];
}

function inWords(names: readonly string[]): string {
  return names.slice(0, 5).join(', ');
}
