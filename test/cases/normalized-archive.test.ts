/** The inputs with one defect each, in the normalised archive: the same result as a job, or the same refusal. */
import { existsSync } from 'node:fs';
import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DicomJson, numberOf, textOf } from '../../server/src/dicom/json-model.ts';
import { frameOf, jsonOf, keep, type NormalizedService, serveNormalized } from '../support/normalized.ts';
import { repository } from '../support/peers.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';

const CASES = join(process.env.STAIN_TEST_DATA ?? join(repository, '../shared/data'), 'cases');
const missing = !existsSync(CASES);
/** Only a job can make these: a level is built from the base level. */
const BUILT = 'LEVELS_DISAGREE';

describe.skipIf(missing)(`every case${missing ? ' (skipped: no cases)' : ''}`, { timeout: 120_000 }, () => {
  let archive: ServedArchive;
  let service: NormalizedService;
  beforeAll(async () => {
    archive = await serveArchive();
    service = await serveNormalized(archive.url);
  });
  afterAll(async () => {
    await service?.[Symbol.asyncDispose]();
    await archive?.[Symbol.asyncDispose]();
  });

  it('is the same, computed and stored', async () => {
    const names = (await readdir(CASES, { withFileTypes: true })).filter(
      (entry) => entry.isDirectory() && entry.name !== 'pictures',
    );
    let compared = 0;
    for (const { name } of names) {
      await cp(join(CASES, name), join(archive.folder, name), { recursive: true });
      await archive.archive.rescan();
      const root = service.root();
      for (const source of await jsonOf(`${archive.url}/series?Modality=SM`)) {
        const [study, series] = ['0020000D', '0020000E'].map((tag) => textOf(source, tag)!) as [
          string,
          string,
        ];
        for (const row of await jsonOf(`${root}/studies/${study}/series`)) {
          const path = `/studies/${study}/series/${textOf(row, '0020000E')}`;
          const answer = await fetch(`${root}${path}/metadata`);
          const { code } = answer.ok ? {} : ((await answer.json()) as { code?: string });
          if (code === BUILT) continue;
          const job = await keep(service, { studyInstanceUid: study, seriesInstanceUid: series }).catch(
            (error: Error) => (JSON.parse(error.message) as { code: string }).code,
          );
          // The slides of a series of two are requested one by one.
          if (job === 'SEVERAL_SLIDES') continue;
          if (typeof job === 'string' || code !== undefined) {
            expect(code, name).toBe(job);
            continue;
          }
          const stored = await jsonOf(`${archive.url}${path}/metadata`);
          const computed = (await answer.json()) as DicomJson[];
          const uids = (all: DicomJson[]): (string | undefined)[] =>
            all.map((one) => textOf(one, '00080018')).sort();
          expect(uids(computed), name).toEqual(uids(stored));
          for (const header of computed)
            for (let number = 1; number <= Math.min(5, numberOf(header, '00280008')!); number++) {
              const frame = `${path}/instances/${textOf(header, '00080018')}/frames/${number}`;
              expect(
                (await frameOf(root + frame)).equals(await frameOf(archive.url + frame)),
                `${name} ${frame}`,
              ).toBe(true);
              compared++;
            }
        }
      }
      for (const folder of await readdir(archive.folder))
        await rm(join(archive.folder, folder), { recursive: true });
      await archive.archive.rescan();
    }
    expect(compared).toBeGreaterThan(50);
  });
});
