/** Attack: searches of the embedded archive that never end, or return endless results. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FolderIndex } from '../../server/src/archive/folder-index.ts';
import { matches, matchesWildcards } from '../../server/src/archive/matching.ts';
import { MAX_RESULTS, parseQuery, runQuery } from '../../server/src/archive/query.ts';
import { runs } from '../support/property-runs.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';
import { storableSlide } from '../support/storable.ts';

const element = (vr: string, ...Value: string[]) => ({ vr, Value });

/** The meaning of asterisk and question mark, in a naive implementation. */
function isMatch(text: readonly string[], pattern: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return text.length === 0;
  if (first === '*') return isMatch(text, rest) || (text.length > 0 && isMatch(text.slice(1), pattern));
  return text.length > 0 && (first === '?' || first === text[0]) && isMatch(text.slice(1), rest);
}

describe('Wildcards', () => {
  it('`*?*?*?...` and the like end: the pattern once hung the process', () => {
    const text = 'a'.repeat(1024);
    for (const pattern of [
      `${'*?'.repeat(100)}b`,
      `${'*a'.repeat(100)}b`,
      `${'*'.repeat(200)}b`,
      `*${'a'.repeat(200)}b`,
    ])
      for (const vr of ['LO', 'PN', 'UT']) expect(matches(element(vr, text), pattern)).toBe(false);
  });

  it('mean what the standard says, for any pattern', () => {
    const letters = fc.array(fc.constantFrom('a', 'b', '𝒳', '.', '*'), { maxLength: 8 });
    const pattern = fc.array(fc.constantFrom('a', 'b', '𝒳', '.', '*', '?'), { maxLength: 8 });
    fc.assert(
      fc.property(letters, pattern, (text, wanted) => {
        expect(matchesWildcards(text.join(''), wanted.join(''))).toBe(isMatch(text, wanted));
      }),
      { numRuns: runs(5000) },
    );
  });
});

describe('A search of very many instances', () => {
  /** An index the size of a hospital's, without files on disk. */
  function hugeIndex(instances: number): FolderIndex {
    const json = { '00100010': { vr: 'PN', Value: [{ Alphabetic: 'a'.repeat(64) }] } };
    const series = new Map(
      Array.from({ length: instances }, (_, i) => [
        `1.2.${i}`,
        { studyUid: '1', seriesUid: '1.1', sopUid: `1.2.${i}`, sopClassUid: '1', json },
      ]),
    );
    return { studies: new Map([['1', new Map([['1.1', series]])]]) } as never;
  }
  const query = parseQuery(new URLSearchParams(`PatientName=${'*a'.repeat(30)}b`));

  it('lets other requests take turns while it runs', async () => {
    let [turns, isDone] = [0, false];
    const others = (async () => {
      for (; !isDone; turns++) await setImmediate();
    })();
    const { signal } = new AbortController();
    expect((await runQuery(hugeIndex(20_000), 'instances', {}, query, '', signal)).total).toBe(0);
    isDone = true;
    await others;
    expect(turns).toBeGreaterThan(20);
  });

  it('ends when its client has left', async () => {
    const leaving = new AbortController();
    const searched = runQuery(hugeIndex(20_000), 'instances', {}, query, '', leaving.signal);
    leaving.abort();
    await expect(searched).rejects.toThrow();
  });
});

describe('The embedded archive', () => {
  let served: ServedArchive;
  beforeAll(async () => {
    served = await serveArchive();
    const slide = storableSlide('q', { overrides: { SeriesDescription: Buffer.from('a'.repeat(64)) } });
    await writeFile(join(served.folder, 'one.dcm'), slide.bytes);
    await writeFile(
      join(served.folder, 'long.dcm'),
      storableSlide('r', { overrides: { SeriesDescription: Buffer.from('a'.repeat(2000)) } }).bytes,
    );
    await served.archive.rescan();
  });
  afterAll(() => served[Symbol.asyncDispose]());
  const search = async (query: string): Promise<{ status: number; body: unknown }> => {
    const response = await fetch(`${served.url}/series?${query}`);
    return { status: response.status, body: await response.json() };
  };

  it('answers a search with many wildcards, and others after it', async () => {
    const wanted = encodeURIComponent(`${'*?'.repeat(60)}b`);
    expect(await search(`SeriesDescription=${wanted}`)).toEqual({ status: 200, body: [] });
    expect((await search('Modality=SM')).body).toHaveLength(2);
  });

  it.each([
    ['an endless pattern', `SeriesDescription=${'*?'.repeat(200)}`],
    ['an endless date', `StudyDate=${'2-'.repeat(200)}`],
    ['an endless list of UIDs', `StudyInstanceUID=${'1,'.repeat(100)}`],
    ['an endless UID', `StudyInstanceUID=${'1'.repeat(5000)}`],
    ['endlessly many attributes', 'Modality=SM&'.repeat(40)],
    [
      'endlessly many attributes of the answer',
      `includefield=${Array.from({ length: 300 }, (_, i) => `0009${String(i).padStart(4, '0')}`).join(',')}`,
    ],
  ])('refuses %s', async (_, query) => {
    expect(await search(query)).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID' } });
  });

  it('keeps no oversized attribute of a file in memory', async () => {
    const { body } = await search('includefield=all&Modality=SM');
    const descriptions = (body as Record<string, { Value?: string[] }>[]).map(
      (one) => one['0008103E']?.Value?.[0],
    );
    // The oversized one comes from the file itself, if it is requested.
    expect(descriptions.map((text) => text?.length).sort()).toEqual([2000, 64].sort());
    const { body: plain } = await search('Modality=SM');
    expect((plain as Record<string, unknown>[]).filter((one) => '0008103E' in one)).toHaveLength(1);
  });

  it('returns no more results at once than it can hold, and says that there are more', async () => {
    const response = await fetch(`${served.url}/series?limit=1000000000`);
    expect(response.status).toBe(200);
    expect(parseQuery(new URLSearchParams('limit=1000000000')).limit).toBe(MAX_RESULTS);
    expect(parseQuery(new URLSearchParams()).limit).toBe(MAX_RESULTS);
  });
});
