import { expect, it } from 'vitest';
import { describeLeftOut } from '../../server/src/cli/left-out-files.ts';

const files = (reason: string, ...paths: string[]) => ({ reason, paths });

it('prints nothing if no file is left out', () => {
  expect(describeLeftOut([], { names: true })).toBe('');
});

it('says how many files are left out, and why; names appear only where they may be read', () => {
  const leftOut = [
    files('They are damaged.', '/in/Doe^Jane.dcm', '/in/b.dcm'),
    files('It is none.', '/in/c'),
  ];
  expect(describeLeftOut(leftOut, { names: true })).toBe(
    'Files of the folder that were left out:\n  2  They are damaged. One is Doe^Jane.dcm.\n  1  It is none. It is c.\n',
  );
  expect(describeLeftOut(leftOut, { names: false })).not.toContain('Doe');
});

it('shows control characters of a name, which the terminal would obey', () => {
  const name = 'a\u001b[2J\u009b1m\r\nError (INTERNAL): \u202eb.dcm';
  expect(describeLeftOut([files('It is damaged.', `/in/${name}`)], { names: true })).toBe(
    'Files of the folder that were left out:\n' +
      '  1  It is damaged. It is a\\u001b[2J\\u009b1m\\u000d\\nError (INTERNAL): \\u202eb.dcm.\n',
  );
});

it('adds up the rest of many reasons', () => {
  const leftOut = Array.from({ length: 40 }, (_, i) => files(`Reason ${i}.`, `${i}`));
  const lines = describeLeftOut(leftOut, { names: true }).trimEnd().split('\n');
  expect([lines.length, lines.at(-1)]).toEqual([7, '  35  For other reasons.']);
});
