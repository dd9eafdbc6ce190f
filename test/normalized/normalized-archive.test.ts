/** The contents of the normalised archive, who sees them, and for how long they are valid. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import * as undici from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { normalizeOnce } from '../../server/src/cli/normalize-once.ts';
import { type DicomJson, numberOf, textOf, valuesOf } from '../../server/src/dicom/json-model.ts';
import { brown } from '../support/brown.ts';
import { copySample } from '../support/copy-slide.ts';
import { delay, type FaultProxy, hang, startFaultProxy } from '../support/fault-proxy.ts';
import { makeCtSeries } from '../support/make-ct.ts';
import { JPEG_BASELINE, testUid } from '../support/make-slide.ts';
import { TEMPLATE } from '../support/normalize.ts';
import {
  frameOf,
  jsonOf,
  keep,
  type NormalizedService,
  seriesIn,
  serveNormalized,
} from '../support/normalized.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';
import { tissue } from '../support/tissue.ts';
import { tissueSlide } from '../support/tissue-slide.ts';

let archive: ServedArchive;
let proxy: FaultProxy;
let service: NormalizedService;
beforeAll(async () => {
  archive = await serveArchive();
  proxy = await startFaultProxy(archive.url);
  service = await serveNormalized(proxy.url);
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
  await archive[Symbol.asyncDispose]();
});
afterEach(() => proxy.heal());

async function put(name: string, files: readonly Uint8Array[], folder = name): Promise<void> {
  await mkdir(join(archive.folder, folder), { recursive: true });
  for (const [i, file] of files.entries()) await writeFile(join(archive.folder, folder, `${i}.dcm`), file);
  await archive.archive.rescan();
}

async function take(folder: string): Promise<void> {
  await rm(join(archive.folder, folder), { recursive: true });
  await archive.archive.rescan();
}

const studyOf = (name: string): string => testUid(`${name} study`);
const sourceOf = (name: string): string => testUid(`${name} series`);

/** The problem in the response for an address. */
async function problemOf(url: string, options: RequestInit = {}): Promise<{ status: number; code: string }> {
  const answer = await fetch(url, options);
  const { code } = (await answer.json()) as { code: string };
  return { status: answer.status, code };
}

/** A slide that was stored and listed: the address of its series, and of its instances. */
async function listed(
  name: string,
  root = service.root(),
): Promise<{ series: string; instances: DicomJson[] }> {
  const [uid] = await seriesIn(root, studyOf(name));
  const series = `${root}/studies/${studyOf(name)}/series/${uid}`;
  return { series, instances: await jsonOf(`${series}/instances`) };
}

async function firstFrame(name: string): Promise<string> {
  const { series, instances } = await listed(name);
  return `${series}/instances/${textOf(instances[0]!, '00080018')}/frames/1`;
}

