/** What a browser fetches before it shows the first slide, over a slow line: bytes on the wire, none of the preview's runtime. */
import { describe, expect, test } from 'vitest';
import { browserMissing } from '../support/viewer.ts';
import { until } from './panel.ts';
import { sampleSuite } from './sample-suite.ts';

/** Megabytes; OHIF alone has 38 MB of scripts before they are compressed. */
const MAX_MEGABYTES = 8;

describe.skipIf(browserMissing)('the first slide', () => {
  const sample = sampleSuite();

  test(`comes after at most ${MAX_MEGABYTES} MB, without the runtime of the preview, and again after a tenth`, async () => {
    await using opened = await sample.open();
    const { page } = opened;
    const fetched: { url: string; bytes: number }[] = [];
    const network = await page.context().newCDPSession(page);
    const urls = new Map<string, string>();
    await network.send('Network.enable');
    network.on('Network.responseReceived', ({ requestId, response }) => urls.set(requestId, response.url));
    network.on('Network.loadingFinished', ({ requestId, encodedDataLength }) =>
      fetched.push({ url: urls.get(requestId) ?? '', bytes: encodedDataLength }),
    );
    const address = `${sample.url}stain?StudyInstanceUIDs=${sample.study}`;
    const open = async (): Promise<number> => {
      fetched.length = 0;
      await page.goto(address);
      await until(page, ({ series, templates }) => series !== null && templates.state === 'ready');
      await page.getByText('Original').first().waitFor();
      // The label may be there before the viewer of slides is loaded.
      await page.locator('.DicomMicroscopyViewer canvas').first().waitFor();
      return fetched.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6;
    };
    const first = await open();
    const runtime = fetched.filter(({ url }) => /\/ort\b|onnx|preview-worker/.test(url));
    const again = await open();
    console.info(
      JSON.stringify({
        first,
        again,
        largest: fetched.toSorted((a, b) => b.bytes - a.bytes).slice(0, 3),
      }),
    );
    expect(runtime).toEqual([]);
    expect(first).toBeLessThan(MAX_MEGABYTES);
    expect(again).toBeLessThan(first / 10);
  });
});
