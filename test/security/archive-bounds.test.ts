/** Attacks on the memory of the embedded archive: requests for large data, many at once. */
import { execFileSync } from 'node:child_process';
import { mkdir, open, readdir, symlink, writeFile } from 'node:fs/promises';
import { get as httpGet, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import { Budget } from '../../server/src/sharing/budget.ts';
import { EXPLICIT_LITTLE_ENDIAN, fileBeginning } from '../support/make-slide.ts';
import { peakDuring } from '../support/peak.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';
import { type StorableSlide, storableSlide } from '../support/storable.ts';

const MAX_HEADER_BYTES = 32e6;
/** All large headers together, and all small ones (header-room.ts). */
const MAX_HEADERS_BYTES = MAX_HEADER_BYTES + 64 * 2 ** 20;
/** Two frames of the largest size (pictures.ts). */
const MAX_PIXELS = 200e6;

const pathOf = ({ studyUid, seriesUid, sopInstanceUid }: StorableSlide): string =>
  `/studies/${studyUid}/series/${seriesUid}/instances/${sopInstanceUid}`;
const withText = (name: string, bytes: number): StorableSlide =>
  storableSlide(name, { overrides: { TextValue: Buffer.alloc(bytes, 'x') } });

describe('Headers', () => {
  const huge = withText('huge', 24e6);
  const large = withText('large', 6e6);
  const small = storableSlide('small');
  let served: ServedArchive;
  beforeAll(async () => {
    served = await serveArchive({ maxHeaderBytes: MAX_HEADER_BYTES });
    for (const [name, slide] of Object.entries({ huge, large, small }))
      await writeFile(join(served.folder, `${name}.dcm`), slide.bytes);
    await served.archive.rescan();
  });
  afterAll(() => served[Symbol.asyncDispose]());
  const metadata = async (slide: StorableSlide): Promise<number> => {
    const response = await fetch(`${served.url}${pathOf(slide)}/metadata`);
    return (await response.arrayBuffer()).byteLength;
  };
  /** A client that never reads its response. */
  const reader = async (path: string): Promise<IncomingMessage> => {
    const request = httpGet(`${served.url}${path}`, { agent: false });
    request.on('error', () => {});
    return new Promise((resolve) => request.once('response', resolve));
  };

  it('of many requests at once are within one budget', async () => {
    const { peak, result } = await peakDuring(
      () => served.archive.memory.headerBytes,
      () => Promise.all(Array.from({ length: 40 }, () => metadata(large))),
    );
    expect(result.every((bytes) => bytes > 6e6)).toBe(true);
    expect(peak).toBeGreaterThan(6e6);
    expect(peak).toBeLessThanOrEqual(MAX_HEADERS_BYTES);
    expect(served.archive.memory).toMatchObject({ headerBytes: 0, waiting: 0 });
  });

  it('of a client that does not read block no small ones, and waiting ones leave with their client', async () => {
    const slow = await reader(`${pathOf(huge)}/metadata`);
    await expect.poll(() => served.archive.memory.headerBytes).toBeGreaterThan(24e6);
    const leaving = new AbortController();
    const waiting = Array.from({ length: 5 }, () =>
      fetch(`${served.url}${pathOf(large)}/metadata`, { signal: leaving.signal }).then(
        () => 'answered',
        () => 'left',
      ),
    );
    // Before they wait for the budget of large headers, they read the start with that of small ones.
    const alsoHuge = fetch(`${served.url}${pathOf(huge)}/metadata`, { signal: leaving.signal }).catch(
      () => 'left',
    );
    await expect.poll(() => served.archive.memory.waiting).toBeGreaterThan(0);
    expect(await metadata(small)).toBeGreaterThan(1000);
    leaving.abort();
    expect(await alsoHuge).toBe('left');
    await Promise.all(waiting);
    await expect.poll(() => served.archive.memory.waiting).toBe(0);
    slow.destroy();
    await expect.poll(() => served.archive.memory.headerBytes).toBe(0);
  });

  it('of open files are within one budget, and yield to requests for others', async () => {
    const files = Array.from({ length: 8 }, (_, i) => withText(`open ${i}`, 20e6));
    await using own = await serveArchive({ maxHeaderBytes: MAX_HEADER_BYTES });
    for (const [i, slide] of files.entries()) await writeFile(join(own.folder, `${i}.dcm`), slide.bytes);
    await own.archive.rescan();
    const { peak, result } = await peakDuring(
      () => own.archive.memory.headerBytes,
      () =>
        Promise.all(
          files.map(async (slide) => {
            const response = await fetch(`${own.url}${pathOf(slide)}/frames/1`);
            await response.arrayBuffer();
            return response.status;
          }),
        ),
    );
    expect(result).toEqual(files.map(() => 200));
    expect(peak).toBeLessThanOrEqual(MAX_HEADERS_BYTES);
    expect(own.archive.memory.waiting).toBe(0);
  });

  it('requested by a search with all attributes are sent one after the other', async () => {
    const { peak, result } = await peakDuring(
      () => served.archive.memory.headerBytes,
      () =>
        Promise.all(
          Array.from(
            { length: 5 },
            async () =>
              (await (await fetch(`${served.url}/instances?includefield=all`)).arrayBuffer()).byteLength,
          ),
        ),
    );
    expect(result.every((bytes) => bytes > 30e6)).toBe(true);
    expect(peak).toBeLessThanOrEqual(MAX_HEADERS_BYTES);
  });
});

describe('Pictures', () => {
  let served: ServedArchive;
  let picture: StorableSlide;
  // Its header may say so; nobody has to hold the pixels.
  const gigantic = storableSlide('gigantic', { rows: 40_000, columns: 40_000 });
  const native = storableSlide('tile', {
    frames: [new Uint8Array(16 * 16 * 3).fill(200)],
    transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN,
    photometricInterpretation: 'RGB',
  });
  beforeAll(async () => {
    const side = 6000;
    const jpeg = await sharp({
      create: { width: side, height: side, channels: 3, background: { r: 200, g: 100, b: 150 } },
    })
      .jpeg()
      .toBuffer();
    picture = storableSlide('picture', {
      rows: side,
      columns: side,
      frames: [jpeg],
      totalRows: side,
      totalColumns: side,
    });
    served = await serveArchive();
    for (const [name, slide] of Object.entries({ picture, gigantic, native }))
      await writeFile(join(served.folder, `${name}.dcm`), slide.bytes);
    await served.archive.rescan();
  });
  afterAll(() => served[Symbol.asyncDispose]());
  const rendered = (slide: StorableSlide, signal?: AbortSignal): Promise<Response> =>
    fetch(`${served.url}${pathOf(slide)}/rendered?viewport=64,64`, signal ? { signal } : {});

  it.each(['/rendered', '/thumbnail', '/frames/1/rendered', '/frames/1'])(
    'of 40,000 x 40,000 pixels are refused by name: %s',
    async (end) => {
      const response = await fetch(`${served.url}${pathOf(gigantic)}${end}`, {
        headers: { accept: end === '/frames/1' ? 'application/octet-stream' : 'image/jpeg' },
      });
      expect(response.status).toBe(413);
      expect(await response.json()).toMatchObject({ code: 'FRAME_TOO_LARGE' });
    },
  );

  it('of many requests at once are within one budget of pixels', async () => {
    const { peak, result } = await peakDuring(
      () => served.archive.memory.pixels,
      () =>
        Promise.all(
          Array.from({ length: 8 }, async () => {
            const response = await rendered(picture);
            await response.arrayBuffer();
            return response.status;
          }),
        ),
    );
    expect(result).toEqual(Array.from({ length: 8 }, () => 200));
    expect(peak).toBeGreaterThan(36e6);
    expect(peak).toBeLessThanOrEqual(MAX_PIXELS);
    expect(served.archive.memory.pixels).toBe(0);
  });

  it('leave the queue when nobody waits for them any more', async () => {
    const leaving = new AbortController();
    const asked = Array.from({ length: 500 }, () =>
      rendered(picture, leaving.signal).then(
        async (response) => void (await response.arrayBuffer().catch(() => {})),
        () => {},
      ),
    );
    await expect.poll(() => served.archive.memory.waiting).toBeGreaterThan(50);
    leaving.abort();
    await Promise.all(asked);
    await expect
      .poll(() => served.archive.memory, { timeout: 60_000 })
      .toMatchObject({ pixels: 0, waiting: 0 });
    expect((await rendered(native)).status).toBe(200);
  });
});

describe('The folder of the archive', () => {
  it('is scanned to its end although it contains pipes, devices, circular links, endless folders and files of a terabyte', async () => {
    await using served = await serveArchive();
    const { folder } = served;
    await writeFile(join(folder, 'slide.dcm'), storableSlide('honest').bytes);
    execFileSync('mkfifo', [join(folder, 'pipe.dcm')]);
    await symlink('/dev/zero', join(folder, 'endless.dcm'));
    await symlink(folder, join(folder, 'circle'));
    await symlink(join(folder, 'nowhere'), join(folder, 'broken.dcm'));
    const name = 'd'.repeat(200);
    let deep = folder;
    for (let depth = 0; depth < 18; depth++) {
      deep = join(deep, name);
      await mkdir(deep);
    }
    await writeFile(join(deep, 'deep.dcm'), storableSlide('deep').bytes);
    // Its header claims the maximum length.
    const file = await open(join(folder, 'terabyte.dcm'), 'w');
    const element = Buffer.from([0x08, 0x00, 0x05, 0x00, ...Buffer.from('UT'), 0, 0, 0xf0, 0xff, 0xff, 0xff]);
    const meta = fileBeginning(DataSet.of({ SOPInstanceUID: '1.2.3' }), EXPLICIT_LITTLE_ENDIAN);
    await file.write(Buffer.concat([meta, element]));
    await file.truncate(1e12);
    await file.close();
    await served.archive.rescan();
    expect(served.archive.statistics.instances).toBe(2);
    expect(served.archive.memory.headerBytes).toBe(0);
  });

  it.each(['../../evil', '1.2/../../evil', '1.2.3#', '1\u0000/etc', "1'; DROP TABLE", '1'.repeat(65), ''])(
    'gets no file of an instance named %j, whether it lies there or is stored',
    async (uid) => {
      await using served = await serveArchive();
      const evil = storableSlide('evil', { overrides: { SeriesInstanceUID: Buffer.from(uid) } });
      const alsoEvil = storableSlide('evil', { overrides: { StudyInstanceUID: Buffer.from(uid) } });
      await writeFile(join(served.folder, 'evil.dcm'), evil.bytes);
      await served.archive.rescan();
      const { instances, leftOut } = served.archive.statistics;
      expect([instances, leftOut.flatMap(({ paths }) => paths).length]).toEqual([0, 1]);
      for (const { bytes } of [evil, alsoEvil]) {
        const body = Buffer.concat([
          Buffer.from('--b\r\nContent-Type: application/dicom\r\n\r\n'),
          bytes,
          Buffer.from('\r\n--b--\r\n'),
        ]);
        const response = await fetch(`${served.url}/studies`, {
          method: 'POST',
          headers: { 'content-type': 'multipart/related; type="application/dicom"; boundary=b' },
          body,
        });
        expect(response.status).toBe(409);
      }
      const names = await readdir(served.folder, { recursive: true });
      expect(names.filter((one) => one.endsWith('.dcm'))).toEqual(['evil.dcm']);
    },
  );
});

describe('A budget', () => {
  const never = new AbortController().signal;

  it('is never exceeded, serves in order, and is not credited twice for one release', async () => {
    const budget = new Budget(10);
    const first = await budget.reserve(6, never);
    const order: string[] = [];
    const second = budget.reserve(6, never).then(() => order.push('second'));
    const third = budget.reserve(1, never).then(() => order.push('third'));
    expect(budget).toMatchObject({ used: 6, waiting: 2 });
    first.shrinkTo(5);
    first.shrinkTo(9);
    expect(budget.used).toBe(5);
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    await Promise.all([second, third]);
    expect(order).toEqual(['second', 'third']);
    expect(budget).toMatchObject({ used: 7, waiting: 0 });
  });

  it('lets later requests pass when one that waits in front leaves', async () => {
    const budget = new Budget(10);
    await budget.reserve(6, never);
    const leaving = new AbortController();
    const large = budget.reserve(10, leaving.signal);
    const small = budget.reserve(4, never);
    leaving.abort();
    await expect(large).rejects.toThrow();
    await small;
    expect(budget).toMatchObject({ used: 10, waiting: 0 });
    await expect(budget.reserve(11, never)).rejects.toThrow(RangeError);
  });
});