describe('a search', () => {
  const NAMES = ['search a', 'search b', 'search c'];
  beforeAll(async () => {
    for (const [i, name] of NAMES.entries())
      await put(name, [
        tissueSlide(name, { overrides: { PatientID: `P${i}`, StudyDate: `2026010${i + 1}`, StudyID: name } })
          .bytes,
      ]);
    // A study without slides.
    await put('search ct', makeCtSeries('search ct').files);
  });
  afterAll(async () => {
    for (const name of [...NAMES, 'search ct']) await take(name);
  });

  it('finds the studies that have slides, in the pages of the archive', async () => {
    const root = service.root();
    const all = await jsonOf(`${archive.url}/studies?ModalitiesInStudy=SM`);
    const found = await jsonOf(`${root}/studies`);
    expect(found.map((row) => textOf(row, '0020000D'))).toEqual(all.map((row) => textOf(row, '0020000D')));
    expect(found).toHaveLength(NAMES.length);
    for (let offset = 0; offset < 4; offset += 2) {
      const [ours, theirs] = await Promise.all(
        [root, archive.url].map((from) =>
          jsonOf(`${from}/studies?ModalitiesInStudy=SM&limit=2&offset=${offset}`),
        ),
      );
      expect(ours!.map((row) => textOf(row, '0020000D'))).toEqual(
        theirs!.map((row) => textOf(row, '0020000D')),
      );
    }
    for (const row of found) {
      expect(row['00080061']!.Value).toEqual(['SM']);
      expect(textOf(row, '00081190')).toBe(`${root}/studies/${textOf(row, '0020000D')}`);
      // The number of series in the archive does not apply here.
      expect(Object.keys(row)).not.toContain('00201206');
      expect(Object.keys(row)).not.toContain('00201208');
    }
  });

  it('returns the attributes by which studies are searched', async () => {
    const root = service.root();
    expect(await jsonOf(`${root}/studies?PatientID=P1`)).toHaveLength(1);
    expect(await jsonOf(`${root}/studies?PatientID=P1&ModalitiesInStudy=SM`)).toHaveLength(1);
    expect(await jsonOf(`${root}/studies?PatientID=P*&StudyDate=20260102-`)).toHaveLength(2);
    expect(await jsonOf(`${root}/studies?ModalitiesInStudy=CT`)).toEqual([]);
    expect(await jsonOf(`${root}/studies?StudyInstanceUID=${testUid('search ct study')}`)).toEqual([]);
  });

  it('returns those attributes of a series that do not depend on its pixels', async () => {
    const [row] = await jsonOf(`${service.root()}/studies/${studyOf(NAMES[0]!)}/series`);
    expect(textOf(row!, '0008103E')).toMatch(`Normalized ${TEMPLATE} (fast`);
    expect(textOf(row!, '00080060')).toBe('SM');
    expect(textOf(row!, '00100020')).toBe('P0');
    expect(numberOf(row!, '00200011')).toBeGreaterThan(1);
    expect(numberOf(row!, '00201209')).toBe(1);
  });

  it('matches and pages series and instances', async () => {
    await put('search pages', (await copySample('search pages', [1, 2, 3])).files);
    const { series } = await listed('search pages');
    const instances = `${series}/instances`;
    expect(await jsonOf(`${instances}?limit=2`)).toHaveLength(2);
    expect(await jsonOf(`${instances}?limit=2&offset=2`)).toHaveLength(1);
    const [second] = await jsonOf(`${instances}?InstanceNumber=2`);
    expect(numberOf(second!, '00200013')).toBe(2);
    expect(await jsonOf(`${instances}?SOPClassUID=1.2.840.10008.5.1.4.1.1.77.1.6`)).toHaveLength(3);
    expect(await jsonOf(`${instances}?SOPClassUID=1.2.3`)).toEqual([]);
    const study = `${service.root()}/studies/${studyOf('search pages')}`;
    expect(await jsonOf(`${study}/instances`)).toHaveLength(3);
    expect(await jsonOf(`${study}/series?Modality=SM`)).toHaveLength(1);
    expect(await jsonOf(`${study}/series?Modality=CT`)).toEqual([]);
    await take('search pages');
  });

  it('without a study finds a series that was listed before, by its UID', async () => {
    const root = service.root();
    const [uid] = await seriesIn(root, studyOf(NAMES[0]!));
    expect(await jsonOf(`${root}/series?SeriesInstanceUID=${uid}`)).toHaveLength(1);
    expect(await jsonOf(`${root}/series?0020000D=${studyOf(NAMES[0]!)}`)).toHaveLength(1);
    expect(await jsonOf(`${root}/instances?SeriesInstanceUID=${uid}`)).toHaveLength(1);
    expect(await problemOf(`${root}/series`)).toEqual({ status: 400, code: 'REQUEST_INVALID' });
    expect(await problemOf(`${root}/instances?Rows=128`)).toEqual({ status: 400, code: 'REQUEST_INVALID' });
    expect(await jsonOf(`${root}/series?SeriesInstanceUID=2.25.1`)).toEqual([]);
    const [other] = await seriesIn(root, studyOf(NAMES[1]!));
    const both = await jsonOf(`${root}/series?SeriesInstanceUID=${uid},2.25.1,${other}`);
    expect(both.map((row) => textOf(row, '0020000E'))).toEqual([uid, other]);
  });

  it('returns patient and study attributes, but not those of the source series', async () => {
    for (const fields of ['all', 'SOPInstanceUID,SeriesInstanceUID,SeriesDescription,00480105'])
      for (const row of await jsonOf(`${service.root()}/studies?includefield=${fields}`)) {
        const tags = Object.keys(row);
        for (const tag of ['00080018', '0020000E', '0008103E', '00480105', '00280008', '00181000'])
          expect(tags).not.toContain(tag);
        expect(tags).toContain('00100020');
      }
  });

  it('accepts unusual parameters like the archive, and says which have no effect', async () => {
    const root = service.root();
    expect(await jsonOf(`${root}/studies?limit=1&limit=2`)).toHaveLength(1);
    const study = `${root}/studies/${studyOf(NAMES[0]!)}`;
    expect(await jsonOf(`${study}/series?ModalitiesInStudy=SM`)).toHaveLength(1);
    for (const query of [
      '/series?NumberOfStudyRelatedSeries=1',
      '/instances?ImageType=DERIVED',
      '/series?includefield=all',
    ]) {
      const answer = await fetch(study + query);
      expect(answer.headers.get('warning')).toMatch('were ignored');
      expect(await answer.json()).toHaveLength(1);
    }
    const two = [NAMES[0]!, NAMES[1]!, NAMES[0]!].map(studyOf).join(',');
    expect(await jsonOf(`${root}/series?StudyInstanceUID=${two}`)).toHaveLength(2);
    expect(await problemOf(`${root}/studies?PatientName=${'x'.repeat(300)}`)).toEqual({
      status: 400,
      code: 'REQUEST_INVALID',
    });
    expect(await problemOf(`${service.root('nobody')}/studies`)).toMatchObject({ status: 404 });
  });

  it('returns other UIDs for another template', async () => {
    const other = service.root('he-magenta');
    const name = NAMES[0]!;
    const [one] = await seriesIn(service.root(), studyOf(name));
    const [two] = await seriesIn(other, studyOf(name));
    expect(two).not.toBe(one);
    // A series exists only under its own template.
    expect(await problemOf(`${other}/studies/${studyOf(name)}/series/${one}/metadata`)).toEqual({
      status: 404,
      code: 'SERIES_NOT_FOUND',
    });
  });
});

