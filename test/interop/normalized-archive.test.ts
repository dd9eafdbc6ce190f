/**
 * The normalised archive as independent clients see it, in front of a real Orthanc, and with several processes
 * together.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { numberOf, textOf } from '../../server/src/dicom/json-model.ts';
import { type CopiedSlide, copySample } from '../support/copy-slide.ts';
import {
  frameOf,
  jsonOf,
  keep,
  type NormalizedService,
  seriesIn,
  serveNormalized,
} from '../support/normalized.ts';
import { orthancs, type RunningOrthanc, startOrthanc } from '../support/orthanc.ts';
import { python, runPython } from '../support/peers.ts';
import { postgresMissing, startPostgres } from '../support/postgres.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';

const { signal } = new AbortController();

/** An archive with a slide in it. */
async function filled(name: string): Promise<{ archive: ServedArchive; slide: CopiedSlide }> {
  const archive = await serveArchive();
  const slide = await copySample(name, [0, 1, 2, 3]);
  await mkdir(join(archive.folder, name));
  for (const [i, file] of slide.files.entries())
    await writeFile(join(archive.folder, name, `${i}.dcm`), file);
  await archive.archive.rescan();
  return { archive, slide };
}

const reference = ({ studyInstanceUid, seriesInstanceUid }: CopiedSlide) => ({
  studyInstanceUid,
  seriesInstanceUid,
});

describe(`read by wsidicom and dicomweb-client`, () => {
  it.skipIf(python.missing)(
    `is the same as the stored series${python.note}`,
    { timeout: 180_000 },
    async () => {
      const { archive, slide } = await filled('other clients');
      await using _archive = archive;
      await using service = await serveNormalized(archive.url);
      const study = slide.studyInstanceUid;
      const [series] = await seriesIn(service.root(), study);
      const computed = await runPython('read_normalized.py', service.root(), study, series!);
      await keep(service, reference(slide));
      const stored = await runPython('read_normalized.py', archive.url, study, series!);
      expect(computed).toMatch(/^levels \[\(2220, 2967\), /m);
      expect(computed.split('\n')).toHaveLength(slide.files.length + 4);
      expect(computed).toBe(stored);
    },
  );
});

for (const peer of orthancs)
  describe.skipIf(peer.missing)(`in front of ${peer.name}`, () => {
    let orthanc: RunningOrthanc;
    let service: NormalizedService;
    let slide: CopiedSlide;
    beforeAll(async () => {
      orthanc = await startOrthanc(peer);
      const { archive, slide: filledSlide } = await filled('before Orthanc');
      slide = filledSlide;
      await using _archive = archive;
      await store(archive, orthanc, slide);
      service = await serveNormalized(orthanc.url);
    });
    afterAll(async () => {
      await service?.[Symbol.asyncDispose]();
      await orthanc?.[Symbol.asyncDispose]();
    });

    it('has the frames and the headers that are stored', { timeout: 180_000 }, async () => {
      const root = service.root();
      const study = slide.studyInstanceUid;
      expect((await jsonOf(`${root}/studies`)).map((row) => textOf(row, '0020000D'))).toEqual([study]);
      const [series, ...others] = await seriesIn(root, study);
      expect(others).toEqual([]);
      const headers = await jsonOf(`${root}/studies/${study}/series/${series}/metadata`);
      const frames = new Map<string, Buffer>();
      for (const header of headers)
        for (let number = 1; number <= numberOf(header, '00280008')!; number += 7) {
          const path = `/studies/${study}/series/${series}/instances/${textOf(header, '00080018')}/frames/${number}`;
          frames.set(path, await frameOf(root + path));
        }
      await keep(service, reference(slide));
      await using client = await service.place.open(orthanc.url);
      for (const [path, frame] of frames) {
        const [, , , , , instance, , number] = path.split('/').slice(1);
        const stored = client.client.retrieveFrames(study, series!, instance!, [Number(number)], signal);
        for await (const { bytes } of stored) expect(frame.equals(bytes), path).toBe(true);
      }
      // By a process that knows only what was stored.
      await using other = await serveNormalized(orthanc.url);
      expect(await seriesIn(other.root(), study)).toEqual([series]);
      const again = await jsonOf(`${other.root()}/studies/${study}/series/${series}/metadata`);
      expect(JSON.stringify(again).replaceAll(other.url, service.url)).toBe(JSON.stringify(headers));
    });
  });

describe.skipIf(postgresMissing !== undefined)(
  `behind a load balancer${postgresMissing ? ` (skipped: ${postgresMissing})` : ''}`,
  () => {
    it('several processes show one archive, whichever is queried', { timeout: 180_000 }, async () => {
      await using postgres = await startPostgres();
      const { archive, slide } = await filled('balanced');
      await using _archive = archive;
      await using one = await serveNormalized(archive.url, { database: postgres.url });
      await using two = await serveNormalized(archive.url, { database: postgres.url });
      const study = slide.studyInstanceUid;
      // Both at once, before either has read the slide.
      const [ofOne, ofTwo] = await Promise.all([seriesIn(one.root(), study), seriesIn(two.root(), study)]);
      expect(ofOne).toEqual(ofTwo);
      const path = `/studies/${study}/series/${ofOne[0]}`;
      const [told, toldByTwo] = await Promise.all(
        [one, two].map(async ({ url, root }) =>
          JSON.stringify(await jsonOf(`${root()}${path}/metadata`)).replaceAll(url, ''),
        ),
      );
      expect(told).toBe(toldByTwo);
      const [instance] = await jsonOf(`${one.root()}${path}/instances`);
      const frame = `${path}/instances/${textOf(instance!, '00080018')}/frames/40`;
      const [a, b] = await Promise.all([one, two].map((service) => frameOf(service.root() + frame)));
      expect(a!.equals(b!)).toBe(true);
    });
  },
);

async function store(
  from: ServedArchive,
  to: RunningOrthanc,
  { studyInstanceUid }: CopiedSlide,
): Promise<void> {
  const names = await jsonOf(`${from.url}/studies/${studyInstanceUid}/instances`);
  for (const row of names) {
    const uid = textOf(row, '00080018');
    const series = textOf(row, '0020000E');
    const file = await fetch(`${from.url}/studies/${studyInstanceUid}/series/${series}/instances/${uid}`, {
      headers: { Accept: 'application/dicom; transfer-syntax=*' },
    });
    const body = Buffer.concat([
      Buffer.from('--part\r\nContent-Type: application/dicom\r\n\r\n'),
      Buffer.from(await file.arrayBuffer()),
      Buffer.from('\r\n--part--\r\n'),
    ]);
    const answer = await fetch(`${to.url}/studies`, {
      method: 'POST',
      headers: {
        'content-type': 'multipart/related; type="application/dicom"; boundary=part',
        accept: 'application/dicom+json',
      },
      body,
    });
    expect(answer.status).toBe(200);
  }
}
