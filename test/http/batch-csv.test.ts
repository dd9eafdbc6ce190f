import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { BatchSeries } from '../../core/src/contract/index.ts';
import { csvOf } from '../../server/src/http/batch-csv.ts';
import { runs } from '../support/property-runs.ts';

const line = (message: string): BatchSeries => ({
  studyInstanceUid: '1.2',
  seriesInstanceUid: '1.2.3',
  state: 'REFUSED',
  slide: null,
  job: null,
  code: 'DICOM_INVALID',
  message,
  attempts: 0,
  nextTryAt: null,
  derivedSeriesInstanceUid: null,
  seconds: null,
});
const messageCell = (message: string): string => csvOf([line(message)]).split('DICOM_INVALID,')[1]!;

it.each([
  ['=cmd|"/c calc"!A1', `"'=cmd|""/c calc""!A1"`],
  ['+1', "'+1"],
  ['-1', "'-1"],
  ['@SUM(A1)', "'@SUM(A1)"],
  ['\t=1', `'\t'=1`],
  ['\r=1', `"'\r'=1"`],
  ['a;=1+1', `"a;'=1+1"`],
  ['The archive answered 503.', 'The archive answered 503.'],
])('attack: a message that is a formula (%j) stays text in a spreadsheet', (message, cell) => {
  expect(messageCell(message).startsWith(`${cell},`)).toBe(true);
});

it('attack: no cell of any text begins a formula, whatever separates cells', () => {
  const text = fc.string({ unit: fc.constantFrom(...'=+-@;,\t\r\n" a1\'') });
  fc.assert(
    fc.property(text, (message) => {
      const csv = csvOf([line(message)])
        .split('\r\n')
        .slice(1)
        .join('\r\n');
      // Takes every possible separator as one, and ignores quotation marks.
      const cells = csv.split(/[,;\t\r\n]/).map((cell) => cell.replace(/^[" ]+/, ''));
      const comma = message.includes(',');
      for (const cell of cells) if (!comma) expect(cell).not.toMatch(/^[=+\-@]/);
    }),
    { numRuns: runs(2000) },
  );
});