describe('everything that is not a normalised slide', () => {
  it('does not exist: the source, label and overview, results, other modalities', async () => {
    const name = 'nothing falls through';
    const label = tissueSlide(name, {
      imageType: ['ORIGINAL', 'PRIMARY', 'LABEL', 'NONE'],
      overrides: { SOPInstanceUID: testUid('a label') },
    });
    const slide = tissueSlide(name);
    await put(name, [slide.bytes, label.bytes]);
    const root = service.root();
    const { series, instances } = await listed(name);
    expect(instances).toHaveLength(1);
    const study = `${root}/studies/${studyOf(name)}`;
    for (const path of [
      `/series/${sourceOf(name)}/metadata`,
      `/series/${sourceOf(name)}/instances`,
      `/series/${sourceOf(name)}/rendered`,
      `/series/${sourceOf(name)}/instances/${slide.sopInstanceUid}/frames/1`,
      `/series/${sourceOf(name)}/instances/${slide.sopInstanceUid}/metadata`,
    ])
      expect(await problemOf(study + path), path).toMatchObject({ status: 404 });
    for (const uid of [slide.sopInstanceUid, label.sopInstanceUid])
      expect(await problemOf(`${series}/instances/${uid}/frames/1`)).toMatchObject({ status: 404 });
    await keep(service, {
      studyInstanceUid: studyOf(name),
      seriesInstanceUid: sourceOf(name),
      template: 'he-magenta',
    });
    // A stored result of another template is not a source, and is not listed here.
    expect(await seriesIn(root, studyOf(name))).toHaveLength(1);
    expect(await seriesIn(service.root('he-magenta'), studyOf(name))).toHaveLength(1);
  });

  it('cannot be stored there either, and has no files', async () => {
    const name = 'no files';
    await put(name, [tissueSlide(name).bytes]);
    const { series } = await listed(name);
    expect(await problemOf(series)).toEqual({ status: 409, code: 'NOT_STORED' });
    const headers = { 'Content-Type': 'multipart/related; type="application/dicom"; boundary=x' };
    const options = { method: 'POST', headers, body: '--x--' };
    expect(await problemOf(`${service.root()}/studies`, options)).toEqual({
      status: 400,
      code: 'TARGET_REFUSED',
    });
    expect(await problemOf(`${service.root()}/studies/1.2.3/%2e%2e`)).toEqual({
      status: 400,
      code: 'TARGET_REFUSED',
    });
  });

  it('has no template that does not exist', async () => {
    expect(await problemOf(`${service.root('nobody')}/studies/1.2.3/series`)).toMatchObject({
      status: 404,
    });
    expect(await problemOf(`${service.root('No%20Name')}/studies`)).toEqual({
      status: 400,
      code: 'REQUEST_INVALID',
    });
  });
});

