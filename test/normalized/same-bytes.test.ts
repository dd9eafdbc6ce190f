/** A computed series has the UIDs and the bytes of the one that a job of the same request stores. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DicomJson, numberOf, textOf } from '../../server/src/dicom/json-model.ts';
import { ADOBE_RGB, matrixProfile } from '../codec/profiles.ts';
import { copySample } from '../support/copy-slide.ts';
import { EXPLICIT_LITTLE_ENDIAN, type SlideInstanceOptions, testUid } from '../support/make-slide.ts';
import {
  frameOf,
  jsonOf,
  keep,
  type NormalizedService,
  seriesIn,
  serveNormalized,
} from '../support/normalized.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';
import { storableSlide } from '../support/storable.ts';
import { halved, tilesOf } from '../support/tiles.ts';
import { tissue } from '../support/tissue.ts';
import { tissueSlide } from '../support/tissue-slide.ts';

const TILE = 128;
const SIDE = 4 * TILE;

let archive: ServedArchive;
let service: NormalizedService;
beforeAll(async () => {
  archive = await serveArchive();
  service = await serveNormalized(archive.url);
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await archive[Symbol.asyncDispose]();
});

/** @returns the Study Instance UID */
async function fill(name: string, files: readonly Uint8Array[]): Promise<void> {
  await mkdir(join(archive.folder, name));
  for (const [i, file] of files.entries()) await writeFile(join(archive.folder, name, `${i}.dcm`), file);
  await archive.archive.rescan();
}

/** A base level and one of half its size, in frames of any kind. */
function twoLevels(name: string, options: Partial<SlideInstanceOptions>): Buffer[] {
  const whole = tissue(SIDE, SIDE, { part: 0.7 });
  return [whole, halved(whole)].map(
    (raster, i) =>
      storableSlide(name, {
        rows: TILE,
        columns: TILE,
        totalRows: raster.height,
        totalColumns: raster.width,
        frames: tilesOf(raster, TILE),
        transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN,
        photometricInterpretation: 'RGB',
        pixelSpacing: 0.0005 * (i + 1),
        imageType:
          i === 0 ? ['ORIGINAL', 'PRIMARY', 'VOLUME', 'NONE'] : ['DERIVED', 'PRIMARY', 'VOLUME', 'RESAMPLED'],
        ...options,
        overrides: { ...options.overrides, SOPInstanceUID: testUid(`${name} ${i}`) },
      }).bytes,
  );
}

/** The same slide with its base level in two parts. */
function concatenated(name: string): Buffer[] {
  const frames = tilesOf(tissue(SIDE, SIDE, { part: 0.7 }), TILE);
  return [0, 1].map((part) => {
    const half = frames.slice(part * 8, part * 8 + 8);
    return storableSlide(name, {
      rows: TILE,
      columns: TILE,
      totalRows: SIDE,
      totalColumns: SIDE,
      frames: half,
      tiling: 'TILED_SPARSE',
      positions: half.map((_, i) => ({ x: (i % 4) * TILE, y: (part * 2 + Math.floor(i / 4)) * TILE })),
      transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN,
      photometricInterpretation: 'RGB',
      concatenation: { number: part + 1, total: 2, frameOffset: part * 8 },
      overrides: { SOPInstanceUID: testUid(`${name} part ${part}`) },
    }).bytes;
  });
}

/** Some tiles of glass are missing. */
function sparse(name: string): Buffer[] {
  const frames = tilesOf(tissue(SIDE, SIDE, { part: 0.7 }), TILE);
  const kept = [...frames.keys()].filter((i) => i % 4 !== 3);
  return [
    storableSlide(name, {
      rows: TILE,
      columns: TILE,
      totalRows: SIDE,
      totalColumns: SIDE,
      frames: kept.map((i) => frames[i]!),
      tiling: 'TILED_SPARSE',
      positions: kept.map((i) => ({ x: (i % 4) * TILE, y: Math.floor(i / 4) * TILE })),
      transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN,
      photometricInterpretation: 'RGB',
    }).bytes,
  ];
}

