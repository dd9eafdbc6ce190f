/** Archives with incomplete metadata: where the client looks for the header instead. */
import { pipeline } from 'node:stream/promises';
import { describe, expect, it } from 'vitest';
import type { DicomWebClient } from '../../server/src/dicomweb/client.ts';
import type { Handler } from '../support/fault-server.ts';
import { makeKeyObject } from '../support/make-key-object.ts';
import { testUid } from '../support/make-slide.ts';
import { noise, storableSlide } from '../support/storable.ts';
import { parametersOf, withServer } from '../support/with-server.ts';

const signal = new AbortController().signal;

describe('an archive with incomplete metadata', () => {
  // More than fits into the buffers of a connection, 4 and 32 MB on Linux.
  const slide = storableSlide('little told', { frames: [noise(24_000_000, 1), noise(24_000_000, 2)] });
  const uids = {
    '00080016': { vr: 'UI', Value: [slide.sopClassUid] },
    '00080018': { vr: 'UI', Value: [slide.sopInstanceUid] },
    '0020000D': { vr: 'UI', Value: [slide.studyUid] },
    '0020000E': { vr: 'UI', Value: [slide.seriesUid] },
    '00080060': { vr: 'CS', Value: ['SM'] },
  };
  const whole = {
    ...uids,
    '00080008': { vr: 'CS', Value: ['ORIGINAL', 'PRIMARY', 'VOLUME', 'NONE'] },
    '00280002': { vr: 'US', Value: [3] },
    '00280008': { vr: 'IS', Value: [2] },
    '00280010': { vr: 'US', Value: [16] },
    '00280011': { vr: 'US', Value: [16] },
    '00280100': { vr: 'US', Value: [8] },
    '00280101': { vr: 'US', Value: [8] },
    '00480006': { vr: 'UL', Value: [32] },
    '00480007': { vr: 'UL', Value: [16] },
    '52009229': { vr: 'SQ', Value: [{}] },
  };

  /** @param told metadata of the series and of the instance; undefined means 404 */
  const archive =
    (told: { series: object; instance: object | undefined }, sent: number[] = []): Handler =>
    async (request, response) => {
      const path = request.url!.split('?')[0]!;
      const answer = (json: object | undefined): void =>
        void (json ? response.end(JSON.stringify([json])) : response.writeHead(404).end());
      if (/instances\/[\d.]+\/metadata$/.test(path)) return answer(told.instance);
      if (path.endsWith('/metadata')) return answer(told.series);
      if (path.endsWith('/instances')) return answer(uids);
      response.setHeader('Content-Type', 'application/dicom');
      let bytes = 0;
      await pipeline(async function* () {
        for await (const chunk of slide.stream(signal)) {
          bytes += chunk.length;
          yield chunk;
        }
      }, response).catch(() => {});
      sent.push(bytes);
    };
  const metadataOf = (client: DicomWebClient) =>
    client.seriesMetadata(slide.studyUid, slide.seriesUid, signal);

  it('is asked for the metadata of each instance if those of the series are incomplete', async () => {
    await withServer(archive({ series: uids, instance: whole }), async (client, server) => {
      const [header] = await metadataOf(client);
      expect(header!.number('TotalPixelMatrixColumns')).toBe(32);
      expect(server.requests).toHaveLength(2);
    });
  });

  it.each([
    ['thinned too', uids],
    ['not there', undefined],
  ])('is asked for the beginning of the instance if its metadata are %s', async (_, instance) => {
    const sent: number[] = [];
    await withServer(archive({ series: uids, instance }, sent), async (client, server) => {
      const [header] = await metadataOf(client);
      expect(header!.number('TotalPixelMatrixColumns')).toBe(32);
      expect(header!.string('SOPInstanceUID')).toBe(slide.sopInstanceUid);
      expect(server.requests).toHaveLength(3);
      await metadataOf(client);
      expect(server.requests).toHaveLength(5);
      await expect.poll(() => sent.length).toBe(2);
      for (const bytes of sent) expect(bytes).toBeLessThan(slide.bytes.length);
    });
  });

  it('is asked only once for complete metadata, and for series of other kinds', async () => {
    const ct = { ...uids, '00080060': { vr: 'CS', Value: ['CT'] } };
    for (const told of [whole, ct])
      await withServer(archive({ series: told, instance: undefined }), async (client, server) => {
        await metadataOf(client);
        expect(server.requests).toHaveLength(1);
      });
  });

  it('is asked for the metadata of each key object, which may reject a series', async () => {
    const thin = {
      ...uids,
      '00080060': { vr: 'CS', Value: ['KO'] },
      '00080016': { vr: 'UI', Value: ['1.2.840.10008.5.1.4.1.1.88.59'] },
    };
    const title = {
      ...thin,
      '0040A043': { vr: 'SQ', Value: [{ '00080100': { vr: 'SH', Value: ['113001'] } }] },
    };
    await withServer(archive({ series: thin, instance: title }), async (client, server) => {
      const [header] = await metadataOf(client);
      expect(header!.items('ConceptNameCodeSequence')[0]!.string('CodeValue')).toBe('113001');
      expect(server.requests).toHaveLength(2);
    });
    // The archive returns a different instance, so only what the search said is known.
    await withServer(archive({ series: thin, instance: undefined }), async (client, server) => {
      expect(await metadataOf(client)).toHaveLength(1);
      expect(server.requests).toHaveLength(3);
    });
  });

  describe('or none', () => {
    /** Has only what it found, and the instance itself. */
    const bare =
      (found: object[], file: Uint8Array): Handler =>
      (request, response) => {
        const path = request.url!.split('?')[0]!;
        if (path.endsWith('/metadata')) response.writeHead(404).end();
        else if (path.endsWith('/instances')) response.end(JSON.stringify(found));
        else response.writeHead(200, { 'Content-Type': 'application/dicom' }).end(file);
      };

    it('is asked for the beginning of each instance that it lists', async () => {
      await withServer(bare([uids], slide.bytes), async (client) => {
        const [header, ...others] = await metadataOf(client);
        expect(header!.number('TotalPixelMatrixColumns')).toBe(32);
        expect(others).toEqual([]);
      });
      await withServer(bare([], slide.bytes), (client) =>
        expect(metadataOf(client)).rejects.toMatchObject({ code: 'SERIES_NOT_FOUND' }),
      );
    });

    it('is asked for key objects as they are stored, which may reject a series', async () => {
      const file = makeKeyObject(
        { studyInstanceUid: slide.studyUid, seriesInstanceUid: slide.seriesUid },
        '113037',
      );
      const told = {
        ...uids,
        '00080016': { vr: 'UI', Value: ['1.2.840.10008.5.1.4.1.1.88.59'] },
        '00080018': { vr: 'UI', Value: [testUid(`key object 113037 of ${slide.seriesUid}`)] },
        '00080060': { vr: 'CS', Value: ['KO'] },
      };
      await withServer(bare([told], file), async (client) => {
        const [header] = await metadataOf(client);
        expect(header!.items('ConceptNameCodeSequence')[0]!.string('CodeValue')).toBe('113037');
      });
    });
  });

  it('may not answer with more headers than fit into memory', async () => {
    await withServer(
      archive({ series: uids, instance: undefined }),
      (client) => expect(metadataOf(client)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' }),
      { maxMetadataBytes: 900 },
    );
  });

  const verify = (client: DicomWebClient, numberOfFrames: number) =>
    client.verifyInstance(
      slide.studyUid,
      slide.seriesUid,
      slide.sopInstanceUid,
      { numberOfFrames, rows: 16, columns: 16, sopClassUid: slide.sopClassUid },
      signal,
    );

  it('is verified by the instance itself after storing, if searches and metadata do not state its size', async () => {
    await withServer(archive({ series: uids, instance: uids }), async (client) => {
      await verify(client, 2);
      await expect(verify(client, 3)).rejects.toMatchObject({
        code: 'STORE_UNVERIFIED',
        data: { presence: 'other' },
      });
    });
  });

  it('is verified by its search results if the instance may not be read', async () => {
    await withServer(
      (request, response) =>
        void (request.url!.split('?')[0]!.endsWith('/instances')
          ? response.end(JSON.stringify([{ ...uids, '00280010': { vr: 'US', Value: [16] } }]))
          : response.writeHead(403).end()),
      async (client) => {
        await verify(client, 2);
        await expect(
          client.verifyInstance(slide.studyUid, slide.seriesUid, slide.sopInstanceUid, { rows: 17 }, signal),
        ).rejects.toMatchObject({ code: 'STORE_UNVERIFIED', data: { presence: 'other' } });
      },
    );
  });

  it('may not filter by SOP Instance UID', async () => {
    const other = { ...whole, '00080018': { vr: 'UI', Value: ['1.9'] } };
    await withServer(
      (request, response) => {
        const limit = Number(parametersOf(request.url).get('limit'));
        response.end(JSON.stringify([other, whole].slice(0, limit)));
      },
      (client) => verify(client, 2),
    );
  });
});