describe('a slide that may not be normalised', () => {
  it('because of its pixels is refused with the reason, and then left out of searches', async () => {
    const name = 'brown pixels';
    await put(name, [tissueSlide(name, {}, brown).bytes]);
    const { series, instances } = await listed(name);
    const [uid] = instances.map((row) => textOf(row, '00080018'));
    for (const path of ['/metadata', `/instances/${uid}/frames/1`, '/rendered', '/thumbnail', '/metadata'])
      expect(await problemOf(series + path), path).toEqual({ status: 422, code: 'STAIN_NOT_HE' });
    expect(await seriesIn(service.root(), studyOf(name))).toEqual([]);
    // By another process too, without reading the pixels.
    expect(await service.jobs.derivations.givenOut(uuidOf(series))).toMatchObject({
      refusal: { code: 'STAIN_NOT_HE' },
    });
  });

  it('because its levels show different things is refused', async () => {
    const name = 'disagreeing levels';
    const black = tissueSlide(name, {
      totalRows: 256,
      totalColumns: 256,
      frames: Array.from({ length: 4 }, () => new Uint8Array(128 * 128 * 3)),
      pixelSpacing: 0.001,
      imageType: ['DERIVED', 'PRIMARY', 'VOLUME', 'RESAMPLED'],
      overrides: { SOPInstanceUID: testUid('a black level') },
    });
    await put(name, [tissueSlide(name).bytes, black.bytes]);
    const { series } = await listed(name);
    expect(await problemOf(`${series}/metadata`)).toEqual({ status: 422, code: 'LEVELS_DISAGREE' });
    expect(await seriesIn(service.root(), studyOf(name))).toEqual([]);
  });

  it('that cannot be read hides no other of its study', async () => {
    const name = 'beside a damaged one';
    const cut = (of: string, part: string): Uint8Array => {
      const overrides = { SeriesInstanceUID: testUid(part), SOPInstanceUID: testUid(`${part} image`) };
      const { bytes } = tissueSlide(of, { overrides });
      // Within the functional groups.
      return bytes.subarray(0, Buffer.from(bytes).indexOf(Buffer.from([0x00, 0x52, 0x29, 0x92])) + 40);
    };
    await put(name, [tissueSlide(name).bytes, cut(name, `${name} damaged`)]);
    expect(await seriesIn(service.root(), studyOf(name))).toHaveLength(1);
    const alone = 'a damaged one';
    await put(alone, [cut(alone, `${alone} damaged`)]);
    expect(await problemOf(`${service.root()}/studies/${studyOf(alone)}/series`)).toMatchObject({
      status: 422,
    });
  });

  it('because of its header is not listed', async () => {
    const name = 'fluorescence';
    await put(name, [
      tissueSlide(name, { overrides: { SamplesPerPixel: 1, PhotometricInterpretation: 'MONOCHROME2' } })
        .bytes,
    ]);
    expect(await seriesIn(service.root(), studyOf(name))).toEqual([]);
  });
});

