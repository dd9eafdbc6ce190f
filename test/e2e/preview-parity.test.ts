/** The preview's worker in Chromium against the server's network, on the same frames of the sample slide. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { tileWindow } from '../../extension/src/preview/tile-window.ts';
import { openArchiveLocation } from '../../server/src/cli/archive-location.ts';
import { compose } from '../../server/src/composition.ts';
import { loadConfig } from '../../server/src/config.ts';
import { fitStain } from '../../server/src/normalization/fit.ts';
import { openSeries } from '../../server/src/normalization/open-series.ts';
import { ProgressTracker } from '../../server/src/normalization/progress.ts';
import { blankRaster, copyOverlap, WHITE } from '../../server/src/slide/raster.ts';
import { transferCoefficients } from '../../server/src/stain/transfer.ts';
import { browserMissing, launchBrowser, openPage, startService } from '../support/viewer.ts';

const sample = fileURLToPath(new URL('../../scripts/sample/', import.meta.url));
const signal = AbortSignal.timeout(120_000);

test.skipIf(browserMissing)(
  'on the same pixels the preview is the server’s result, to two grey levels',
  { timeout: 180_000 },
  async () => {
    const spool = await mkdtemp(join(tmpdir(), 'parity-'));
    await using composition = compose(
      loadConfig({ env: { STAIN_SPOOL_DIRECTORY: spool, STAIN_DEVICE: 'cpu' } }),
    );
    await using archive = await openArchiveLocation(sample, composition.config, { create: false });
    const [json] = await archive.client.searchSeries({}, signal);
    const uid = (tag: string): string => String(json![tag]!.Value![0]);
    const series = { studyInstanceUid: uid('0020000D'), seriesInstanceUid: uid('0020000E') };
    const environment = composition.environment({ source: archive.client, destination: archive.client });
    await using open = await openSeries(series, environment, new ProgressTracker(() => {}), signal);
    const network = await composition.network('reference');
    const base = open.base(WHITE);
    const fit = await fitStain(base, open.overview(WHITE), network, { signal });
    const { classNames, halo, alignment } = network.model;
    const template = await composition.templates.get('he-violet');
    const { scale, offset, fade } = transferCoefficients(fit, template, classNames, fit.fade);

    const level = open.slide.levels[0]!;
    const { columns, rows } = level;
    const core = { x: 4 * columns, y: 4 * rows, width: columns, height: rows };
    const window = tileWindow(core, base, { halo, alignment });
    const { width, height } = window;
    const tile = (await base.read(window, signal)).rgb;
    const rgb = await network.apply({ tile, width, height, coefficients: { scale, offset, fade } }, signal);
    const expected = blankRaster(columns, rows);
    copyOverlap({ width, height, rgb }, window, expected, core);

    // Decoded frames: browser and server decode JPEG a few levels apart, which is not the network's doing.
    const near = level.frames.filter(
      ({ x, y }) => Math.abs(x - core.x) <= columns && Math.abs(y - core.y) <= rows,
    );
    const frames: { bytes: string; x: number; y: number; width: number; height: number; key: string }[] = [];
    for (const { x, y, frame } of near) {
      const pixels = await base.read({ x, y, width: columns, height: rows }, signal);
      const bytes = Buffer.from(pixels.rgb).toString('base64');
      frames.push({ x, y, width: columns, height: rows, key: String(frame), bytes });
    }

    await using service = await startService();
    const browser = await launchBrowser();
    try {
      const { page } = await openPage(browser);
      await page.goto(service.url);
      const actual = await page.evaluate(
        async ({ frames, window, core, plane, scale, offset, fade }) => {
          const graph = async (kind: string) =>
            new Uint8Array(await (await fetch(`/api/models/reference/graphs/${kind}`)).arrayBuffer());
          const worker = new Worker('/plugins/preview-worker.mjs', { type: 'module' });
          const ask = (message: object) =>
            new Promise<{ kind: string; message?: string; bitmap: ImageBitmap }>((resolve, reject) => {
              worker.onmessage = ({ data }) => resolve(data);
              worker.onerror = ({ message }) => reject(new Error(message));
              worker.postMessage(message);
            });
          const graphs = { apply: await graph('apply'), statistics: await graph('statistics') };
          await ask({ kind: 'open', graphs, wasmPaths: new URL('/plugins/ort/', location.href).href });
          const answer = await ask({
            kind: 'normalize',
            window: {
              ...window,
              ...plane,
              frames: frames.map((frame) => ({
                ...frame,
                photometricInterpretation: 'RGB',
                bytes: Uint8Array.from(atob(frame.bytes), (character) => character.charCodeAt(0)).buffer,
              })),
            },
            core,
            table: null,
            coefficients: { scale: Float32Array.from(scale), offset: Float32Array.from(offset), fade },
          });
          if (answer.kind !== 'tile') throw new Error(answer.message);
          const context = new OffscreenCanvas(core.width, core.height).getContext('2d')!;
          context.drawImage(answer.bitmap, 0, 0);
          return [...context.getImageData(0, 0, core.width, core.height).data];
        },
        {
          frames,
          window,
          core,
          plane: { planeWidth: base.width, planeHeight: base.height },
          scale: [...scale],
          offset: [...offset],
          fade,
        },
      );
      const differences = [...expected.rgb].map((value, i) =>
        Math.abs(value - actual[Math.floor(i / 3) * 4 + (i % 3)]!),
      );
      const largest = differences.reduce((most, one) => Math.max(most, one), 0);
      const beyond = differences.filter((one) => one > 2).length / differences.length;
      console.log(`largest difference ${largest}, beyond two grey levels: ${(beyond * 100).toFixed(3)} %`);
      expect(largest).toBeLessThanOrEqual(2);
    } finally {
      await browser.close();
      await rm(spool, { recursive: true, force: true });
    }
  },
);
