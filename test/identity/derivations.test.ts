/** Which series a request means, and which revision of it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NormalizationRequest } from '../../core/src/contract/index.ts';
import { uidFromUuid } from '../../server/src/dicom/uid.ts';
import { type Derivation, type Revisions, revisionOf } from '../../server/src/pipeline/derivations.ts';
import {
  type Fingerprint,
  seriesContent,
  seriesIdentity,
} from '../../server/src/pipeline/series-identity.ts';
import { runs } from '../support/property-runs.ts';

const REQUEST: NormalizationRequest = {
  studyInstanceUid: '1.2',
  seriesInstanceUid: '1.2.3',
  template: 'he-violet',
  model: 'fast',
  transfer: 'linear',
  encoding: 'jpeg',
  quality: 90,
};
const FINGERPRINT: Fingerprint = {
  sourceSha256: 's',
  templateSha256: 't',
  modelSha256: 'm',
  pipelineSha256: 'p',
};
const uuidOf = (request: NormalizationRequest, fingerprint: Fingerprint, revision = 1): string =>
  seriesIdentity(seriesContent(request, fingerprint), revision, '2026-01-01T00:00:00.000Z').seriesUuid;

describe('the UID of a series', () => {
  const parts: fc.Arbitrary<[NormalizationRequest, Fingerprint]> = fc.tuple(
    fc.record({
      studyInstanceUid: fc.constantFrom('1.2', '1.3'),
      seriesInstanceUid: fc.constantFrom('1.2.3', '1.2.34'),
      template: fc.constantFrom('a', 'ab'),
      model: fc.constantFrom('b', 'fast'),
      transfer: fc.constantFrom('linear', 'paper'),
      encoding: fc.constantFrom('jpeg', 'htj2k', 'jpeg2000'),
      quality: fc.constantFrom(80, 90),
      anyStain: fc.constantFrom(undefined, true as const),
    }),
    fc.record({
      sourceSha256: fc.constantFrom('s', 'ss'),
      templateSha256: fc.constantFrom('t', 'tt'),
      modelSha256: fc.constantFrom('m', 'mm'),
      pipelineSha256: fc.constantFrom('p', 'pp'),
      slideUid: fc.constantFrom(undefined, '1.2.3.4', '1.2.3.5'),
    }),
  );
  /** Everything that determines bytes; lossless encodings have no quality. */
  const meaning = ([request, fingerprint]: [NormalizationRequest, Fingerprint]): string =>
    JSON.stringify([{ ...request, quality: request.encoding === 'jpeg' && request.quality }, fingerprint]);

  it('is the same for the same request, and differs if one part differs', () => {
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        expect(uuidOf(...a) === uuidOf(...b)).toBe(meaning(a) === meaning(b));
      }),
      { numRuns: runs(2000) },
    );
  });

  it('is another series for other archives, and the same as ever for the default one', () => {
    const of = (names: object) => seriesContent({ ...REQUEST, ...names }, FINGERPRINT);
    const all = [{}, { source: 'a' }, { destination: 'a' }, { source: 'a', destination: 'b' }].map(of);
    for (const key of ['lineage', 'content'] as const)
      expect(new Set(all.map((one) => one[key])).size).toBe(all.length);
    expect(of({ source: undefined, destination: undefined })).toEqual(seriesContent(REQUEST, FINGERPRINT));
  });

  it('is the same as before `anyStain` existed, if that is not set', () => {
    const request = { ...REQUEST, studyInstanceUid: '1.2.3', seriesInstanceUid: '1.2.3.4', template: 'one' };
    const before = seriesContent(request, FINGERPRINT).content;
    expect(seriesContent({ ...request, anyStain: false }, FINGERPRINT).content).toBe(before);
    expect(seriesContent({ ...request, anyStain: true }, FINGERPRINT).content).not.toBe(before);
  });

  it('differs by transfer, and none is a revision of the other', () => {
    const [linear, paper] = (['linear', 'paper'] as const).map((transfer) =>
      seriesContent({ ...REQUEST, transfer }, FINGERPRINT),
    );
    expect(linear!.lineage).not.toBe(paper!.lineage);
    expect(linear!.content).not.toBe(paper!.content);
  });

  it('depends neither on the time nor on other parts of the request', () => {
    const carrying = { ...REQUEST, templateSha256: 'x', sourceSha256: 'y', slide: '1.2.3.4' };
    expect(uuidOf(carrying, FINGERPRINT)).toBe(uuidOf(REQUEST, FINGERPRINT));
    expect(uuidOf(REQUEST, FINGERPRINT, 2)).not.toBe(uuidOf(REQUEST, FINGERPRINT));
  });

  it('stays stable, because series in archives are found by it', () => {
    expect(uidFromUuid(uuidOf(REQUEST, FINGERPRINT))).toBe('2.25.283234569320588443575015906364585032364');
  });
});

describe('the revision that a request makes', () => {
  const content = seriesContent(REQUEST, FINGERPRINT);
  const derivation = (changes: Partial<Derivation> = {}): Derivation => ({
    content: content.content,
    identity: seriesIdentity(content, 3, '2026-01-01T00:00:00.000Z', '2.25.9'),
    wasStored: true,
    isOver: false,
    ...changes,
  });
  const knowing = (newest: Derivation | undefined): Revisions => ({
    newest: async () => newest,
    add: async () => true,
  });

  it('is the first if there is none', async () => {
    expect(await revisionOf(content, knowing(undefined))).toMatchObject({
      revision: 1,
      supersedes: undefined,
    });
  });

  it('is the one that was begun, with its time', async () => {
    expect(await revisionOf(content, knowing(derivation()))).toEqual(derivation().identity);
  });

  it('follows one that is complete, or that was made from other instances, and names it', async () => {
    const named = { revision: 4, supersedes: uidFromUuid(derivation().identity.seriesUuid) };
    expect(await revisionOf(content, knowing(derivation({ isOver: true })))).toMatchObject(named);
    expect(await revisionOf(content, knowing(derivation({ content: 'other' })))).toMatchObject(named);
  });

  it('names what was stored before, if the last one never was', async () => {
    const never = derivation({ isOver: true, wasStored: false });
    expect(await revisionOf(content, knowing(never))).toMatchObject({ revision: 4, supersedes: '2.25.9' });
  });

  it('is that of a simultaneous request that was faster', async () => {
    let newest: Derivation | undefined;
    const faster = derivation();
    const revisions: Revisions = {
      newest: async () => newest,
      async add() {
        newest = faster;
        return false;
      },
    };
    expect(await revisionOf(content, revisions)).toEqual(faster.identity);
  });
});