function uuidOf(series: string): string {
  const hex = BigInt(/2\.25\.(\d+)$/.exec(series)![1]!)
    .toString(16)
    .padStart(32, '0');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

describe('two slides in one series', () => {
  it('are two series', async () => {
    const name = 'two slides';
    const slides = ['A', 'B'].map(
      (container) =>
        tissueSlide(name, {
          overrides: {
            ContainerIdentifier: container,
            SOPInstanceUID: testUid(`${name} ${container}`),
            FrameOfReferenceUID: testUid(`${name} frame ${container}`),
          },
        }).bytes,
    );
    await put(name, slides);
    const rows = await jsonOf(`${service.root()}/studies/${studyOf(name)}/series`);
    expect(rows).toHaveLength(2);
    expect(new Set(rows.map((row) => textOf(row, '0020000E'))).size).toBe(2);
    expect(new Set(rows.map((row) => numberOf(row, '00200011'))).size).toBe(2);
    for (const row of rows) expect(await jsonOf(`${textOf(row, '00081190')}/metadata`)).toHaveLength(1);
  });
});

describe('pictures', () => {
  it.each(['/rendered', '/thumbnail'])('%s show the whole of the smallest image', async (path) => {
    const name = `pictures ${path.slice(1)}`;
    await put(name, (await copySample(name, [0, 2, 3])).files);
    const { series } = await listed(name);
    const answer = await fetch(series + path, { headers: { Accept: 'image/jpeg' } });
    expect(answer.headers.get('content-type')).toBe('image/jpeg');
    const { default: sharp } = await import('sharp');
    const picture = sharp(Buffer.from(await answer.arrayBuffer()));
    const { width, height } = await picture.metadata();
    expect([width, height]).toEqual([277, 370].map((side) => expect.closeTo(side, -2)));
    // It shows tissue, not a corner of glass.
    const { channels } = await picture.stats();
    expect(channels[1]!.stdev).toBeGreaterThan(15);
    const small = await fetch(`${series}${path}?viewport=64,64`, { headers: { Accept: 'image/png' } });
    const shown = await sharp(Buffer.from(await small.arrayBuffer())).metadata();
    expect([shown.format, Math.max(shown.width, shown.height)]).toEqual(['png', 64]);
  });

  it('are refused by the size of their matrix too', async () => {
    const name = 'wide and empty';
    await put(name, [
      tissueSlide(name, {
        tiling: 'TILED_SPARSE',
        totalRows: 4224,
        totalColumns: 4224,
        positions: Array.from({ length: 16 }, (_, i) => ({ x: (i % 4) * 128, y: Math.floor(i / 4) * 128 })),
      }).bytes,
    ]);
    const { series } = await listed(name);
    expect(await problemOf(`${series}/rendered`)).toEqual({ status: 413, code: 'FRAME_TOO_LARGE' });
  });

  it('frames are available rendered, and as uncompressed pixels', async () => {
    const name = 'plain pixels';
    await put(name, [tissueSlide(name).bytes]);
    const frame = await firstFrame(name);
    const rendered = await fetch(`${frame}/rendered`, { headers: { Accept: 'image/png' } });
    expect(rendered.headers.get('content-type')).toBe('image/png');
    const plain = await fetch(frame, { headers: { Accept: 'application/octet-stream' } });
    expect(plain.headers.get('content-type')).toBe(
      'application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1',
    );
    const { default: sharp } = await import('sharp');
    const png = await sharp(Buffer.from(await rendered.arrayBuffer()))
      .raw()
      .toBuffer();
    expect(png.equals(Buffer.from(await plain.arrayBuffer()))).toBe(true);
  });

  it('several frames are returned in the requested order', async () => {
    const name = 'several frames';
    await put(name, [tissueSlide(name).bytes]);
    const one = await firstFrame(name);
    const all = await fetch(one.replace(/1$/, '3,1,2'), {
      headers: { Accept: 'multipart/related; type="image/jpeg"; transfer-syntax=*' },
    });
    const body = Buffer.from(await all.arrayBuffer());
    const places = await Promise.all(
      [3, 1, 2].map(async (number) => body.indexOf(await frameOf(one.replace(/1$/, String(number))))),
    );
    expect(places[0]).toBeGreaterThan(0);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(await problemOf(one.replace(/1$/, '17'))).toMatchObject({ status: 404, code: 'NOT_FOUND' });
    expect(await problemOf(one, { headers: { Accept: 'image/jp2' } })).toMatchObject({ status: 406 });
  });

  it('that a client already has are not sent again', async () => {
    const name = 'not again';
    await put(name, [tissueSlide(name).bytes]);
    const frame = await firstFrame(name);
    const headers = { Accept: 'image/jpeg' };
    const first = await fetch(frame, { headers });
    await first.arrayBuffer();
    const before = { ...service.frames };
    // fetch would say no-cache.
    const conditional = { ...headers, 'If-None-Match': first.headers.get('etag')! };
    const again = await undici.request(frame, { headers: conditional });
    await again.body.dump();
    expect(again.statusCode).toBe(304);
    expect(service.frames).toEqual(before);
    expect(first.headers.get('cache-control')).toBe('private, no-cache');
  });
});

describe('frames', () => {
  it('that were decoded for one client are intact for the next, large ones too', async () => {
    const name = 'decoded and whole';
    // Above 32 kB, where a buffer has memory of its own.
    await put(name, (await copySample(name, [0, 3])).files);
    const { series, instances } = await listed(name);
    for (const row of instances)
      for (let number = 1; number <= Math.min(16, numberOf(row, '00280008')!); number++) {
        const frame = `${series}/instances/${textOf(row, '00080018')}/frames/${number}`;
        const first = await frameOf(frame);
        await (await fetch(`${frame}/rendered`, { headers: { Accept: 'image/png' } })).arrayBuffer();
        await (await fetch(frame, { headers: { Accept: 'application/octet-stream' } })).arrayBuffer();
        expect((await frameOf(frame)).equals(first)).toBe(true);
      }
  });

  it('decoded for clients that leave half-way release their memory', { timeout: 60_000 }, async () => {
    const name = 'left half-way';
    const side = 2048;
    const frames = [tissue(side, side, { part: 0.7 }).rgb];
    await put(name, [
      tissueSlide(name, { rows: side, columns: side, totalRows: side, totalColumns: side, frames }).bytes,
    ]);
    const frame = await firstFrame(name);
    await frameOf(frame);
    const headers = { Accept: 'application/octet-stream' };
    // 200 megapixels fit.
    for (let times = 0; times < 60; times++) {
      const { body } = await undici.request(frame, { headers });
      await body[Symbol.asyncIterator]().next();
      body.on('error', () => {}).destroy();
    }
    const plain = await undici.request(frame, { headers });
    expect((await plain.body.arrayBuffer()).byteLength).toBe(side * side * 3);
  });

  it('of a list are released as they are sent', async () => {
    const name = 'a long list';
    await put(name, [tissueSlide(name).bytes]);
    const frame = await firstFrame(name);
    const numbers = Array.from({ length: 1000 }, (_, i) => (i % 16) + 1).join(',');
    const all = await fetch(frame.replace(/1$/, numbers), {
      headers: { Accept: 'multipart/related; type="image/jpeg"; transfer-syntax=*' },
    });
    expect((await all.arrayBuffer()).byteLength).toBeGreaterThan(1000 * 1000);
  });

  it('of a slide that is being opened are all returned, however many are requested at once', async () => {
    const name = 'forty at once';
    await put(name, (await copySample(name, [1, 2, 3])).files);
    const frame = await firstFrame(name);
    const all = await Promise.all(
      Array.from({ length: 40 }, (_, i) => frameOf(frame.replace(/1$/, String((i % 30) + 1)))),
    );
    expect(all.every(({ length }) => length > 100)).toBe(true);
  });
});

describe('a thumbnail that is damaged', () => {
  it('is left out, as a job leaves it out', async () => {
    const name = 'damaged thumbnail';
    const thumbnail = tissueSlide(name, {
      totalRows: 128,
      totalColumns: 128,
      frames: [Uint8Array.of(0xff, 0xd8, 0xff, 0xd9)],
      transferSyntaxUid: JPEG_BASELINE,
      photometricInterpretation: 'YBR_FULL_422',
      pixelSpacing: 0.002,
      imageType: ['ORIGINAL', 'PRIMARY', 'THUMBNAIL', 'RESAMPLED'],
      overrides: { SOPInstanceUID: testUid(`${name} thumbnail`) },
    });
    await put(name, [tissueSlide(name).bytes, thumbnail.bytes]);
    const { series, instances } = await listed(name);
    expect(instances).toHaveLength(2);
    const headers = await jsonOf(`${series}/metadata`);
    expect(headers).toHaveLength(1);
    const missing = instances
      .map((row) => textOf(row, '00080018'))
      .find((uid) => uid !== textOf(headers[0]!, '00080018'));
    for (const path of ['/metadata', '/frames/1', '/rendered', '/bulkdata/00480105/0/00282000'])
      expect(await problemOf(`${series}/instances/${missing}${path}`), path).toEqual({
        status: 404,
        code: 'NOT_FOUND',
      });
    expect((await fetch(`${series}/rendered`)).status).toBe(200);
    expect((await listed(name)).instances).toHaveLength(1);
    const { result } = await keep(service, {
      studyInstanceUid: studyOf(name),
      seriesInstanceUid: sourceOf(name),
    });
    expect(result!.instances.map(({ sopInstanceUid }) => sopInstanceUid)).toEqual([
      textOf(headers[0]!, '00080018'),
    ]);
  });
});

describe('work', () => {
  it('that several clients request is done once', async () => {
    const name = 'asked at once';
    await put(name, [tissueSlide(name).bytes]);
    const frame = await firstFrame(name);
    const looks = proxy.inject(({ url }) => /\/instances\/[\d.]+$/.test(url ?? ''), delay(200));
    const fetched = proxy.inject(({ url }) => /\/frames\//.test(url ?? ''), delay(20));
    const before = service.frames.kept;
    const all = await Promise.all(Array.from({ length: 8 }, () => frameOf(frame)));
    expect(new Set(all.map((bytes) => bytes.toString('base64'))).size).toBe(1);
    // The header of its only image, once.
    expect(looks.met).toBe(1);
    const met = fetched.met;
    await frameOf(frame);
    expect(fetched.met).toBe(met);
    expect(service.frames.kept).toBe(before + 1);
  });

  it('ends when nobody waits for it any more, and starts again for the next request', async () => {
    const name = 'nobody waits';
    await put(name, [tissueSlide(name).bytes]);
    const frame = await firstFrame(name);
    await frameOf(frame);
    const closed: string[] = [];
    const hanging = proxy.inject(
      ({ url }) => /\/frames\/2$/.test(url ?? ''),
      (exchange) => {
        exchange.response.once('close', () => closed.push('closed'));
        return hang(exchange);
      },
    );
    const leaving = new AbortController();
    const asked = Array.from({ length: 3 }, () =>
      fetch(frame.replace(/1$/, '2'), { signal: leaving.signal, headers: { Accept: 'image/jpeg' } }).catch(
        () => 'left',
      ),
    );
    await expect.poll(() => hanging.met).toBe(1);
    leaving.abort();
    expect(await Promise.all(asked)).toEqual(['left', 'left', 'left']);
    // The archive receives no more requests.
    await expect.poll(() => closed.length).toBe(1);
    proxy.heal();
    expect((await frameOf(frame.replace(/1$/, '2'))).length).toBeGreaterThan(100);
  });

  it('that waits in the queue of one user does not delay another user of the slide', {
    timeout: 60_000,
  }, async () => {
    const hanging = ['hangs 1', 'hangs 2'];
    const names = [...hanging, 'wanted by both'];
    for (const name of names) await put(name, [tissueSlide(name).bytes]);
    const series = [];
    for (const name of names) {
      const [uid] = await seriesIn(service.root(), studyOf(name));
      const given = (await service.normalized.catalogue.find(TEMPLATE, uid!))!;
      series.push(await service.normalized.catalogue.listed(given, AbortSignal.timeout(60_000)));
    }
    const isOfHanging = (url: string): boolean => hanging.some((name) => url.includes(sourceOf(name)));
    const held = proxy.inject(({ url }) => /\/instances\/[\d.]+$/.test(url ?? '') && isOfHanging(url!), hang);
    const leaving = new AbortController();
    const { normalized } = service;
    const mine = series.map((one) => normalized.open(one, 'mallory', leaving.signal).catch(() => 'left'));
    // Two slides of one user are opened at a time; the third waits.
    await expect.poll(() => held.met).toBe(2);
    expect((await normalized.open(series[2]!, 'bob', AbortSignal.timeout(20_000))).images).toHaveLength(1);
    leaving.abort();
    expect(await Promise.all(mine)).toContain('left');
  });

  it('of new slides is bounded per user', async () => {
    const { fitsPerUser } = service.place.composition.config.limits;
    const names = Array.from({ length: fitsPerUser + 1 }, (_, i) => `too many ${i}`);
    for (const name of names) await put(name, [tissueSlide(name).bytes]);
    const series = await Promise.all(names.map(async (name) => (await listed(name)).series));
    proxy.inject(({ url }) => /\/instances\/[\d.]+$/.test(url ?? ''), hang);
    const asked = series.map((one) => request(`${one}/metadata`));
    const answers: (number | undefined)[] = [];
    for (const one of asked) {
      one.on('response', ({ statusCode }) => answers.push(statusCode)).on('error', () => {});
      one.end();
    }
    await expect.poll(() => answers).toEqual([429]);
    for (const one of asked) one.destroy();
  });
});

describe('the current state of the archive', () => {
  it('a correction of the patient is in the next response', async () => {
    const name = 'corrected';
    const slide = (PatientName: string) => tissueSlide(name, { overrides: { PatientName } }).bytes;
    await put(name, [slide('Wrong^Name')]);
    const { series, instances } = await listed(name);
    const nameIn = async (): Promise<string | undefined> => {
      const [header] = await jsonOf(`${series}/metadata`);
      return (valuesOf(header!['00100010'])[0] as { Alphabetic?: string }).Alphabetic;
    };
    expect(await nameIn()).toBe('Wrong^Name');
    const frame = `${series}/instances/${textOf(instances[0]!, '00080018')}/frames/1`;
    const before = await frameOf(frame);
    await put(name, [slide('Right^Name')]);
    expect(await nameIn()).toBe('Right^Name');
    const [row] = await jsonOf(`${service.root()}/studies/${studyOf(name)}/series`);
    expect(row!['00100010']!.Value).toEqual([{ Alphabetic: 'Right^Name' }]);
    // The pixels are the same, and so is their ETag.
    expect((await frameOf(frame)).equals(before)).toBe(true);
  });

  it('a slide that was deleted is gone', async () => {
    const name = 'deleted';
    await put(name, [tissueSlide(name).bytes]);
    const { series, instances } = await listed(name);
    const frame = `${series}/instances/${textOf(instances[0]!, '00080018')}/frames/1`;
    await frameOf(frame);
    await take(name);
    for (const address of [frame, `${series}/metadata`, `${series}/rendered`])
      expect(await problemOf(address), address).toEqual({ status: 404, code: 'SERIES_NOT_FOUND' });
    expect(await jsonOf(`${service.root()}/studies/${studyOf(name)}/series`)).toEqual([]);
  });

  it('a slide with more instances is another series', async () => {
    const name = 'growing';
    const { files } = await copySample(name, [1, 2, 3]);
    await put(name, files.slice(0, 2));
    const before = await listed(name);
    await jsonOf(`${before.series}/metadata`);
    await put(name, files);
    expect(await problemOf(`${before.series}/metadata`)).toEqual({ status: 409, code: 'SOURCE_CHANGED' });
    const after = await listed(name);
    expect(after.series).not.toBe(before.series);
    expect(await jsonOf(`${after.series}/metadata`)).toHaveLength(3);
  });

  it('a stored twin that was deleted is followed by the next revision', async () => {
    const name = 'twin deleted';
    await put(name, [tissueSlide(name).bytes]);
    const before = await listed(name);
    await keep(service, { studyInstanceUid: studyOf(name), seriesInstanceUid: sourceOf(name) });
    expect((await listed(name)).series).toBe(before.series);
    await take(join(studyOf(name), before.series.split('/').at(-1)!));
    await expect.poll(async () => (await listed(name)).series).not.toBe(before.series);
  });
});

describe('access', () => {
  it('determines access: what the archive does not show a user does not exist', async () => {
    const name = 'revoked';
    await put(name, [tissueSlide(name).bytes]);
    const seen = new Set([sourceOf(name)]);
    await using other = await serveNormalized(proxy.url, {
      app: { access: { canRead: async (_, { seriesInstanceUid }) => seen.has(seriesInstanceUid) } },
    });
    const { series, instances } = await listed(name, other.root());
    const frame = `${series}/instances/${textOf(instances[0]!, '00080018')}/frames/1`;
    await frameOf(frame);
    seen.clear();
    const { frames } = other;
    const before = { ...frames };
    for (const path of [
      frame,
      `${series}/metadata`,
      `${series}/rendered`,
      `${series}/instances/1.2.3/frames/1`,
    ])
      expect(await problemOf(path), path).toEqual({ status: 404, code: 'SERIES_NOT_FOUND' });
    expect(frames).toEqual(before);
    // The response is the same as for a slide that never existed, or one of another study.
    const told = async (url: string): Promise<string> =>
      ((await (await fetch(url)).json()) as { detail: string }).detail.replace(/\d+(\.\d+)+/g, 'UID');
    const never = series.replace(/2\.25\.\d+$/, '2.25.1');
    const elsewhere = series.replace(studyOf(name), '2.25.2');
    const [hidden, ...others] = await Promise.all(
      [series, never, elsewhere].map((one) => told(`${one}/metadata`)),
    );
    expect(others).toEqual([hidden, hidden]);
    expect(await (await fetch(`${series}/metadata`)).text()).not.toContain(sourceOf(name));
  });
});

describe('another process', () => {
  it('that stores the series from the command line determines its header', {
    timeout: 60_000,
  }, async () => {
    const name = 'by the command line';
    await put(name, [tissueSlide(name).bytes]);
    const { series } = await listed(name);
    const before = await jsonOf(`${series}/metadata`);
    const { place } = service;
    // It has its own Series Number and dates.
    await put('by the command line, another series', [
      tissueSlide('another series', { overrides: { StudyInstanceUID: studyOf(name), SeriesNumber: 40 } })
        .bytes,
    ]);
    await using client = await place.open(archive.url);
    const environment = place.composition.environment({ source: client.client, destination: client.client });
    const { studyInstanceUid, seriesInstanceUid } = await normalizeOnce(
      {
        studyInstanceUid: studyOf(name),
        seriesInstanceUid: sourceOf(name),
        template: TEMPLATE,
        model: 'fast',
        transfer: 'linear',
        ...place.composition.config.output,
      },
      environment,
      { signal: new AbortController().signal, onProgress() {} },
    );
    expect(series.endsWith(seriesInstanceUid)).toBe(true);
    const [stored] = await jsonOf(
      `${archive.url}/studies/${studyInstanceUid}/series/${seriesInstanceUid}/metadata`,
    );
    // The series is listed with its attributes from then on.
    const rows = await expect.poll(async () => {
      const found = await jsonOf(`${service.root()}/studies/${studyInstanceUid}/series`);
      return numberOf(found.find((row) => textOf(row, '0020000E') === seriesInstanceUid)!, '00200011');
    });
    await rows.toBe(41);
    const [now] = await jsonOf(`${series}/metadata`);
    expect(JSON.stringify(now)).not.toBe(JSON.stringify(before[0]));
    expect(JSON.stringify(now).replaceAll(service.root(), '')).toBe(
      JSON.stringify(stored).replaceAll(archive.url, ''),
    );
  });

  it('without the record of the first shows a stored twin under its UIDs, byte for byte', async () => {
    const name = 'other database';
    await put(name, [tissueSlide(name).bytes]);
    const { series, instances } = await listed(name);
    const frame = `${series}/instances/${textOf(instances[0]!, '00080018')}/frames/3`;
    const first = await frameOf(frame);
    const header = await jsonOf(`${series}/metadata`);
    await keep(service, { studyInstanceUid: studyOf(name), seriesInstanceUid: sourceOf(name) });
    await using other = await serveNormalized(proxy.url);
    const elsewhere = await listed(name, other.root());
    expect(elsewhere.series).toBe(series.replace(service.url, other.url));
    expect((await frameOf(frame.replace(service.url, other.url))).equals(first)).toBe(true);
    const again = JSON.stringify(await jsonOf(`${elsewhere.series}/metadata`));
    expect(again.replaceAll(other.url, service.url)).toBe(JSON.stringify(header));
  });
});
