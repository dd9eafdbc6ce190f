/** OHIF's requests through our proxy to a real Orthanc. */

import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import express from 'express';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { archiveCredentials } from '../../server/src/auth/archive-credentials.ts';
import { textOf } from '../../server/src/dicom/json-model.ts';
import { createDicomWebClient } from '../../server/src/dicomweb/client.ts';
import { archiveProxy } from '../../server/src/http/archive-proxy.ts';
import { type Listening, listen } from '../../server/src/http/listen.ts';
import { orthancs, type RunningOrthanc, startOrthanc } from '../support/orthanc.ts';
import { OrthancRest } from '../support/orthanc-rest.ts';
import { wholeSlide } from '../support/rules-site.ts';

const sample = fileURLToPath(new URL('../../scripts/sample/', import.meta.url));
/** As dicom-microscopy-viewer sends it. */
const OHIF_ACCEPT = ['image/jls', 'image/jp2', 'image/jpeg', 'application/octet-stream']
  .map((type) => `multipart/related; type="${type}"`)
  .join(', ');

for (const peer of orthancs)
  describe.skipIf(peer.missing)(`the proxy before ${peer.name}`, () => {
    let orthanc: RunningOrthanc;
    let service: Listening;
    let instance: Record<string, { Value: string[] }>;

    const get = (path: string, accept: string) =>
      fetch(`${service.url}/stain/dicom-web${path}`, { headers: { accept } });
    const getJson = async (path: string) =>
      (await (await get(path, 'application/dicom+json')).json()) as Record<string, { Value: string[] }>[];
    const framePath = () =>
      `/studies/${instance['0020000D']!.Value[0]}/series/${instance['0020000E']!.Value[0]}/instances/${instance['00080018']!.Value[0]}/frames/1`;

    beforeAll(async () => {
      orthanc = await startOrthanc(peer);
      const proxy = archiveProxy(
        { url: orthanc.url, timeoutSeconds: 60, users: 'known', bulkDataKey: randomBytes(32) },
        { isRequired: false },
        archiveCredentials({ headers: {}, users: 'known', oauth: {} }),
      );
      service = await listen(express().use('/stain/dicom-web', proxy), { host: '127.0.0.1', port: 0 });
      for (const name of (await readdir(sample)).filter((file) => file.endsWith('.dcm'))) {
        const head = '--part\r\nContent-Type: application/dicom\r\n\r\n';
        const body = Buffer.concat([
          Buffer.from(head),
          await readFile(join(sample, name)),
          Buffer.from('\r\n--part--\r\n'),
        ]);
        const stored = await fetch(`${service.url}/stain/dicom-web/studies`, {
          method: 'POST',
          headers: {
            'content-type': 'multipart/related; type="application/dicom"; boundary=part',
            accept: 'application/dicom+json',
          },
          body,
        });
        expect(stored.status).toBe(200);
      }
      instance = (await getJson('/instances?limit=1'))[0]!;
    });
    afterAll(async () => {
      await service?.close();
      await orthanc?.[Symbol.asyncDispose]();
    });

    test('frames arrive as stored, although OHIF requests them in a way that makes Orthanc decode them', async () => {
      const direct = await fetch(orthanc.url + framePath(), { headers: { accept: OHIF_ACCEPT } });
      const through = await get(framePath(), OHIF_ACCEPT);
      expect(through.status).toBe(200);
      const [decoded, stored] = await Promise.all([direct.arrayBuffer(), through.arrayBuffer()]);
      const start = Buffer.from(stored).indexOf('\r\n\r\n') + 4;
      expect([...new Uint8Array(stored).subarray(start, start + 2)]).toEqual([0xff, 0xd8]);
      expect(stored.byteLength).toBeLessThan(decoded.byteLength);
    });

    test('a rendering is a picture', async () => {
      const rendered = await get(`${framePath()}/rendered`, 'image/jpeg');
      expect(rendered.headers.get('content-type')).toBe('image/jpeg');
    });

    // Orthanc decodes no percent-encoding in a query.
    test.each(['viewport=64,48', 'viewport=64%2C48'])('a rendering with %s has that size', async (query) => {
      const direct = await fetch(`${orthanc.url}${framePath()}/rendered?viewport=64,48`, {
        headers: { accept: 'image/jpeg' },
      });
      const rendered = await get(`${framePath()}/rendered?${query}`, 'image/jpeg');
      expect(rendered.status).toBe(200);
      expect(await rendered.bytes()).toEqual(await direct.bytes());
    });

    test('an accession number is found that holds what a query may hold, by viewers and by our own client', async () => {
      const AccessionNumber = "A:/@$='()!~*-._";
      const { studyInstanceUid, files } = await wholeSlide('proxy query', [3], { AccessionNumber });
      await new OrthancRest(orthanc).put(files);
      const value = encodeURIComponent(AccessionNumber.replace('*', '?'));
      const found = await getJson(`/studies?AccessionNumber=${value}`);
      expect(found.map((json) => json['0020000D']!.Value[0])).toEqual([studyInstanceUid]);
      const client = createDicomWebClient({ url: orthanc.url });
      const studies = await client.searchStudies({ AccessionNumber }, new AbortController().signal);
      await client.close();
      expect(studies.map((json) => textOf(json, '0020000D'))).toEqual([studyInstanceUid]);
    });

    test('the addresses in its responses are ours', async () => {
      const url = instance['00081190']!.Value[0]!;
      expect(new URL(url).origin).toBe(service.url);
    });
  });
