/** Deflated instances in the embedded archive: read like any other, within the same limits. */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OpenFiles } from '../../server/src/archive/open-files.ts';
import { createDicomWebClient, type DicomWebClient } from '../../server/src/dicomweb/client.ts';
import { createTemporarySpool } from '../../server/src/spool/spool.ts';
import { deflateFile } from '../support/deflate-file.ts';
import { EXPLICIT_LITTLE_ENDIAN } from '../support/make-slide.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';
import { collect, noise, type StorableSlide, storableSlide } from '../support/storable.ts';

const uncompressed = { transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN, photometricInterpretation: 'RGB' };
const DEFLATED = '1.2.840.10008.1.2.1.99';
const slide = storableSlide('deflated', {
  ...uncompressed,
  frames: [1, 2, 3].map((seed) => noise(16 * 16 * 3, seed)),
  // Longer than the first read of a header.
  overrides: { TextValue: 'x'.repeat(200_000) },
});
const file = deflateFile(slide.bytes);
const { signal } = new AbortController();
const pathOf = ({ studyUid, seriesUid, sopInstanceUid }: StorableSlide): string =>
  `/studies/${studyUid}/series/${seriesUid}/instances/${sopInstanceUid}`;

describe('a deflated instance', () => {
  let served: ServedArchive;
  let client: DicomWebClient;
  beforeAll(async () => {
    served = await serveArchive();
    client = createDicomWebClient({ url: served.url });
    await client.storeInstance(
      slide.studyUid,
      {
        ...slide,
        byteLength: file.length,
        stream: async function* () {
          yield file;
        },
      },
      signal,
    );
  });
  afterAll(async () => {
    await client.close();
    await served[Symbol.asyncDispose]();
  });

  it('has the metadata of the original instance', async () => {
    await using other = await serveArchive();
    await writeFile(join(other.folder, 'plain.dcm'), slide.bytes);
    await other.archive.rescan();
    const [deflated, plain] = await Promise.all(
      [served, other].map(async ({ url }) => (await fetch(`${url}${pathOf(slide)}/metadata`)).json()),
    );
    expect(deflated).toEqual(plain);
  });

  it('is sent as stored, with its own transfer syntax', async () => {
    const { studyUid, seriesUid, sopInstanceUid } = slide;
    const answer = await fetch(`${served.url}${pathOf(slide)}`, { headers: { accept: 'application/dicom' } });
    expect(answer.headers.get('content-type')).toBe(`application/dicom; transfer-syntax=${DEFLATED}`);
    const whole = await collect(client.retrieveInstance(studyUid, seriesUid, sopInstanceUid, signal));
    expect(whole.equals(file)).toBe(true);
  });

  it('returns its frames, uncompressed and labelled so, and pictures of them', async () => {
    const frames = [];
    for await (const { bytes } of client.retrieveFrames(
      slide.studyUid,
      slide.seriesUid,
      slide.sopInstanceUid,
      [3, 1],
      signal,
    ))
      frames.push(Buffer.from(bytes));
    expect(frames).toEqual([slide.frames[2], slide.frames[0]].map((frame) => Buffer.from(frame!)));
    const answer = await fetch(`${served.url}${pathOf(slide)}/frames/1`);
    expect(await answer.text()).toContain(`transfer-syntax=${EXPLICIT_LITTLE_ENDIAN}\r\n`);
    const picture = await fetch(`${served.url}${pathOf(slide)}/frames/2/rendered`);
    expect([picture.status, picture.headers.get('content-type')]).toEqual([200, 'image/jpeg']);
  });
});

describe('the content of a deflated file', () => {
  it('is not inflated beyond the maximum header size', async () => {
    const bomb = storableSlide('header', { ...uncompressed, overrides: { TextValue: 'x'.repeat(50e6) } });
    await using served = await serveArchive({ maxHeaderBytes: 1e6 });
    await writeFile(join(served.folder, 'a.dcm'), deflateFile(bomb.bytes));
    await served.archive.rescan();
    const [leftOut] = served.archive.statistics.leftOut;
    expect(leftOut?.reason).toContain('The header of a file exceeds 1000000 bytes');
  });

  it('is not inflated beyond the maximum instance size, and leaves nothing behind', async () => {
    const bomb = storableSlide('pixels', { ...uncompressed, frames: [new Uint8Array(30e6)] });
    await using served = await serveArchive({ maxInstanceBytes: 1e6 });
    await writeFile(join(served.folder, 'a.dcm'), deflateFile(bomb.bytes));
    await served.archive.rescan();
    const frame = await fetch(`${served.url}${pathOf(bomb)}/frames/1`);
    expect(await frame.json()).toMatchObject({ code: 'SLIDE_TOO_LARGE' });
    expect(await inflated(served.spool)).toEqual([]);
  });

  it('is inflated once for all readers, and removed when nobody has read it for a while', async () => {
    await using served = await serveArchive();
    const path = join(served.folder, 'a.dcm');
    await writeFile(path, file);
    let made = 0;
    const files = new OpenFiles({
      capacity: 10,
      maxHeaderBytes: 1e6,
      maxInstanceBytes: 1e6,
      keepInflatedMs: 1,
      makeFolder: () => {
        made++;
        return createTemporarySpool({ directory: served.spool });
      },
    });
    const instance = {
      path,
      size: file.length,
      mtimeMs: 1,
      changedAtMs: 1,
      ...UIDS,
      transferSyntaxUid: DEFLATED,
      json: {},
    };
    const read = () => files.with(instance, signal, (open) => open.frame(1));
    await files.with(instance, signal, async () => {
      await Promise.all([read(), read()]);
      expect(await inflated(served.spool)).toHaveLength(1);
    });
    expect(made).toBe(1);
    await expect.poll(() => inflated(served.spool)).toEqual([]);
    expect(Buffer.from(await read())).toEqual(Buffer.from(slide.frames[1]!));
    await files.close();
  });
});

const UIDS = {
  studyUid: slide.studyUid,
  seriesUid: slide.seriesUid,
  sopUid: slide.sopInstanceUid,
  sopClassUid: slide.sopClassUid,
};

async function inflated(spool: string): Promise<string[]> {
  return (await readdir(spool, { recursive: true })).filter((name) => name.includes('inflated'));
}