const SLIDES: Readonly<Record<string, () => Promise<readonly Uint8Array[]>>> = {
  'JPEG with glass that passes through': async () =>
    (await copySample('JPEG with glass that passes through', [0, 1, 2, 3])).files,
  'uncompressed, of one level': async () => [tissueSlide('uncompressed, of one level').bytes],
  'uncompressed, of two levels': async () => twoLevels('uncompressed, of two levels', {}),
  "with a scanner's profile": async () =>
    twoLevels("with a scanner's profile", { iccProfile: matrixProfile(ADOBE_RGB, 2.2) }),
  'in Latin letters that JSON writes otherwise': async () =>
    twoLevels('in Latin letters that JSON writes otherwise', {
      overrides: {
        SpecificCharacterSet: 'ISO_IR 100',
        PatientName: Buffer.from('M\xfcller^J\xf6rg ', 'latin1'),
      },
    }),
  'a concatenation': async () => concatenated('a concatenation'),
  'with tiles that are not there': async () => sparse('with tiles that are not there'),
};

/** Without the names of the archive that responds. */
function comparable(header: DicomJson): unknown {
  return JSON.parse(JSON.stringify(header).replaceAll(/http:[^"]*\/dicom-web/g, ''));
}

describe.each(Object.keys(SLIDES))('a slide %s', (name) => {
  it('is the same, computed and stored', { timeout: 120_000 }, async () => {
    await fill(name, await SLIDES[name]!());
    const study = testUid(`${name} study`);
    const source = testUid(`${name} series`);
    const root = service.root();
    const [series, ...others] = await seriesIn(root, study);
    expect(others).toEqual([]);
    const headers = await jsonOf(`${root}/studies/${study}/series/${series}/metadata`);
    const frames = new Map<string, Buffer>();
    for (const header of headers)
      for (let number = 1; number <= numberOf(header, '00280008')!; number++) {
        const address = `/studies/${study}/series/${series}/instances/${textOf(header, '00080018')}/frames/${number}`;
        frames.set(address, await frameOf(root + address));
      }
    const job = await keep(service, { studyInstanceUid: study, seriesInstanceUid: source });
    expect(job.result!.seriesInstanceUid).toBe(series);

    const stored = await jsonOf(`${archive.url}/studies/${study}/series/${series}/metadata`);
    const byUid = (all: DicomJson[]): DicomJson[] =>
      all.toSorted((a, b) => (textOf(a, '00080018')! < textOf(b, '00080018')! ? -1 : 1));
    expect(byUid(headers).map(comparable)).toEqual(byUid(stored).map(comparable));
    for (const [address, frame] of frames)
      expect(frame.equals(await frameOf(archive.url + address)), address).toBe(true);

    // It is still there once, computed.
    expect(await seriesIn(root, study)).toEqual([series]);
    const others2 = (await seriesIn(archive.url, study)).filter((uid) => uid !== source);
    expect(others2).toEqual([series]);
  });

  it('has the bulk data that its header names', async () => {
    const root = service.root();
    const study = testUid(`${name} study`);
    const [series] = await seriesIn(root, study);
    const [header] = await jsonOf(`${root}/studies/${study}/series/${series}/metadata`);
    const paths = header!['00480105']!.Value as readonly DicomJson[];
    const { BulkDataURI: address } = paths[0]!['00282000']!;
    expect(address).toMatch(root);
    const [computed, stored] = await Promise.all(
      [address!, address!.replace(root, archive.url)].map(async (url) =>
        Buffer.from(
          await (await fetch(url, { headers: { Accept: 'application/octet-stream' } })).arrayBuffer(),
        ),
      ),
    );
    expect(computed!.length).toBeGreaterThan(400);
    expect(computed!.equals(stored!)).toBe(true);
  });
});

it('says that it is computed, but not in its data set', async () => {
  const root = service.root();
  const answer = await fetch(`${root}/studies`);
  expect(answer.headers.get('Stain-Normalization')).toBe('computed');
});
