/** Which series are compared when somebody asks for a comparison, and does not say of what. */
import { expect, test } from 'vitest';
import { whatToCompare } from '../../extension/src/session/what-to-compare.ts';
import type { ComparisonMode, ComparisonStatus, SlideSeries } from '../../extension/src/state.ts';
import { derivedSlide, fakeOhif, SOURCE, slide } from './fake-ohif.ts';

const UIDS = ['1.2.5', '1.2.4', '1.2.3', '1.2.2'] as const;
const ANOTHER = '1.2.9';
const all = (): SlideSeries[] =>
  fakeOhif(
    slide(SOURCE),
    ...UIDS.map((uid) => derivedSlide(uid)),
    slide(ANOTHER),
    derivedSlide('1.2.10', ANOTHER),
  ).host.allSeries();
const series = (uid: string): SlideSeries =>
  all().find(({ seriesInstanceUid }) => seriesInstanceUid === uid)!;

interface Now {
  readonly shown?: string;
  readonly results?: readonly string[];
  readonly comparison?: ComparisonStatus | null;
}

function compared(
  asked: { mode: ComparisonMode; normalized?: string; against?: string; others?: string[] },
  { shown = SOURCE, results = UIDS, comparison = null }: Now = {},
): ComparisonStatus {
  const now = { series: series(shown), results: results.map(series), comparison };
  return whatToCompare(asked, now, all());
}

const uidsOf = ({ against, normalized, others }: ComparisonStatus): string[] =>
  [against, normalized, ...others].map(({ seriesInstanceUid }) => seriesInstanceUid);

const mode = 'two-by-two';

test.each([
  ['the newest result and the original', { mode: 'swipe' }, {}, [SOURCE, '1.2.5']],
  ['the result that is shown', { mode: 'swipe' }, { shown: '1.2.3' }, [SOURCE, '1.2.3']],
  ['two results', { mode: 'swipe', against: '1.2.3' }, {}, ['1.2.3', '1.2.5']],
  ['a result of another slide does not count', { mode: 'swipe', against: '1.2.10' }, {}, [SOURCE, '1.2.5']],
  ['the original and the newest three', { mode }, {}, [SOURCE, '1.2.5', '1.2.4', '1.2.3']],
  ['the one that is shown first', { mode }, { shown: '1.2.2' }, [SOURCE, '1.2.2', '1.2.5', '1.2.4']],
  ['two, if there are no more', { mode }, { results: ['1.2.3', '1.2.2'] }, [SOURCE, '1.2.3', '1.2.2']],
  [
    'what is asked for, once, and of this slide',
    {
      mode,
      normalized: '1.2.3',
      against: '1.2.4',
      others: ['1.2.3', '1.2.10', '1.2.2', '1.2.2', '1.2.5', '1.2.4'],
    },
    {},
    [SOURCE, '1.2.3', '1.2.2', '1.2.5'],
  ],
] as const)('%s', (_name, asked, now, uids) => {
  expect(uidsOf(compared(asked as unknown as Parameters<typeof compared>[0], now))).toEqual(uids);
});

test('what is compared stays, as far as nothing else is asked for', () => {
  const two = compared({ mode: 'side-by-side', normalized: '1.2.2', against: '1.2.3' });
  expect(uidsOf(compared({ mode: 'blink' }, { comparison: two }))).toEqual(['1.2.3', '1.2.2']);
  // The original is always among the four.
  const four = compared({ mode }, { comparison: two });
  expect(uidsOf(four)).toEqual([SOURCE, '1.2.2', '1.2.3', '1.2.5']);
  expect(uidsOf(compared({ mode }, { comparison: four }))).toEqual(uidsOf(four));
  expect(uidsOf(compared({ mode, normalized: '1.2.4' }, { comparison: four }))).toEqual([
    SOURCE,
    '1.2.4',
    '1.2.2',
    '1.2.3',
  ]);
  expect(uidsOf(compared({ mode: 'swipe' }, { comparison: four }))).toEqual([SOURCE, '1.2.2']);
});

test('too few are refused, with the reason', () => {
  const code = (value: string) => expect.objectContaining({ user: expect.objectContaining({ code: value }) });
  expect(() => compared({ mode }, { results: ['1.2.3'] })).toThrow(code('TOO_FEW_RESULTS'));
  expect(() => compared({ mode }, { results: [] })).toThrow(code('TOO_FEW_RESULTS'));
  expect(() => compared({ mode, others: ['1.2.10'] })).toThrow(code('TOO_FEW_RESULTS'));
});
