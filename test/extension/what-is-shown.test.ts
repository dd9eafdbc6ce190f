/** The words for what somebody sees who draws on a slide. */
import { expect, test } from 'vitest';
import { whatIsShown } from '../../extension/src/session/what-is-shown.ts';
import type { ComparisonStatus, PreviewStatus, SlideSeries } from '../../extension/src/state.ts';
import { DERIVED, fakeOhif, SOURCE, slide } from './fake-ohif.ts';

const [series, result] = fakeOhif(
  slide(SOURCE),
  slide(DERIVED, {
    SeriesNumber: 2,
    ManufacturerModelName: 'stain-normalization',
    DerivationDescription: 'Stain normalization to template violet, model fast 1.0. Transfer: linear.',
    RelatedSeriesSequence: [{ SeriesInstanceUID: SOURCE }],
  }),
).host.allSeries() as [SlideSeries, SlideSeries];
const third = { ...result, number: 7 };
const original = { series, comparison: null, preview: null, isOriginalHeld: false };
const compared = (mode: ComparisonStatus['mode']) => ({
  ...original,
  comparison: { mode, against: series, normalized: result, others: [third] },
});
const previewed = (more: Partial<PreviewStatus>) => ({
  ...original,
  preview: {
    ...{
      state: 'on',
      template: 'violet',
      templateName: 'Cool violet',
      tilesDone: 3,
      tilesTotal: 9,
      isWhole: true,
    },
    ...{ firstTileMs: 1, executionProvider: null, statistics: null, mode: 'alone', isChanging: false },
    ...more,
  } as PreviewStatus,
});
const NORMALIZED = 'Normalised, Template Name of violet, linear, series 2';
const PREVIEW = 'Preview, normalised, Template Cool violet, Linear';

test.each([
  ['a slide', original, undefined, 'Original'],
  ['a result', { ...original, series: result }, undefined, NORMALIZED],
  ['the left of two', compared('side-by-side'), 'against', 'Original'],
  ['the right of two', compared('side-by-side'), 'normalized', NORMALIZED],
  ['a swipe', compared('swipe'), 'against', `Swipe; on the left: Original; on the right: ${NORMALIZED}`],
  ['a blink', compared('blink'), 'against', NORMALIZED],
  ['a blink that is held', { ...compared('blink'), isOriginalHeld: true }, 'against', 'Original'],
  [
    'the left of two results',
    {
      ...original,
      comparison: {
        mode: 'side-by-side',
        against: result,
        normalized: { ...result, number: 3 },
        others: [],
      },
    },
    'against',
    NORMALIZED,
  ],
  ['the first of four', compared('two-by-two'), 'against', 'Original'],
  ['the second of four', compared('two-by-two'), 'normalized', NORMALIZED],
  ['another of four', compared('two-by-two'), third, 'Normalised, Template Name of violet, linear, series 7'],
  ['a difference', compared('difference'), 'against', `Difference of: Original; and: ${NORMALIZED}`],
  ['a preview on its way', previewed({ state: 'starting' }), undefined, 'Original'],
  ['a preview', previewed({}), 'against', PREVIEW],
  [
    'a preview, swiped',
    previewed({ mode: 'swipe' }),
    'against',
    `Swipe; on the left: Original; on the right: ${PREVIEW}`,
  ],
  [
    'a preview in part',
    previewed({ mode: null, isWhole: false }),
    undefined,
    'Preview: 3 of 9 parts, Template Cool violet, As published',
  ],
] as const)('%s', (_name, state, side, words) => {
  expect(whatIsShown(state, side, (id) => `Name of ${id}`)).toBe(words);
});
