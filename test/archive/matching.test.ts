import { describe, expect, it } from 'vitest';
import { matches } from '../../server/src/archive/matching.ts';

const element = (vr: string, ...Value: (string | number | { Alphabetic: string })[]) => ({ vr, Value });

describe('matches', () => {
  it.each([
    ['universal', element('LO', 'x'), '', true],
    ['a single value', element('CS', 'SM'), 'SM', true],
    ['another value', element('CS', 'SM'), 'CT', false],
    ['case where it counts', element('LO', 'abc'), 'ABC', false],
    ['any of several values', element('CS', 'DERIVED', 'VOLUME'), 'VOLUME', true],
    ['a star', element('LO', 'HE slide 12'), 'HE*', true],
    ['a question mark', element('LO', 'HE1'), 'HE?', true],
    ['a question mark for nothing', element('LO', 'HE'), 'HE?', false],
    ['characters of regular expressions', element('LO', 'a+b(c)'), 'a+b(c)', true],
    ['a dot as a dot', element('LO', 'axb'), 'a.b', false],
    ['names in any case', element('PN', { Alphabetic: 'Doe^John' }), 'doe*', true],
    ['a list of UIDs', element('UI', '1.2'), '1.1,1.2', true],
    ['a list of UIDs with backslashes', element('UI', '1.2'), '1.1\\1.2', true],
    ['no wildcard in UIDs', element('UI', '1.2'), '1.*', false],
    ['numbers by value', element('US', 16), '016', true],
    ['a date in a range', element('DA', '20240131'), '20240101-20240201', true],
    ['a date before an open range', element('DA', '20231231'), '20240101-', false],
    ['a date in a range open to the past', element('DA', '20231231'), '-20240101', true],
    ['a time within the precision of the bound', element('TM', '135959'), '1200-13', true],
    ['a date and time with a zone', element('DT', '20240131101500'), '20240131-20240201', true],
    ['an absent attribute', undefined, 'x', false],
    ['an absent attribute, universally', undefined, '*', true],
  ] as const)('%s', (_, of, wanted, expected) => {
    expect(matches(of, wanted)).toBe(expected);
  });
});
