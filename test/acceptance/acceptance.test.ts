/** Scanners, draws, figures and signatures of an acceptance, as plain values. */
import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import { Acceptances } from '../../server/src/acceptance/acceptances.ts';
import {
  readAcceptance,
  type Signed,
  signatureFor,
  withSignature,
  writeAcceptance,
} from '../../server/src/acceptance/document.ts';
import { isRefusal } from '../../server/src/acceptance/measure-slide.ts';
import { acceptancePage } from '../../server/src/acceptance/page.ts';
import { proportionOf } from '../../server/src/acceptance/proportion.ts';
import { inSeededOrder } from '../../server/src/acceptance/random.ts';
import { isSameDevice, scannerKey, scannerName, scannerOf } from '../../server/src/acceptance/scanner.ts';
import { scannerRecord } from '../../server/src/acceptance/scanner-record.ts';
import { describeAcceptance } from '../../server/src/cli/acceptance-command.ts';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import { toDicomJson } from '../../server/src/dicom/to-json.ts';
import { ALPHA, acceptance, HASH, slide } from './support.ts';

const SIGNED: Signed = {
  scanners: [1],
  decision: 'accepted',
  name: 'Dr. Example',
  role: 'pathologist',
  remarks: null,
  signedAt: '2026-11-27T08:00:00.000Z',
};
const MEANS = { templateSha256: HASH.template, modelSha256: HASH.model, transfer: 'linear' };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'acceptance-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('a scanner', () => {
  const of = (attributes: Parameters<typeof DataSet.of>[0]) => scannerOf(toDicomJson(DataSet.of(attributes)));

  it('is told by maker, model, serial number and software; by its station if it has no number', () => {
    const device = { Manufacturer: ' Maker', ManufacturerModelName: 'Alpha', StationName: 'HALL2' };
    expect(of({ ...device, DeviceSerialNumber: '1', SoftwareVersions: ['2', '1.0'] })).toEqual({
      ...ALPHA,
      softwareVersions: ['1.0', '2'],
    });
    expect(of({ ...device, DeviceSerialNumber: '' })).toMatchObject({ serialNumber: null, station: 'HALL2' });
    expect(scannerName(of({}))).toBe('Unnamed scanner, no serial number, no station, software not named');
  });

  it('with other software is another scanner, but the same device', () => {
    const updated = { ...ALPHA, softwareVersions: ['2.0'] };
    expect(scannerKey(updated)).not.toBe(scannerKey(ALPHA));
    expect(isSameDevice(updated, ALPHA)).toBe(true);
    expect(isSameDevice({ ...ALPHA, serialNumber: '2' }, ALPHA)).toBe(false);
    // One long value is not two short ones.
    expect(scannerKey({ ...ALPHA, softwareVersions: ['1', '2'] })).not.toBe(
      scannerKey({ ...ALPHA, softwareVersions: ['1,2'] }),
    );
  });
});

describe('the draw', () => {
  const uids = Array.from({ length: 40 }, (_, i) => `1.2.${i}`);
  const drawn = (items: readonly string[], seed: number) => inSeededOrder(items, (uid) => uid, seed);

  it('depends on seed and slides alone, and new slides leave the others in their order', () => {
    expect(drawn(uids.toReversed(), 1)).toEqual(drawn(uids, 1));
    expect(drawn(uids, 2)).not.toEqual(drawn(uids, 1));
    const grown = drawn([...uids, '1.3.1', '1.3.2'], 1).filter((uid) => !uid.startsWith('1.3'));
    expect(grown).toEqual(drawn(uids, 1));
    expect(drawn(uids, 1)).not.toEqual(uids);
  });
});

describe('the refusal rate', () => {
  it.each([
    // Newcombe 1998, table I: score method without continuity correction.
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
    [29, 29, 0.883, 1],
  ])('%i of %i has the interval of Wilson', (count, of, low, high) => {
    const found = proportionOf(count, of);
    expect(found.low).toBeCloseTo(low, 4);
    expect(found.high).toBeCloseTo(high, 4);
    expect(found.rate).toBe(count / of);
  });

  it('of no slide is not known', () => {
    expect(proportionOf(0, 0)).toEqual({ count: 0, of: 0, rate: null, low: 0, high: 1 });
  });

  it('leaves out what failed for other reasons than the slide', () => {
    const slides = [
      slide(1),
      slide(2, { state: 'REFUSED', code: 'STAIN_NOT_HE' }),
      slide(3, { state: 'FAILED', code: 'ARCHIVE_TIMEOUT' }),
    ];
    const record = scannerRecord({ number: 1, scanner: ALPHA, found: 9, slides }, undefined, 1);
    expect(record).toMatchObject({
      refused: { count: 1, of: 2 },
      failed: 1,
      refusals: { STAIN_NOT_HE: 1 },
      found: 9,
    });
    const refusals = ['STAIN_NOT_HE', 'TOO_LITTLE_TISSUE', 'SLIDE_TOO_LARGE', 'FRAME_INVALID'] as const;
    for (const code of refusals) expect(isRefusal(new StainError(code, '')), code).toBe(true);
    const others = [
      'ARCHIVE_TIMEOUT',
      'INTERNAL',
      'PAYLOAD_TOO_LARGE',
      'SPOOL_FULL',
      'FIT_TIMED_OUT',
    ] as const;
    for (const code of others) expect(isRefusal(new StainError(code, '')), code).toBe(false);
  });
});

