import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Pictures } from '../../server/src/archive/pictures.ts';
import { type DicomJson, textOf } from '../../server/src/dicom/json-model.ts';
import { deflateFile } from '../support/deflate-file.ts';
import { makeKeyObject } from '../support/make-key-object.ts';
import { EXPLICIT_LITTLE_ENDIAN, JPEG_BASELINE } from '../support/make-slide.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';
import { noise, type StorableSlide, storableSlide } from '../support/storable.ts';

const execute = promisify(execFile);
const BIG_ENDIAN = '1.2.840.10008.1.2.2';
const JSON_TYPE = 'application/dicom+json';
const profile = noise(500, 5);
const slide = storableSlide('a', {
  iccProfile: profile,
  overrides: {
    SeriesDescription: Buffer.from('Übersicht'),
    SpecificCharacterSet: 'ISO_IR 192',
    PatientName: Buffer.from('Müller^Änne '),
  },
});
const native = storableSlide('n', {
  frames: [new Uint8Array(16 * 16 * 3).fill(200), new Uint8Array(16 * 16 * 3).fill(10)],
  transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN,
  photometricInterpretation: 'RGB',
  overrides: { StudyDate: '20230102' },
});

let served: ServedArchive;
beforeAll(async () => {
  served = await serveArchive();
  await mkdir(join(served.folder, 'deep', 'er'), { recursive: true });
  await writeFile(join(served.folder, 'deep', 'er', 'no-extension'), slide.bytes);
  await writeFile(join(served.folder, 'native.dcm'), native.bytes);
  await writeFile(join(served.folder, 'notes.txt'), 'not DICOM');
  await writeFile(join(served.folder, 'scan.SVS'), 'II*');
  await writeFile(join(served.folder, 'damaged.dcm'), slide.bytes.subarray(0, 300));
  await writeFile(join(served.folder, '.hidden.dcm'), native.bytes);
  await served.archive.rescan();
});
afterAll(() => served[Symbol.asyncDispose]());

