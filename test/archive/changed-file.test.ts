/** Files that change after the scan, without a search in between: what is sent is what lies there now. */
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DicomJson } from '../../server/src/dicom/json-model.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';
import { noise, type StorableSlide, storableSlide } from '../support/storable.ts';

const first = storableSlide('changed');
const longer = storableSlide('changed', {
  frames: [noise(3000, 4), noise(402, 2), noise(20, 3)],
  overrides: { PatientID: 'CORRECTED' },
});
const moved = storableSlide('changed', { overrides: { StudyInstanceUID: '2.25.77' } });

let served: ServedArchive;
let path: string;
beforeEach(async () => {
  served = await serveArchive();
  path = join(served.folder, 'slide.dcm');
  await writeFile(path, first.bytes);
  await served.archive.rescan();
});
afterEach(() => served[Symbol.asyncDispose]());

const get = ({ studyUid, seriesUid, sopInstanceUid }: StorableSlide, what = '', headers = {}) =>
  fetch(`${served.url}/studies/${studyUid}/series/${seriesUid}/instances/${sopInstanceUid}${what}`, {
    headers,
  });
/** Unlike `fetch`, does not ask for a fresh response on its own. */
async function getAgain(
  { studyUid, seriesUid, sopInstanceUid }: StorableSlide,
  what: string,
  headers: OutgoingHttpHeaders,
): Promise<{ status: number | undefined; body: string }> {
  const url = `${served.url}/studies/${studyUid}/series/${seriesUid}/instances/${sopInstanceUid}${what}`;
  const [response] = (await once(
    request(url, { headers: { accept: '*/*', ...headers } }).end(),
    'response',
  )) as [IncomingMessage];
  return { status: response.statusCode, body: await text(response) };
}

const dicom = { Accept: 'application/dicom' };
const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());

describe('a file that was replaced', () => {
  it('is sent whole if it is longer now', async () => {
    await writeFile(path, longer.bytes);
    const sent = await bytesOf(await get(first, '', dicom));
    expect(sent.equals(longer.bytes)).toBe(true);
  });

  it('is sent whole if it is shorter now', async () => {
    await writeFile(path, longer.bytes);
    await served.archive.rescan();
    await writeFile(path, first.bytes);
    const sent = await bytesOf(await get(first, '', dicom));
    expect(sent.equals(first.bytes)).toBe(true);
  });

  it('has its new frames, although the old file is still open', async () => {
    const frame = { Accept: 'image/jpeg' };
    await bytesOf(await get(first, '/frames/1', frame));
    await writeFile(path, longer.bytes);
    const sent = await bytesOf(await get(first, '/frames/1', frame));
    expect(sent.equals(longer.frames[0]!)).toBe(true);
  });

  it('has its new header, although the client knows the old one', async () => {
    const before = await get(first, '/metadata');
    await before.arrayBuffer();
    const known = { 'If-None-Match': before.headers.get('etag')! };
    expect((await getAgain(first, '/metadata', known)).status).toBe(304);
    await writeFile(path, longer.bytes);
    const after = await getAgain(first, '/metadata', known);
    expect(after.status).toBe(200);
    const [header] = JSON.parse(after.body) as DicomJson[];
    expect(header!['00100020']!.Value).toEqual(['CORRECTED']);
  });

  it('is found under its new UIDs only', async () => {
    await writeFile(path, moved.bytes);
    expect((await get(first, '/metadata')).status).toBe(404);
    expect((await get(moved, '/metadata')).status).toBe(200);
  });

  it('is not found if it is no DICOM file any more, or gone', async () => {
    await writeFile(path, 'nothing');
    expect((await get(first, '', dicom)).status).toBe(404);
    await writeFile(path, first.bytes);
    await served.archive.rescan();
    expect((await get(first, '', dicom)).status).toBe(200);
    await rm(path);
    expect((await get(first, '', dicom)).status).toBe(404);
  });

  it('is not sent in the place of the one that was announced', async () => {
    // So large that it is still on its way when the other is replaced.
    const large = storableSlide('changed', {
      frames: [noise(64e6, 1)],
      overrides: { SOPInstanceUID: '2.25.1' },
    });
    await writeFile(join(served.folder, '0.dcm'), large.bytes);
    await served.archive.rescan();
    const { studyUid, seriesUid } = first;
    const answer = await fetch(`${served.url}/studies/${studyUid}/series/${seriesUid}`, {
      headers: { Accept: 'multipart/related; type="application/dicom"' },
    });
    const reader = answer.body!.getReader();
    await reader.read();
    await writeFile(path, longer.bytes);
    await expect(
      (async () => {
        while (!(await reader.read()).done);
      })(),
    ).rejects.toThrow();
  });
});

it('an instance whose header is damaged cuts off one answer, and is named in the next', async () => {
  const other = Buffer.from(storableSlide('changed', { overrides: { SOPInstanceUID: '2.25.9' } }).bytes);
  const groups = other.indexOf(Buffer.from([0x00, 0x52, 0x29, 0x92]));
  await writeFile(join(served.folder, 'z.dcm'), other.subarray(0, groups + 40));
  await served.archive.rescan();
  const url = `${served.url}/studies/${first.studyUid}/series/${first.seriesUid}/metadata`;
  await (await fetch(url)).text().catch(() => {});
  const again = await fetch(url);
  expect(again.status).toBe(422);
  expect(await again.json()).toMatchObject({
    code: 'DICOM_INVALID',
    detail: expect.stringContaining('2.25.9'),
  });
  // Whole again.
  await writeFile(join(served.folder, 'z.dcm'), other);
  await served.archive.rescan();
  expect(await (await fetch(url)).json()).toHaveLength(2);
});