describe('a signature', () => {
  const file = (): string => join(folder, 'one.json');

  it('survives the file, in any layout; the last one about a scanner counts', async () => {
    const first = withSignature(acceptance(), SIGNED);
    const second = withSignature(first, { ...SIGNED, decision: 'rejected', remarks: 'Too pale.' });
    await writeAcceptance(file(), second);
    await writeFile(file(), JSON.stringify(JSON.parse(await readFile(file(), 'utf8'))));
    const read = await readAcceptance(file());
    expect(read.signatures).toHaveLength(2);
    expect(signatureFor(read, 1)).toMatchObject({ decision: 'rejected', remarks: 'Too pale.' });
  });

  it.each([
    ['the content', '"found":1', '"found":2'],
    ['a figure', '"score":0.1', '"score":0.2'],
    ['the decision', '"decision":"rejected"', '"decision":"accepted"'],
    ['the name', 'Dr. Example', 'Dr. Other'],
    ['the scanners it is about', '"scanners":[1]', '"scanners":[1,2]'],
  ])('does not survive a change of %s', async (_, from, to) => {
    const document = withSignature(acceptance(), { ...SIGNED, decision: 'rejected' });
    const text = JSON.stringify(document);
    expect(text).toContain(from);
    await writeFile(file(), text.replace(from, to));
    await expect(readAcceptance(file())).rejects.toMatchObject({
      code: 'ACCEPTANCE_INVALID',
      message: expect.stringContaining('was changed'),
    });
  });

  it.each([
    ['no JSON', 'x', /is not JSON/],
    ['another file', '{}', /is not an acceptance/],
    [
      'a field that nobody knows',
      JSON.stringify({ ...acceptance(), approved: true }),
      /is not an acceptance/,
    ],
  ])('is not read from %s', async (_, text, message) => {
    await writeFile(file(), text);
    await expect(readAcceptance(file())).rejects.toThrow(message);
  });

  it('needs a name, a scanner that is there, and something that was seen', () => {
    const refused = acceptance([ALPHA], [slide(1, { state: 'REFUSED', code: 'STAIN_NOT_HE' })]);
    expect(() => withSignature(refused, SIGNED)).toThrow(/nothing to accept\.$/);
    expect(describeAcceptance({ folder: "a b's", document: refused })).toContain(
      " sign 'a b'\\''s/acceptance.json' --name NAME --role ROLE --decision rejected",
    );
    expect(describeAcceptance({ folder: 'ab', document: acceptance() })).toMatch(
      / sign ab\/acceptance\.json .* --decision accepted$/m,
    );
    expect(() => withSignature(refused, { ...SIGNED, decision: 'rejected' })).not.toThrow();
    expect(() => withSignature(acceptance(), { ...SIGNED, scanners: [2] })).toThrow(/no scanner 2/);
    expect(() => withSignature(acceptance(), { ...SIGNED, name: '  ' })).toThrow(/name/);
  });
});

describe('the acceptances of a site', () => {
  const put = (name: string, document: object) => writeFile(join(folder, name), JSON.stringify(document));

  it('are the last signed decisions on scanner, template, model and transfer', async () => {
    const place = await mkdtemp(join(folder, 'site-'));
    const within = (name: string) => join(place.slice(folder.length + 1), name);
    const acceptances = new Acceptances(place);
    const isAccepted = async (means = MEANS) =>
      (await acceptances.read()).scannersFor(means).has(scannerKey(ALPHA));
    await put(within('a.json'), acceptance());
    expect(await isAccepted()).toBe(false);
    await put(within('b.json'), withSignature(acceptance(), SIGNED));
    expect(await isAccepted()).toBe(true);
    expect(await isAccepted({ ...MEANS, templateSha256: 'c'.repeat(64) })).toBe(false);
    expect(await isAccepted({ ...MEANS, modelSha256: 'c'.repeat(64) })).toBe(false);
    expect(await isAccepted({ ...MEANS, transfer: 'paper' })).toBe(false);
    const withdrawn: Signed = { ...SIGNED, decision: 'rejected', signedAt: '2026-12-24T08:00:00.000Z' };
    await put(within('a.json'), withSignature(acceptance(), withdrawn));
    expect(await isAccepted()).toBe(false);
    expect((await acceptances.read()).decisions).toMatchObject([
      { decision: 'rejected', name: 'Dr. Example' },
    ]);
  });

  it('leave out what was changed, and say so', async () => {
    const place = await mkdtemp(join(folder, 'site-'));
    const acceptances = new Acceptances(place);
    const text = JSON.stringify(withSignature(acceptance(), SIGNED));
    await writeFile(join(place, 'a.json'), text);
    expect((await acceptances.read()).decisions).toHaveLength(1);
    // The file was read before: its change must be noticed.
    await writeFile(join(place, 'a.json'), text.replace('Alpha', 'Alfas'));
    await utimes(join(place, 'a.json'), 1, 1);
    const { decisions, invalid } = await acceptances.read();
    expect(decisions).toEqual([]);
    expect(invalid).toMatchObject([{ file: 'a.json', message: expect.stringContaining('was changed') }]);
  });

  it('are in a place that exists when the service starts', () => {
    expect(() => new Acceptances(join(folder, 'nowhere'))).toThrow(/rules.acceptance/);
  });
});

it('the page shows what a header may contain as text', () => {
  const evil = { ...ALPHA, model: '<img src=x onerror=alert(1)>' };
  const page = acceptancePage(acceptance([evil]), new Map());
  expect(page).toContain('&#60;img src=x');
  expect(page).not.toContain('<img');
});