const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${served.url}${path}`, { headers });
const json = async (path: string): Promise<DicomJson[]> => (await get(path)).json() as Promise<DicomJson[]>;
const pathOf = ({ studyUid, seriesUid, sopInstanceUid }: StorableSlide): string =>
  `/studies/${studyUid}/series/${seriesUid}/instances/${sopInstanceUid}`;

describe('the index', () => {
  it('accepts DICOM files of any name and says what it leaves out, and why', () => {
    const { instances, leftOut } = served.archive.statistics;
    expect(instances).toBe(2);
    const told = leftOut.map(({ reason, paths }) => [reason, ...paths.map((path) => basename(path))]);
    expect(told).toHaveLength(4);
    expect(told).toContainEqual(['They are not DICOM files.', 'notes.txt']);
    expect(told).toContainEqual(['They are hidden: their names begin with a dot.', '.hidden.dcm']);
    expect(told).toContainEqual([
      "They are slides in a scanner's own format; convert them to DICOM first.",
      'scan.SVS',
    ]);
    expect(told).toContainEqual([expect.stringMatching(/damaged|ends|short/), 'damaged.dcm']);
  });

  it('names unreadable transfer syntaxes, and counts their files', async () => {
    await using own = await serveArchive();
    for (const name of ['a', 'b'])
      await writeFile(
        join(own.folder, `${name}.dcm`),
        storableSlide(name, { transferSyntaxUid: BIG_ENDIAN }).bytes,
      );
    await own.archive.rescan();
    const { instances, leftOut } = own.archive.statistics;
    expect([instances, leftOut.map(({ paths }) => paths.length)]).toEqual([0, [2]]);
    expect(leftOut[0]!.reason).toBe('The instance is stored as explicit VR big endian.');
  });

  it('says that it cannot open names that are not UTF-8', async () => {
    await using own = await serveArchive();
    const latin1 = (name: string): Buffer =>
      Buffer.concat([Buffer.from(`${own.folder}/`), Buffer.from(name, 'latin1')]);
    await writeFile(latin1('H\xe4matoxylin.dcm'), slide.bytes);
    await mkdir(latin1('Sch\xe4del'));
    await writeFile(join(own.folder, 'Sch\u00e4del.dcm'), native.bytes);
    await own.archive.rescan();
    const { instances, leftOut } = own.archive.statistics;
    expect(instances).toBe(1);
    expect(leftOut).toMatchObject([{ reason: expect.stringContaining('not UTF-8'), paths: { length: 2 } }]);
  });

  it('shows the larger of two copies, because the other may be cut off', async () => {
    await using own = await serveArchive();
    await writeFile(join(own.folder, 'a.dcm'), slide.bytes.subarray(0, -1000));
    await writeFile(join(own.folder, 'b.dcm'), slide.bytes);
    await writeFile(join(own.folder, 'c.dcm'), slide.bytes);
    await own.archive.rescan();
    const { leftOut } = own.archive.statistics;
    expect(leftOut).toMatchObject([
      {
        reason: 'Another file has the same SOP Instance UID.',
        paths: [join(own.folder, 'a.dcm'), join(own.folder, 'c.dcm')],
      },
    ]);
  });

  it('says what it cannot read: broken links, special files, folders', async () => {
    await using own = await serveArchive();
    const at = (name: string): string => join(own.folder, name);
    await writeFile(at('one.dcm'), slide.bytes);
    await symlink(at('absent.dcm'), at('dangling'));
    await symlink(at('circle'), at('circle'));
    // A folder in itself is read once.
    await symlink(own.folder, at('itself'));
    const socket = createServer().listen(at('socket'));
    await once(socket, 'listening');
    // Root may open any folder but one whose path is too long; it cannot be made by that path either.
    const name = 'n'.repeat(200);
    await execute('sh', ['-c', `for i in $(seq 25); do mkdir ${name} && cd -P ${name} || exit 1; done`], {
      cwd: own.folder,
    });
    try {
      await own.archive.rescan();
      const { instances, leftOut } = own.archive.statistics;
      expect(instances).toBe(1);
      const told = leftOut.map(({ reason, paths }) => [reason, ...paths.map((path) => basename(path))]);
      expect(told.sort()).toEqual([
        ['They are broken links (ELOOP).', 'circle'],
        ['They are broken links (ENOENT).', 'dangling'],
        ['They are folders that cannot be read, with everything in them (ENAMETOOLONG).', name],
        ['They are not regular files.', 'socket'],
      ]);
      socket.close();
      await once(socket, 'close');
      await rm(at('circle'));
      await writeFile(at('absent.dcm'), native.bytes);
      await own.archive.rescan();
      expect(own.archive.statistics.instances).toBe(2);
      expect(own.archive.statistics.leftOut.map(({ reason }) => reason).sort()).toEqual([
        'Another file has the same SOP Instance UID.',
        expect.stringMatching(/ENAMETOOLONG/),
      ]);
    } finally {
      socket.close();
      await execute('rm', ['-rf', name], { cwd: own.folder });
    }
  });

  it('sees new, changed and removed files', async () => {
    await using own = await serveArchive();
    const path = join(own.folder, 'one.dcm');
    await writeFile(path, slide.bytes);
    await own.archive.rescan();
    expect(own.archive.statistics.instances).toBe(1);
    await writeFile(join(own.folder, 'two.dcm'), slide.bytes);
    await own.archive.rescan();
    expect(own.archive.statistics).toMatchObject({
      instances: 1,
      leftOut: [
        { reason: 'Another file has the same SOP Instance UID.', paths: [join(own.folder, 'two.dcm')] },
      ],
    });
    await writeFile(path, native.bytes);
    await utimes(path, new Date(), new Date(Date.now() + 5000));
    await own.archive.rescan();
    expect(own.archive.statistics).toMatchObject({ instances: 2, leftOut: [] });
    await rm(path);
    await own.archive.rescan();
    expect(own.archive.statistics.instances).toBe(1);
  });
});

describe('searches', () => {
  it('return studies with their counts, newest first', async () => {
    const studies = await json('/studies');
    expect(studies.map((study) => textOf(study, '0020000D'))).toEqual([native.studyUid, slide.studyUid]);
    expect(studies[0]).toMatchObject({
      '00080061': { vr: 'CS', Value: ['SM'] },
      '00201206': { vr: 'IS', Value: [1] },
      '00201208': { vr: 'IS', Value: [1] },
    });
  });

  it('tell of what nobody knows no empty list', async () => {
    await using own = await serveArchive();
    const unnamed = storableSlide('m', { overrides: { Modality: '' } });
    await writeFile(join(own.folder, 'unnamed.dcm'), unnamed.bytes);
    await own.archive.rescan();
    const [study] = (await (await fetch(`${own.url}/studies`)).json()) as DicomJson[];
    expect(study!['00080061']).toEqual({ vr: 'CS' });
  });

  it('and metadata are JSON, and nothing else', async () => {
    const { studyUid, seriesUid } = slide;
    for (const path of ['/studies', `/studies/${studyUid}/series/${seriesUid}/metadata`]) {
      const statusOf = async (accept: string): Promise<number> => (await get(path, { accept })).status;
      for (const accept of [
        'application/dicom+xml',
        'text/html',
        'multipart/related; type="application/dicom+xml"',
      ])
        expect(await statusOf(accept), accept).toBe(406);
      for (const accept of [
        'application/json',
        'application/dicom+json; charset=utf-8',
        'text/html, */*;q=0.1',
      ])
        expect(await statusOf(accept), accept).toBe(200);
    }
  });

  it('find studies and series by what is in them', async () => {
    const found = async (path: string): Promise<(string | undefined)[]> =>
      (await json(path)).map((row) => textOf(row, '0020000E') ?? textOf(row, '0020000D'));
    expect(await found('/studies?Modality=SM')).toEqual([native.studyUid, slide.studyUid]);
    expect(await found('/studies?Modality=CT')).toEqual([]);
    expect(await found(`/studies?SeriesInstanceUID=${slide.seriesUid}`)).toEqual([slide.studyUid]);
    expect(await found(`/series?SOPInstanceUID=${slide.sopInstanceUid}`)).toEqual([slide.seriesUid]);
    expect(
      await found(`/studies?SOPInstanceUID=${slide.sopInstanceUid}&SeriesInstanceUID=${native.seriesUid}`),
    ).toEqual([]);
  });

  it('decode text by its character set', async () => {
    const [series] = await json(
      `/studies/${slide.studyUid}/series?SeriesDescription=${encodeURIComponent('Über*')}&00080060=SM`,
    );
    expect(series).toMatchObject({
      '0008103E': { Value: ['Übersicht'] },
      '00100010': { Value: [{ Alphabetic: 'Müller^Änne' }] },
      '00201209': { Value: [1] },
    });
  });

  it('page', async () => {
    const first = await get('/instances?limit=1');
    expect(first.headers.get('warning')).toMatch(/^299 .*1 additional results/);
    expect(first.headers.get('x-total-count')).toBe('2');
    const second = await json('/instances?limit=1&offset=1');
    expect(
      [...((await first.json()) as DicomJson[]), ...second].map((one) => textOf(one, '00080018')).sort(),
    ).toEqual([slide.sopInstanceUid, native.sopInstanceUid].sort());
    expect(await json('/instances?offset=5')).toEqual([]);
  });

  it('include what is requested', async () => {
    const [plain] = await json(`/studies/${slide.studyUid}/instances`);
    expect(plain).not.toHaveProperty('00480105');
    const [named] = await json(
      `/studies/${slide.studyUid}/instances?includefield=OpticalPathSequence,00080070`,
    );
    expect(named).toMatchObject({ '00480105': { vr: 'SQ' }, '00080070': { Value: ['Test Manufacturer'] } });
    const [all] = await json(
      `/studies/${slide.studyUid}/series/${slide.seriesUid}/instances?includefield=all`,
    );
    expect(all).toMatchObject({ '52009229': { vr: 'SQ' } });
  });

  it('are complete even if a file is gone, or damaged behind what is indexed', async () => {
    await using own = await serveArchive();
    // Its Shared Functional Groups Sequence, behind all indexed attributes, is longer than the file.
    const damaged = Buffer.from(native.bytes);
    damaged.writeUInt32LE(0x7fffffff, damaged.indexOf(Buffer.from([0, 0x52, 0x29, 0x92, 0x53, 0x51])) + 8);
    await writeFile(join(own.folder, 'gone.dcm'), slide.bytes);
    await writeFile(join(own.folder, 'damaged.dcm'), damaged);
    const whole = storableSlide('whole');
    await writeFile(join(own.folder, 'whole.dcm'), whole.bytes);
    await own.archive.rescan();
    expect(own.archive.statistics.instances).toBe(3);
    await rm(join(own.folder, 'gone.dcm'));
    for (const level of ['studies', 'series', 'instances'])
      for (const field of ['SharedFunctionalGroupsSequence', 'all']) {
        const answer = await fetch(`${own.url}/${level}?includefield=PatientID,${field}`);
        const found = (await answer.json()) as DicomJson[];
        expect(found.map((one) => textOf(one, '0020000D')).sort()).toEqual(
          [native.studyUid, slide.studyUid, whole.studyUid].sort(),
        );
        for (const one of found)
          expect([textOf(one, '00100020'), one['52009229'] !== undefined]).toEqual([
            'TEST',
            textOf(one, '0020000D') === whole.studyUid,
          ]);
      }
  });

  it('return an empty list if nothing matches', async () => {
    expect(await json('/studies?PatientID=nobody')).toEqual([]);
    expect(await json('/studies/2.25.404/series')).toEqual([]);
  });

  it.each([
    '/studies?limit=-1',
    '/studies?offset=x',
    '/studies/..%2f..%2fetc/series',
    '/studies/1.2.x/metadata',
  ])('refuse %s', async (path) => {
    const answer = await get(path);
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(await answer.json()).toMatchObject({ code: 'REQUEST_INVALID', status: 400 });
  });
});

describe('metadata and bulk data', () => {
  it('announce the ICC profile and send it', async () => {
    const answer = await get(`/studies/${slide.studyUid}/series/${slide.seriesUid}/metadata`);
    expect(answer.headers.get('content-type')).toBe(JSON_TYPE);
    const [metadata] = (await answer.json()) as DicomJson[];
    expect(metadata).not.toHaveProperty('7FE00010');
    const [path] = metadata!['00480105']!.Value as DicomJson[];
    const uri = path!['00282000']!.BulkDataURI!;
    const bulk = await fetch(uri, { headers: { Accept: 'application/octet-stream' } });
    expect(Buffer.from(await bulk.arrayBuffer()).equals(profile)).toBe(true);
    expect((await fetch(`${uri.slice(0, -8)}00100010`)).status).toBe(404);
  });

  it('answer 304 to a client that has them', async () => {
    const path = `/studies/${slide.studyUid}/metadata`;
    const etag = (await get(path)).headers.get('etag')!;
    expect((await get(path, { 'If-None-Match': etag, 'Cache-Control': 'max-age=0' })).status).toBe(304);
  });

  it('say what is missing', async () => {
    expect(await (await get(`/studies/${slide.studyUid}/series/2.25.404/metadata`)).json()).toMatchObject({
      code: 'SERIES_NOT_FOUND',
      status: 404,
    });
    expect((await get('/nothing/here')).status).toBe(404);
  });
});

describe('frames', () => {
  // As dicom-microscopy-viewer asks within OHIF.
  const viewer = [
    'image/jpeg|1.2.840.10008.1.2.4.50',
    'image/jls|1.2.840.10008.1.2.4.80',
    'image/jp2|1.2.840.10008.1.2.4.90',
    'image/jpx|1.2.840.10008.1.2.4.92',
    'application/octet-stream|1.2.840.10008.1.2.1',
  ]
    .map((pair) => pair.split('|'))
    .map(([type, syntax]) => `multipart/related; type="${type}"; transfer-syntax=${syntax}`)
    .join(', ');

  it.each([
    ['a viewer', viewer, 'image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50'],
    ['anybody', '*/*', 'image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50'],
    [
      'octet stream as it is',
      'multipart/related; type="application/octet-stream"; transfer-syntax=*',
      'application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.50',
    ],
    [
      'Orthanc style quotes',
      'multipart/related; type="image/jpeg; transfer-syntax=*"',
      'image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50',
    ],
  ])('go out as stored to %s', async (_, accept, type) => {
    const answer = await get(`${pathOf(slide)}/frames/2`, { Accept: accept });
    expect(answer.status).toBe(200);
    const body = Buffer.from(await answer.arrayBuffer());
    expect(body.toString('latin1')).toContain(`Content-Type: ${type}\r\n\r\n`);
    expect(body.includes(Buffer.from(slide.frames[1]!))).toBe(true);
  });

  it('are sent singly to a client that does not ask for multipart', async () => {
    const answer = await get(`${pathOf(slide)}/frames/1`, { Accept: 'image/jpeg' });
    expect(answer.headers.get('content-type')).toBe('image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50');
    expect(Buffer.from(await answer.arrayBuffer()).equals(slide.frames[0]!)).toBe(true);
    expect((await get(`${pathOf(slide)}/frames/1,2`, { Accept: 'image/jpeg' })).status).toBe(406);
  });

  it('are sent in multipart if there are several, though the client prefers a single one', async () => {
    const accept = 'image/jpeg, multipart/related; type="image/jpeg"';
    const types = ['1', '1,2'].map(async (list) => {
      const answer = await get(`${pathOf(slide)}/frames/${list}`, { Accept: accept });
      return [answer.status, answer.headers.get('content-type')?.split(';')[0]];
    });
    expect(await Promise.all(types)).toEqual([
      [200, 'image/jpeg'],
      [200, 'multipart/related'],
    ]);
  });

  it.each([
    ['0', 400],
    ['1,x', 400],
    ['4', 404],
  ])('refuse %s', async (frames, status) => {
    expect((await get(`${pathOf(slide)}/frames/${frames}`)).status).toBe(status);
  });

  it.each([
    [
      'application/octet-stream;q=0.2, image/jpeg;q=0.8',
      'image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50',
    ],
    [
      'image/jpeg;q=0, application/octet-stream; transfer-syntax=*',
      'application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.50',
    ],
  ])('are sent in the form that the client wants most: %s', async (accept, type) => {
    const answer = await get(`${pathOf(slide)}/frames/1`, { Accept: accept });
    expect(answer.headers.get('content-type')).toBe(type);
  });

  it('are refused if the client wants nothing of what there is', async () => {
    const answer = await get(`${pathOf(slide)}/frames/1`, { Accept: 'image/jpeg;q=0' });
    expect(answer.status).toBe(406);
  });

  it('are refused in a media type other than their own', async () => {
    const answer = await get(`${pathOf(slide)}/frames/1`, { Accept: 'multipart/related; type="image/jls"' });
    expect(answer.status).toBe(406);
    expect(await answer.json()).toMatchObject({ code: 'NOT_ACCEPTABLE' });
  });

  it('are decoded for a client that accepts only uncompressed pixels', async () => {
    await using own = await serveArchive();
    const create = { width: 16, height: 16, channels: 3, background: '#808080' } as const;
    const grey = storableSlide('grey', { frames: [await sharp({ create }).jpeg().toBuffer()] });
    await writeFile(join(own.folder, 'grey.dcm'), grey.bytes);
    await own.archive.rescan();
    const answer = await fetch(`${own.url}${pathOf(grey)}/frames/1`, {
      headers: { Accept: 'application/octet-stream' },
    });
    expect(answer.headers.get('content-type')).toBe(
      'application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1',
    );
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(Buffer.alloc(16 * 16 * 3, 128));
  });

  it.each([
    ['image/*', 'image/jpeg'],
    ['image/jpeg;q=0, image/*', 'image/png'],
    ['*/*, image/jpeg;q=0.0', 'image/png'],
    ['image/*, image/jpeg;q=0.1', 'image/png'],
    ['image/*;q=0.5, image/jpeg', 'image/jpeg'],
    ['image/jpeg, image/*;q=0.5', 'image/jpeg'],
  ])('are rendered as a type that the client accepts: %s', async (accept, type) => {
    const answer = await get(`${pathOf(native)}/frames/2/rendered`, { Accept: accept });
    expect(answer.headers.get('content-type')).toBe(type);
  });

  it('are rendered', async () => {
    const answer = await get(`${pathOf(native)}/frames/2/rendered?viewport=8,8`, { Accept: 'image/png' });
    expect(answer.headers.get('content-type')).toMatch('image/png');
    const { data, info } = await sharp(Buffer.from(await answer.arrayBuffer()))
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect([info.width, info.height, data[0]]).toEqual([8, 8, 10]);
    expect((await get(`${pathOf(native)}/thumbnail`)).headers.get('content-type')).toMatch('image/jpeg');
    expect((await get(`${pathOf(native)}/frames/9/rendered`)).status).toBe(404);
    for (const wrong of [
      'viewport=0,9',
      'viewport=x',
      'viewport=8,8,0,0,0,8',
      'viewport=8,8,0,0,999,8',
      'quality=0',
      'quality=101',
    ])
      expect((await get(`${pathOf(native)}/rendered?${wrong}`)).status, wrong).toBe(400);
  });

  it.each(['rendered', 'thumbnail'])('are %s one by one', async (what) => {
    const answer = await get(`${pathOf(native)}/frames/1,2/${what}`);
    expect(await answer.json()).toMatchObject({
      code: 'NOT_ACCEPTABLE',
      status: 406,
      detail: 'Only one frame can be rendered per request.',
    });
  });

  // PS3.18 8.3.5.1.
  it('are rendered in part, mirrored, and with the quality that is asked for', async () => {
    const colourful = storableSlide('colourful', {
      frames: [noise(16 * 16 * 3, 1)],
      transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN,
      photometricInterpretation: 'RGB',
    });
    await using own = await serveArchive();
    await writeFile(join(own.folder, 'colourful.dcm'), colourful.bytes);
    await own.archive.rescan();
    const frame = `${own.url}${pathOf(colourful)}/frames/1/rendered`;
    const pixels = async (query: string) => {
      const answer = await fetch(`${frame}?${query}`, { headers: { Accept: 'image/png' } });
      return sharp(Buffer.from(await answer.arrayBuffer()))
        .raw()
        .toBuffer({ resolveWithObject: true });
    };
    const whole = await pixels('');
    const at = (x: number, y: number): Buffer => {
      const start = (y * whole.info.width + x) * 3;
      return whole.data.subarray(start, start + 3);
    };
    const { data, info } = await pixels('viewport=100,100,3,5,8,4');
    expect([info.width, info.height]).toEqual([8, 4]);
    expect(data.subarray(0, 3)).toEqual(at(3, 5));
    const mirrored = await pixels('viewport=100,100,3,5,-8,-4');
    expect(mirrored.data.subarray(0, 3)).toEqual(at(10, 8));
    const size = async (quality: number) =>
      (await (await fetch(`${frame}?quality=${quality}`)).arrayBuffer()).byteLength;
    expect(await size(10)).toBeLessThan(await size(95));
  });
});

describe('a picture of a study or series', () => {
  const uncompressed = { transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN, photometricInterpretation: 'RGB' };
  /** Of one grey, by which it is recognised. */
  const image = (kind: string, grey: number, tiles: number): StorableSlide =>
    storableSlide('shown', {
      ...uncompressed,
      imageType: ['ORIGINAL', 'PRIMARY', kind, 'NONE'],
      frames: Array.from({ length: tiles }, () => new Uint8Array(16 * 16 * 3).fill(grey)),
      overrides: { SOPInstanceUID: `2.25.80${grey}` },
    });
  const label = image('LABEL', 10, 1);
  const lowerCase = image('label', 11, 1);
  const overview = image('OVERVIEW', 20, 2);
  const volume = image('VOLUME', 30, 4);
  const base = image('VOLUME', 40, 5);
  const thumbnail = image('THUMBNAIL', 50, 3);
  const { studyUid, seriesUid } = label;
  const note = makeKeyObject({ studyInstanceUid: studyUid, seriesInstanceUid: seriesUid }, '113001');

  it.each([
    ['a thumbnail', [label, overview, volume, base, thumbnail], 50],
    ['else the coarsest level', [label, lowerCase, overview, volume, base], 30],
    ['else the whole glass', [label, overview], 20],
    ['never the label', [label, lowerCase], undefined],
  ])('shows %s', async (_, images, grey) => {
    await using own = await serveArchive();
    await writeFile(join(own.folder, 'note.dcm'), note);
    for (const [i, { bytes }] of images.entries()) await writeFile(join(own.folder, `${i}.dcm`), bytes);
    await own.archive.rescan();
    for (const path of [`/studies/${studyUid}`, `/studies/${studyUid}/series/${seriesUid}`]) {
      const answer = await fetch(`${own.url}${path}/thumbnail`, { headers: { Accept: 'image/png' } });
      expect(answer.status).toBe(grey === undefined ? 404 : 200);
      const body = Buffer.from(await answer.arrayBuffer());
      if (grey !== undefined) expect((await sharp(body).raw().toBuffer())[0]).toBe(grey);
      else expect(JSON.parse(String(body))).toMatchObject({ code: 'NOT_FOUND' });
    }
    // Whoever asks for the label gets it.
    expect((await fetch(`${own.url}${pathOf(label)}/thumbnail`)).status).toBe(200);
  });

  it('is not there for an instance without frames', async () => {
    await using own = await serveArchive();
    await writeFile(join(own.folder, 'note.dcm'), note);
    await own.archive.rescan();
    const instances = await fetch(`${own.url}/studies/${studyUid}/instances`);
    const [found] = (await instances.json()) as DicomJson[];
    const path = new URL(textOf(found!, '00081190')!).pathname.replace('/dicom-web', '');
    for (const what of ['thumbnail', 'rendered', 'frames/1', 'frames/1/rendered']) {
      const answer = await fetch(`${own.url}${path}/${what}`);
      expect(await answer.json(), what).toMatchObject({
        code: 'NOT_FOUND',
        status: 404,
        detail: expect.stringContaining('no frames'),
      });
    }
  });
});

describe('instances', () => {
  it('are sent singly, or all of a series with a Content-Length', async () => {
    const alone = await get(pathOf(slide), { Accept: 'application/dicom' });
    expect(Buffer.from(await alone.arrayBuffer()).equals(slide.bytes)).toBe(true);
    const series = await get(`/studies/${slide.studyUid}/series/${slide.seriesUid}`);
    const body = Buffer.from(await series.arrayBuffer());
    expect(Number(series.headers.get('content-length'))).toBe(body.length);
    expect(body.includes(slide.bytes)).toBe(true);
  });

  it('of several transfer syntaxes are sent if the client lists them all', async () => {
    await using own = await serveArchive();
    const { studyUid, seriesUid } = slide;
    const other = storableSlide('other', {
      transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN,
      overrides: { StudyInstanceUID: studyUid, SeriesInstanceUID: seriesUid },
    });
    for (const { bytes, sopInstanceUid } of [slide, other])
      await writeFile(join(own.folder, `${sopInstanceUid}.dcm`), bytes);
    await own.archive.rescan();
    const statusFor = async (...syntaxes: string[]): Promise<number> => {
      const accept = syntaxes.map(
        (syntax) => `multipart/related; type="application/dicom"; transfer-syntax=${syntax}`,
      );
      const answer = await fetch(`${own.url}/studies/${studyUid}`, {
        headers: { Accept: accept.join(', ') },
      });
      await answer.arrayBuffer();
      return answer.status;
    };
    expect(await statusFor(EXPLICIT_LITTLE_ENDIAN, JPEG_BASELINE)).toBe(200);
    expect(await statusFor(EXPLICIT_LITTLE_ENDIAN)).toBe(406);
    expect(await statusFor(JPEG_BASELINE)).toBe(406);
  });

  it('are not transcoded', async () => {
    expect(
      (
        await get(pathOf(slide), {
          Accept: 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1',
        })
      ).status,
    ).toBe(406);
  });
});

describe('HEAD', () => {
  const paths = [
    `/studies/${slide.studyUid}`,
    `/studies/${slide.studyUid}/metadata`,
    '/instances?includefield=all',
    ...['', '/frames/1', '/frames/1,2', '/frames/1/rendered', '/thumbnail'].map(
      (path) => pathOf(native) + path,
    ),
  ];

  it.each(paths)('of %s has the headers of GET', async (path) => {
    const [head, whole] = await Promise.all(
      ['HEAD', 'GET'].map((method) => fetch(`${served.url}${path}`, { method })),
    );
    expect(head!.status).toBe(200);
    await whole!.arrayBuffer();
    for (const name of ['etag', 'cache-control', 'vary', 'x-total-count'])
      expect(head!.headers.get(name), name).toBe(whole!.headers.get(name));
    const types = [head!, whole!].map(({ headers }) => headers.get('content-type')!.split(';')[0]);
    expect(types[0]).toBe(types[1]);
  });

  it('tells the length of what is sent as it is, and reads nothing of it', async () => {
    await using own = await serveArchive();
    const path = join(own.folder, 'large.dcm');
    await writeFile(path, slide.bytes);
    // A hole, which takes no space: it would take minutes to read.
    await truncate(path, 2e11);
    await own.archive.rescan();
    for (const accept of ['application/dicom', 'multipart/related; type="application/dicom"']) {
      const answer = await fetch(`${own.url}${pathOf(slide)}`, {
        method: 'HEAD',
        headers: { Accept: accept },
      });
      expect(Number(answer.headers.get('content-length'))).toBeGreaterThanOrEqual(2e11);
    }
  });

  it('decodes and reads no frame', async () => {
    const own = vi.spyOn(Pictures.prototype, 'stored');
    const decoded = vi.spyOn(Pictures.prototype, 'decoded');
    for (const path of ['/frames/1', '/frames/1,2', '/frames/1/rendered'])
      expect((await fetch(`${served.url}${pathOf(native)}${path}`, { method: 'HEAD' })).status).toBe(200);
    expect([own.mock.calls, decoded.mock.calls]).toEqual([[], []]);
    vi.restoreAllMocks();
  });
});

describe('a search by date', () => {
  it.each(['20230102', '20230101-', '-20231231', '20230101-20231231', '*'])('takes %s', async (date) => {
    expect(await json(`/studies?StudyDate=${date}`)).toContainEqual(
      expect.objectContaining({ '0020000D': { vr: 'UI', Value: [native.studyUid] } }),
    );
  });

  it.each(['2023-01-02', 'abc', '2023', '20230101-2023', '2023010120230102'])(
    'refuses %s, which would match nothing',
    async (date) => {
      expect((await get(`/studies?StudyDate=${date}`)).status).toBe(400);
    },
  );
});

describe('storing', () => {
  const post = (
    own: ServedArchive,
    parts: readonly Uint8Array[],
    { study = '', type = 'application/dicom', end = '\r\n--b--' } = {},
  ): Promise<Response> => {
    const body = Buffer.concat([
      ...parts.flatMap((part, i): Uint8Array[] => [
        Buffer.from(`${i ? '\r\n' : ''}--b\r\nContent-Type: ${type}\r\n\r\n`),
        part,
      ]),
      Buffer.from(end),
    ]);
    return fetch(`${own.url}/studies${study}`, {
      method: 'POST',
      body,
      headers: { 'Content-Type': 'multipart/related; type="application/dicom"; boundary=b' },
    });
  };
  const files = async (own: ServedArchive): Promise<string[]> =>
    (await readdir(own.folder, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map(({ name }) => name);

  it('files an instance under its UIDs and shows it at once', async () => {
    await using own = await serveArchive();
    const answer = await post(own, [slide.bytes, native.bytes]);
    expect(answer.status).toBe(200);
    expect(((await answer.json()) as DicomJson)['00081199']!.Value).toHaveLength(2);
    expect((await readdir(join(own.folder, slide.studyUid, slide.seriesUid))).sort()).toEqual([
      `${slide.sopInstanceUid}.dcm`,
    ]);
    expect(own.archive.statistics.instances).toBe(2);
  });

  it('accepts the same bytes again and refuses others under the same UID', async () => {
    await using own = await serveArchive();
    const other = storableSlide('a', { frames: [noise(10, 77)] });
    await post(own, [slide.bytes]);
    expect((await post(own, [slide.bytes])).status).toBe(200);
    const answer = await post(own, [other.bytes, native.bytes]);
    expect(answer.status).toBe(202);
    const failed = ((await answer.json()) as DicomJson)['00081198']!.Value as DicomJson[];
    expect(failed).toEqual([
      expect.objectContaining({
        '00081155': { vr: 'UI', Value: [slide.sopInstanceUid] },
        '00081197': { vr: 'US', Value: [0x0111] },
      }),
    ]);
    expect(await files(own)).toHaveLength(2);
  });

  it('shows at once what another process has stored under the same UID', async () => {
    await using own = await serveArchive();
    const place = join(own.folder, slide.studyUid, slide.seriesUid);
    await mkdir(place, { recursive: true });
    await writeFile(join(place, `${slide.sopInstanceUid}.dcm`), slide.bytes);
    expect(own.archive.statistics.instances).toBe(0);
    const other = storableSlide('a', { frames: [noise(10, 77)] });
    expect((await post(own, [other.bytes])).status).toBe(409);
    expect(own.archive.statistics.instances).toBe(1);
  });

  it.each([
    ['another study', slide.bytes, { study: '/2.25.9' }, '00081198', 0xa900],
    ['what is no DICOM', Buffer.from('hello'), {}, '0008119A', 0xc000],
    ['another media type', slide.bytes, { type: 'image/jpeg' }, '0008119A', 0xc000],
    [
      'UIDs that are paths',
      storableSlide('p', { overrides: { SeriesInstanceUID: '../../../evil' } }).bytes,
      {},
      '0008119A',
      0xc000,
    ],
  ])('refuses %s', async (_, bytes, options, tag, reason) => {
    await using own = await serveArchive();
    const answer = await post(own, [bytes], options);
    expect(answer.status).toBe(409);
    const [item] = ((await answer.json()) as DicomJson)[tag]!.Value as DicomJson[];
    expect(item!['00081197']!.Value).toEqual([reason]);
    expect(await files(own)).toEqual([]);
  });

  const deflated = deflateFile(native.bytes);
  const note = makeKeyObject({ studyInstanceUid: '2.25.71', seriesInstanceUid: '2.25.72' }, '113000');
  it.each([
    ['fragments', slide.bytes.subarray(0, -1000)],
    ['fragments, between two of them', slide.bytes.subarray(0, -8 - 28)],
    ['a sequence delimiter', slide.bytes.subarray(0, -3)],
    ['uncompressed pixels', native.bytes.subarray(0, -1)],
    ['a deflate stream', deflated.subarray(0, -10)],
  ])('refuses a file that ends within %s, and then takes the whole one', async (_, bytes) => {
    await using own = await serveArchive();
    const answer = await post(own, [bytes]);
    expect(answer.status).toBe(409);
    const [item] = ((await answer.json()) as DicomJson)['0008119A']!.Value as DicomJson[];
    expect(item!['00081197']!.Value).toEqual([0xc000]);
    expect(await files(own)).toEqual([]);
    expect((await post(own, [slide.bytes, native.bytes])).status).toBe(200);
  });

  it.each([
    ['without a sequence delimiter', slide.bytes.subarray(0, -8)],
    ['without pixels', note],
    ['that is deflated', deflated],
    [
      'of a video, all frames in one fragment',
      storableSlide('v', { overrides: { NumberOfFrames: 500 } }).bytes,
    ],
  ])('takes a file %s', async (_, bytes) => {
    await using own = await serveArchive();
    expect((await post(own, [bytes])).status).toBe(200);
  });

  it.each([
    ['a body that breaks off', [slide.bytes], { end: '' }, 400],
    ['no part', [], { end: '--b--' }, 400],
    ['thousands of parts', Array.from({ length: 1500 }, () => Buffer.from('x')), {}, 400],
  ])('stores nothing of %s', async (_, parts, options, status) => {
    await using own = await serveArchive();
    expect((await post(own, parts, options)).status).toBe(status);
    expect(await files(own)).toEqual([]);
  });

  it('refuses a body that has no boundary, or an endless header', async () => {
    await using own = await serveArchive();
    const send = (type: string, body: string): Promise<Response> =>
      fetch(`${own.url}/studies`, { method: 'POST', body, headers: { 'Content-Type': type } });
    expect((await send('multipart/related; type="application/dicom"', 'x')).status).toBe(400);
    const endless = await send('multipart/related; boundary=b', `--b\r\nX: ${'y'.repeat(1e6)}`);
    expect([endless.status, ((await endless.json()) as { code: string }).code]).toEqual([
      400,
      'REQUEST_INVALID',
    ]);
  });

  it.each([
    ['type', { 'Content-Type': 'application/dicom' }, 'multipart/related'],
    [
      'encoding',
      { 'Content-Type': 'multipart/related; boundary=b', 'Content-Encoding': 'gzip' },
      'Content-Encoding',
    ],
  ])('refuses a body of another %s with 415', async (_, headers, detail) => {
    await using own = await serveArchive();
    const answer = await fetch(`${own.url}/studies`, { method: 'POST', body: slide.bytes, headers });
    expect(answer.status).toBe(415);
    expect(answer.headers.get('accept-encoding')).toBe('identity');
    expect(await answer.json()).toMatchObject({
      code: 'REQUEST_INVALID',
      status: 415,
      detail: expect.stringContaining(detail),
    });
    expect(await files(own)).toEqual([]);
  });

  it('refuses an instance above the limit', async () => {
    await using own = await serveArchive({ maxInstanceBytes: 1000 });
    const answer = await post(own, [slide.bytes]);
    expect(answer.status).toBe(413);
    expect(await answer.json()).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    expect(await files(own)).toEqual([]);
  });

  it('stores nothing when the client goes away', async () => {
    await using own = await serveArchive();
    const { port } = new URL(own.url);
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(
      'POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/related; boundary=b\r\nContent-Length: 100000\r\n\r\n--b\r\n\r\n',
    );
    socket.write(slide.bytes.subarray(0, 1000));
    await expect.poll(() => files(own)).toHaveLength(1);
    socket.destroy();
    await expect.poll(() => files(own)).toEqual([]);
    expect(own.archive.statistics.instances).toBe(0);
  });

  it('removes nothing when a folder is opened, so that others can go on storing there', async () => {
    await using own = await serveArchive();
    await mkdir(join(own.folder, '.incoming'));
    await writeFile(join(own.folder, '.incoming', 'mine'), 'mine');
    const { port } = new URL(own.url);
    const socket = connect(Number(port), '127.0.0.1');
    const [head, tail] = ['--b\r\n\r\n', '\r\n--b--'];
    const length = slide.bytes.length + head.length + tail.length;
    socket.write(
      `POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/related; boundary=b\r\nContent-Length: ${length}\r\n\r\n${head}`,
    );
    socket.write(slide.bytes.subarray(0, 1000));
    await expect.poll(() => files(own)).toHaveLength(2);
    await using reader = await serveArchive({ folder: own.folder });
    await reader.archive.rescan();
    expect(reader.archive.statistics).toEqual({ instances: 0, leftOut: [] });
    socket.write(slide.bytes.subarray(1000));
    socket.write(tail);
    expect(String(await once(socket, 'data'))).toMatch('HTTP/1.1 200');
    socket.destroy();
    expect((await files(own)).sort()).toEqual([`${slide.sopInstanceUid}.dcm`, 'mine'].sort());
  });

  it('removes what a process that ended a day ago was receiving, when it stores', async () => {
    await using own = await serveArchive();
    const name = (digit: string): string => `.stain-incoming-0000000${digit}-0000-4000-8000-000000000000`;
    const [old, current, large, other] = [name('1'), name('2'), name('3'), '.stain-incoming-notes'];
    const longAgo = new Date(Date.now() - 90_000_000);
    for (const folder of [old, current, large, other]) {
      await mkdir(join(own.folder, folder));
      await writeFile(join(own.folder, folder, '0'), 'x');
      if (folder === old || folder === other) await utimes(join(own.folder, folder, '0'), longAgo, longAgo);
      if (folder !== current) await utimes(join(own.folder, folder), longAgo, longAgo);
    }
    await using reader = await serveArchive({ folder: own.folder });
    await reader.archive.rescan();
    expect(await readdir(own.folder)).toHaveLength(4);
    expect((await post(own, [slide.bytes])).status).toBe(200);
    expect((await readdir(own.folder)).sort()).toEqual([current, large, other, slide.studyUid].sort());
  });

  it('stores into a separate folder if configured', async () => {
    await using other = await serveArchive();
    await using own = await serveArchive({ writable: join(other.folder, 'stored') });
    await post(own, [slide.bytes]);
    expect(await files(own)).toEqual([]);
    expect(own.archive.statistics.instances).toBe(1);
  });
});
