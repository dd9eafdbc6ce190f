/** A real Orthanc that returns little metadata, or behind a proxy that accepts no transfer syntax. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WHITE } from '../../core/src/image/raster.ts';
import { chooseSeries } from '../../server/src/cli/choose-series.ts';
import { infoArchiveCommand } from '../../server/src/cli/info-archive-command.ts';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { openRemoteSeries } from '../../server/src/pipeline/remote-series.ts';
import { copySample } from '../support/copy-slide.ts';
import { answer, type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { createWorkplace, normalizeOnlySlide, type Workplace } from '../support/normalize.ts';
import { orthancs, type RunningOrthanc, startOrthanc } from '../support/orthanc.ts';
import { OrthancRest } from '../support/orthanc-rest.ts';
import { repository } from '../support/peers.ts';
import { collect } from '../support/storable.ts';

const signal = new AbortController().signal;
const levels = [2, 3].map((level) => join(repository, `scripts/sample/level-${level}.dcm`));

for (const peer of orthancs)
  describe.skipIf(peer.missing)(`${peer.name} with SeriesMetadata MainDicomTags`, () => {
    let place: Workplace;
    let source: string;
    let orthanc: RunningOrthanc;
    let proxy: FaultProxy;

    beforeAll(async () => {
      place = await createWorkplace();
      source = await place.fill('source', ...levels);
      orthanc = await startOrthanc(peer, {
        SeriesMetadata: 'MainDicomTags',
        StudiesMetadata: 'MainDicomTags',
      });
      proxy = await startFaultProxy(orthanc.url);
      await using archive = await place.open(orthanc.url);
      for (const path of levels) {
        await using file = await openPart10(path);
        const bytes = await readFile(path);
        await archive.client.storeInstance(
          file.dataset.string('StudyInstanceUID')!,
          {
            sopInstanceUid: file.sopInstanceUid,
            sopClassUid: file.dataset.string('SOPClassUID')!,
            byteLength: bytes.length,
            stream: async function* () {
              yield bytes;
            },
          },
          signal,
        );
      }
    });
    afterAll(async () => {
      await proxy?.[Symbol.asyncDispose]();
      await orthanc?.[Symbol.asyncDispose]();
      await place?.[Symbol.asyncDispose]();
    });
    afterEach(() => proxy.heal());

    it('is recognised before the first slide, with what is worked round', async () => {
      const { checks, isUsable } = await infoArchiveCommand(orthanc.url, place.composition, signal);
      expect(isUsable).toBe(true);
      const outcomes = (outcome: string) =>
        checks.filter((check) => check.outcome === outcome).map(({ what }) => what);
      expect(outcomes('worked round')).toEqual(['metadata of a slide']);
      expect(outcomes('lacking')).toEqual([]);
    });

    it('returns the pixels of a slide, decompressed, if no transfer syntax is requested', async () => {
      const refusal = proxy.inject(
        ({ headers }) => /transfer-syntax/.test(headers.accept ?? ''),
        answer(406),
      );
      const corner = async (url: string): Promise<Uint8Array> => {
        await using location = await place.open(url);
        const archives = { source: location.client, destination: location.client };
        const series = await chooseSeries(location, {}, signal);
        const remote = await openRemoteSeries(series, place.composition.environment(archives), signal);
        const { rgb } = await remote.base(WHITE).read({ x: 10, y: 10, width: 400, height: 300 }, signal);
        return rgb;
      };
      const [through, direct] = [await corner(proxy.url), await corner(orthanc.url)];
      expect(refusal.met).toBeGreaterThan(0);
      const difference = through.reduce((sum, value, i) => sum + Math.abs(value - direct[i]!), 0);
      expect(difference / through.length).toBeLessThan(2);
    });

    it('gets the same result as a folder, byte for byte, and shows it', async () => {
      await using folder = await place.open(source);
      const { studyInstanceUid, seriesInstanceUid } = await normalizeOnlySlide(place, folder, folder);
      const derived = join(source, studyInstanceUid, seriesInstanceUid);
      await using archive = await place.open(orthanc.url);
      const result = await normalizeOnlySlide(place, archive, archive);
      const files = (await readdir(derived)).filter((name) => name.endsWith('.dcm'));
      expect(result.instances).toHaveLength(files.length);
      for (const name of files) {
        await using file = await openPart10(join(derived, name));
        const stored = archive.client.retrieveInstance(
          studyInstanceUid,
          seriesInstanceUid,
          file.sopInstanceUid,
          signal,
        );
        expect((await collect(stored)).equals(await readFile(join(derived, name)))).toBe(true);
      }
    });
  });

for (const peer of orthancs)
  describe.skipIf(peer.missing)(`${peer.name} and letters beyond ASCII`, () => {
    it('is a reason to write a wildcard: it decodes no query, whatever the character set', async () => {
      await using place = await createWorkplace();
      await using orthanc = await startOrthanc(peer);
      for (const [id, characterSet, encoding] of [
        ['utf-8', 'ISO_IR 192', 'utf8'],
        ['latin-1', 'ISO_IR 100', 'latin1'],
      ] as const) {
        const name = Buffer.from('Müller', encoding);
        // Headers of test slides are written in ASCII.
        const held = 'X'.repeat(name.length);
        const { files } = await copySample(id, [3], () => ({
          SpecificCharacterSet: characterSet,
          PatientName: held,
          PatientID: id,
        }));
        for (const file of files) name.copy(file, file.indexOf(held));
        await new OrthancRest(orthanc).put(files);
      }
      await using archive = await place.open(orthanc.url);
      const found = async (PatientName: string) =>
        (await archive.client.searchStudies({ PatientName }, signal)).map(
          (json) => (json['00100010']!.Value as { Alphabetic: string }[])[0]!.Alphabetic,
        );
      expect(await found('*M*ller*')).toEqual(['Müller', 'Müller']);
      for (const name of ['Müller', '*Müller*', '*M?ller*']) expect(await found(name)).toEqual([]);
    });
  });
