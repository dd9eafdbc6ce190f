/** Rules as plain values: their file, their hours, what they compare, which studies are searched. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../server/src/config.ts';
import { openUntil } from '../../server/src/rules/hours.ts';
import { judge } from '../../server/src/rules/match.ts';
import { loadRules, type Rule } from '../../server/src/rules/rule.ts';
import { olderStudies, recentStudies } from '../../server/src/rules/survey.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rules-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

const ARCHIVES = JSON.stringify({
  vendor: { url: 'https://vendor.example', isReadOnly: true },
  research: { url: 'https://research.example' },
});

async function load(rules: unknown): Promise<Rule[]> {
  const file = join(folder, 'rules.json');
  await writeFile(file, typeof rules === 'string' ? rules : JSON.stringify({ rules }));
  return loadRules(loadConfig({ env: { STAIN_RULES_FILE: file, STAIN_ARCHIVES: ARCHIVES } }));
}

const ONE = { name: 'one', match: { StationName: 'SCANNER?' }, template: 'he-pink-violet' };

describe('the file of rules', () => {
  it('is optional', () => expect(loadRules(loadConfig({ env: {} }))).toEqual([]));

  it('has defaults: only fit, at normal priority, around the clock', async () => {
    const [rule] = await load([ONE]);
    expect(rule).toMatchObject({
      enabled: true,
      outcome: 'fit',
      priority: 'normal',
      transfer: 'linear',
      model: 'fast',
      match: [{ keyword: 'StationName', tag: '00081010', values: ['SCANNER?'] }],
    });
    expect(rule!.hours).toBeUndefined();
  });

  it.each([
    [
      'an unknown attribute',
      [{ ...ONE, match: { StationNam: 'x' } }],
      /rule "one": "StationNam" is not an attribute/,
    ],
    ['a retired attribute', [{ ...ONE, match: { StudyComments: 'x' } }], /"StudyComments" is retired/],
    ['a sequence', [{ ...ONE, match: { AnatomicRegionSequence: 'x' } }], /is a sequence or binary/],
    ['a field that does not exist', [{ ...ONE, colour: 'red' }], /rule "one": Unrecognized key: "colour"/],
    [
      'a time that is none',
      [{ ...ONE, hours: { from: '24:00', to: '06:00' } }],
      /rule "one" hours from: a time/,
    ],
    [
      'an unknown time zone',
      [{ ...ONE, hours: { from: '20:00', to: '06:00', timeZone: 'Mars/Base' } }],
      /a time zone/,
    ],
    ['two rules of one name', [ONE, ONE], /rule "one": there are two rules/],
    [
      'a fit with the transfer paper',
      [{ ...ONE, transfer: 'paper' }],
      /outcome "fit" works with transfer "linear"/,
    ],
    [
      'an archive that is not named',
      [{ ...ONE, source: 'constructor' }],
      /there is no archive "constructor". There are: default, vendor, research/,
    ],
    [
      'a destination that is read-only',
      [{ ...ONE, outcome: 'store', destination: 'vendor' }],
      /rule "one": the archive "vendor" is read-only/,
    ],
    ['a fit with a destination', [{ ...ONE, destination: 'research' }], /destination needs outcome "store"/],
    ['a fit with a quality', [{ ...ONE, quality: 80 }], /need outcome "store"/],
    ['a text that is not JSON', '{', /the file is not JSON/],
    ['a comma too many', '{ "rules": [\n], }', /the file is not JSON \(line 2 column \d+\)/],
  ])('is refused with %s', async (_what, rules, message) => {
    await expect(load(rules)).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      message: expect.stringMatching(message),
    });
  });

  it('is refused if it cannot be read', () => {
    const config = loadConfig({ env: { STAIN_RULES_FILE: join(folder, 'missing.json') } });
    expect(() => loadRules(config)).toThrow(/rules.file: the file cannot be read \(ENOENT\)/);
  });
});

describe('what a rule compares', () => {
  const found = {
    '00081010': { vr: 'SH', Value: ['SCANNER1'] },
    '00080020': { vr: 'DA', Value: ['20261126'] },
    '00180015': { vr: 'CS' },
  };
  const judged = async (match: object, header = {}) =>
    judge((await load([{ ...ONE, match }]))[0]!, found, header);

  it.each([
    ['a wildcard', { StationName: 'SCANNER?' }, true],
    ['another value', { StationName: 'SCANNER2' }, false],
    ['one of several values', { StationName: ['SCANNER2', 'SCANNER1'] }, true],
    ['a range of dates', { StudyDate: '20261101-' }, true],
    ['a tag', { '00081010': '*1' }, true],
    ['nothing', {}, true],
  ])('%s', async (_what, match, isMatch) => expect(await judged(match)).toMatchObject({ isMatch }));

  it('asks for a header only if what the search returned does not decide', async () => {
    const both = { BodyPartExamined: 'SKIN', StationName: 'SCANNER2' };
    expect(await judged(both)).toEqual({ isMatch: false, differs: 'StationName' });
    expect(await judged({ BodyPartExamined: 'SKIN' })).toEqual({ isMatch: undefined, missing: ['00180015'] });
    const skin = { '00180015': { vr: 'CS', Value: ['SKIN'] } };
    expect(await judged({ BodyPartExamined: 'SKIN' }, skin)).toEqual({ isMatch: true });
    const absent = { '00180015': null };
    expect(await judged({ BodyPartExamined: 'SKIN' }, absent)).toMatchObject({ isMatch: false });
  });
});

describe('hours', () => {
  const night = { from: '20:00', to: '06:00', timeZone: 'Europe/Amsterdam' };
  // Thursday, an hour ahead of UTC in winter.
  it.each([
    ['in the evening', night, '2026-11-26T19:00:30Z', '2026-11-27T05:00:00Z'],
    ['after midnight', night, '2026-11-27T04:59:59Z', '2026-11-27T05:00:00Z'],
    ['at their end', night, '2026-11-27T05:00:00Z', undefined],
    ['by day', night, '2026-11-26T12:00:00Z', undefined],
    ['in summer', night, '2026-07-01T18:00:00Z', '2026-07-02T04:00:00Z'],
    ['on a day that is not named', { ...night, days: ['Fri'] as const }, '2026-11-26T22:00:00Z', undefined],
    [
      'begun on the day that is named',
      { ...night, days: ['Thu'] as const },
      '2026-11-27T04:00:00Z',
      '2026-11-27T05:00:00Z',
    ],
    ['of a whole day', { ...night, to: '20:00' }, '2026-11-26T12:00:00Z', '2026-11-26T19:00:00Z'],
  ])('%s', (_when, hours, now, end) =>
    expect(openUntil(hours, new Date(now))?.toISOString()).toBe(end && new Date(end).toISOString()),
  );
});

it('every study within reach is in exactly one search', () => {
  const reach = { lookBackDays: 7, reachDays: 100 };
  expect(recentStudies('20260302', reach)).toBe('20260223-');
  const ranges = olderStudies('20260302', reach);
  expect(ranges).toEqual([
    '20260124-20260222',
    '20251225-20260123',
    '20251125-20251224',
    '20251122-20251124',
  ]);
  expect(olderStudies('20260302', { lookBackDays: 7, reachDays: 7 })).toEqual([]);
});
