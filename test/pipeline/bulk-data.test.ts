/** Metadata name other URLs. None of them is ever followed: requests are built from UIDs, below the archive's root. */
import { expect, it } from 'vitest';
import { CodecPool } from '../../server/src/codec/codec-pool.ts';
import { srgbProfile } from '../../server/src/codec/icc.ts';
import { toDicomJson } from '../../server/src/dicom/to-json.ts';
import { createDicomWebClient } from '../../server/src/dicomweb/client.ts';
import { openRemoteSeries } from '../../server/src/pipeline/remote-series.ts';
import { temporaryFolder } from '../dicom/temporary-folder.ts';
import { startFaultServer } from '../support/fault-server.ts';
import { makeSlideHeader, makeSlideInstance, testUid } from '../support/make-slide.ts';

it('follows no BulkDataURI or Retrieve URL, neither to another host nor to the archive', async () => {
  const slide = {
    rows: 8,
    columns: 8,
    totalRows: 8,
    totalColumns: 8,
    frames: [Uint8Array.of(0xff, 0xd8, 1, 2)],
    iccProfile: await srgbProfile(),
  };
  await using stranger = await startFaultServer((_, response) => void response.end());
  await using archive = await startFaultServer((request, response) => {
    if (!request.url!.endsWith('/metadata')) {
      response.writeHead(200, { 'Content-Type': 'application/dicom' }).end(makeSlideInstance(slide));
      return;
    }
    const urls = ['00880130', '00081190', '0008119A'].map((tag) => [
      tag,
      { vr: 'UR', Value: [`${stranger.url}/${tag}`], BulkDataURI: `${stranger.url}/${tag}` },
    ]);
    const json = toDicomJson(makeSlideHeader(slide), (path) => `${stranger.url}/${path.join('/')}`);
    response.end(
      JSON.stringify([
        { ...json, ...Object.fromEntries(urls), '7FE00010': { vr: 'OW', BulkDataURI: `${archive.url}/x` } },
      ]),
    );
  });
  await using folder = await temporaryFolder();
  const source = createDicomWebClient({ url: archive.url });
  const codecs = new CodecPool({ threads: 1 });
  try {
    const series = {
      studyInstanceUid: testUid('slide-study'),
      seriesInstanceUid: testUid('slide-series'),
    };
    const access = {
      source,
      codecs,
      spool: { directory: folder.file('spool') },
      limits: { maxSlideMegapixels: 1, maxInstanceBytes: 1e6 },
      onInvalidProfile: 'refuse',
    } as const;
    const { colour } = await openRemoteSeries(series, access, new AbortController().signal);
    // The profile is there, and comes from the instance itself.
    expect(colour.policy).toContain('to its ICC profile');
    const root = `GET /dicom-web/studies/${series.studyInstanceUid}/series/${series.seriesInstanceUid}`;
    expect(archive.requests).toEqual([
      `${root}/metadata`,
      `${root}/instances/${testUid('slide-instance-1-0')}`,
    ]);
    expect(stranger.requests).toEqual([]);
  } finally {
    await codecs.close();
    await source.close();
  }
});
