/** The preview's worker in Chromium against the server, from frames as they are stored. */
import { textOf } from '../../server/src/dicom/json-model.ts';
import '../../server/src/codec/node-codecs.ts';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeFrame } from '../../core/src/codec/decode-frame.ts';
import { blankRaster, copyOverlap, WHITE } from '../../core/src/image/raster.ts';
import { windowAround } from '../../core/src/image/windows.ts';
import { makeTransfer, type Transfer } from '../../core/src/stain/transfer.ts';
import { TRANSFERS } from '../../core/src/stain/transfer-name.ts';
import type { WorkerRequest } from '../../extension/src/preview/messages.ts';
import { encodeFrame } from '../../server/src/codec/encode-frame.ts';
import { loadConfig } from '../../server/src/config.ts';
import { fitStain } from '../../server/src/pipeline/fit.ts';
import { openSeries } from '../../server/src/pipeline/open-series.ts';
import { ProgressTracker } from '../../server/src/pipeline/progress.ts';
import { openArchiveLocation } from '../../server/src/wiring/archive-location.ts';
import { compose } from '../../server/src/wiring/composition.ts';
import { encodeJpegLs, encodeRle } from '../codec/encoders.ts';
import { frameFormat, testFrame } from '../codec/frames.ts';
import { suiteResources } from '../support/suite-resources.ts';
import {
  browserMissing,
  launchBrowser,
  openPage,
  type RunningService,
  startService,
} from '../support/viewer.ts';

const sample = fileURLToPath(new URL('../../scripts/sample/', import.meta.url));
const signal = AbortSignal.timeout(180_000);

describe.skipIf(browserMissing)('the preview’s worker', { timeout: 180_000 }, () => {
  const shared = suiteResources();
  let service: RunningService;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    service = shared.use(await startService());
    browser = shared.use(await launchBrowser());
    ({ page } = await openPage(browser));
    await page.goto(service.url);
    await page.evaluate(async () => {
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
      Object.assign(globalThis, { ask });
    });
  }, 120_000);

  /** The core of a window from the worker, RGB. */
  async function normalized(
    request: Omit<Extract<WorkerRequest, { kind: 'normalize' }>, 'kind' | 'glass' | 'transfer'> & {
      readonly transfer: Transfer;
    },
  ) {
    const { window, core, transfer, table } = request;
    const base64 = (bytes: ArrayBuffer | Uint8Array): string =>
      Buffer.from(bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes)).toString('base64');
    const rgb = await page.evaluate(
      async ({ window, core, table, transfer }) => {
        const bytesOf = (text: string) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
        const { ask } = globalThis as unknown as {
          ask(message: object): Promise<{
            kind: string;
            message?: string;
            code?: string;
            bitmap: ImageBitmap;
            rgb: Uint8Array;
          }>;
        };
        const frames = window.frames.map((frame) => ({ ...frame, bytes: bytesOf(frame.bytes).buffer }));
        const colours = table === null ? null : bytesOf(table);
        const by = JSON.parse(transfer, (_, value) => {
          const arrays = { Float32Array, Int32Array, Uint8Array };
          const [name, values] = Object.entries(value ?? {})[0] ?? [];
          const array = arrays[name as keyof typeof arrays];
          return array ? array.from(values as number[]) : value;
        }) as Transfer;
        const answer = await ask(
          by.name === 'linear'
            ? { kind: 'map', window: { ...window, ...core, frames }, table: colours, tables: by.tables }
            : {
                kind: 'normalize',
                window: { ...window, frames },
                core,
                table: colours,
                glass: [255, 255, 255],
                transfer: by,
              },
        );
        if (answer.kind === 'pixels') return [...answer.rgb];
        if (answer.kind !== 'tile') throw new Error(`${answer.code}: ${answer.message}`);
        const context = new OffscreenCanvas(core.width, core.height).getContext('2d')!;
        context.drawImage(answer.bitmap, 0, 0);
        const { data } = context.getImageData(0, 0, core.width, core.height);
        return [...data].filter((_, at) => at % 4 < 3);
      },
      {
        window: {
          ...window,
          frames: window.frames.map((frame) => ({ ...frame, bytes: base64(frame.bytes) })),
        },
        core,
        table: table === null ? null : base64(table),
        // Typed arrays do not travel; each goes as an object with its name.
        transfer: JSON.stringify(transfer, (_, value) =>
          ArrayBuffer.isView(value) ? { [value.constructor.name]: [...(value as Uint8Array)] } : value,
        ),
      },
    );
    return Uint8Array.from(rgb);
  }

  test.each(TRANSFERS)('a tile is the server’s result, to two grey levels: %s', async (name) => {
    const spool = await mkdtemp(join(tmpdir(), 'parity-'));
    await using composition = compose(
      loadConfig({ env: { STAIN_SPOOL_DIRECTORY: spool, STAIN_DEVICE: 'cpu' } }),
    );
    await using archive = await openArchiveLocation(sample, composition.config, { create: false });
    const [json] = await archive.client.searchSeries({}, signal);
    const uid = (tag: string): string => textOf(json!, tag)!;
    const series = { studyInstanceUid: uid('0020000D'), seriesInstanceUid: uid('0020000E') };
    const environment = composition.environment({ source: archive.client, destination: archive.client });
    await using open = await openSeries(series, environment, new ProgressTracker(() => {}), signal);
    const network = await composition.network('reference');
    const base = open.base(WHITE);
    const fit = await fitStain(base, open.overviews(WHITE), network, { signal });
    const { classNames, halo, alignment } = network.model;
    const template = await composition.templates.get('he-violet');
    const transfer = makeTransfer(name, fit, template, classNames);

    const level = open.slide.levels[0]!;
    const { columns, rows } = level;
    const core = { x: 4 * columns, y: 4 * rows, width: columns, height: rows };
    const window = windowAround(core, base, { halo, alignment });
    const { width, height } = window;
    const tile = (await base.read(window, signal)).rgb;
    const rgb =
      transfer.name === 'linear'
        ? await network.linear(tile, transfer.tables, signal)
        : await network.apply({ tile, width, height, coefficients: transfer.coefficients }, signal);
    const expected = blankRaster(columns, rows);
    copyOverlap({ width, height, rgb }, window, expected, core);

    const near = level.frames.filter(
      ({ x, y }) => Math.abs(x - core.x) <= columns && Math.abs(y - core.y) <= rows,
    );
    const frames = [];
    for (const { x, y, instance, frame } of near)
      for await (const { bytes } of archive.client.retrieveFrames(
        series.studyInstanceUid,
        series.seriesInstanceUid,
        level.instances[instance]!.sopInstanceUid,
        [frame + 1],
        signal,
      ))
        frames.push({
          x,
          y,
          width: columns,
          height: rows,
          key: `${frame}`,
          bytes: Uint8Array.from(bytes).buffer,
          photometricInterpretation: 'YBR_FULL_422',
          planarConfiguration: 0,
          native: null,
        });
    const actual = await normalized({
      window: { ...window, frames, planeWidth: base.width, planeHeight: base.height },
      core,
      table: null,
      transfer,
    });
    const differences = expected.rgb.map((value, i) => Math.abs(value - actual[i]!));
    const largest = differences.reduce((most, one) => Math.max(most, one), 0);
    const beyond = differences.filter((one) => one > 2).length / differences.length;
    console.log(`largest difference ${largest}, beyond two grey levels: ${(beyond * 100).toFixed(3)} %`);
    // Tables are whole numbers: nothing may differ.
    expect(largest).toBeLessThanOrEqual(name === 'linear' ? 0 : 2);
    await rm(spool, { recursive: true, force: true });
  });

  const [columns, rows] = [96, 64];
  const picture = testFrame(columns, rows);
  const encoded = (encoding: 'jpeg' | 'jpeg2000' | 'htj2k') =>
    encodeFrame(picture, { columns, rows, encoding, quality: 80 });

  /** Nothing is denser than this fade: the pixels come back as they were decoded. */
  const untouched: Transfer = {
    name: 'paper',
    fade: { low: 9, high: 10 },
    notes: [],
    coefficients: { scale: new Float32Array(12), offset: new Float32Array(12), fade: [9, 10], blueness: 0 },
  };

  const decodedHere = async (
    bytes: Uint8Array,
    key: string,
    more: object = {},
    table: Uint8Array | null = null,
  ) =>
    normalized({
      window: {
        x: 0,
        y: 0,
        width: columns,
        height: rows,
        planeWidth: columns,
        planeHeight: rows,
        frames: [
          {
            x: 0,
            y: 0,
            width: columns,
            height: rows,
            key,
            bytes: Uint8Array.from(bytes).buffer,
            photometricInterpretation: 'RGB',
            planarConfiguration: 0,
            native: null,
            ...more,
          },
        ],
      },
      core: { x: 0, y: 0, width: columns, height: rows },
      table,
      transfer: untouched,
    });

  test.each<[string, string, () => Promise<Uint8Array> | Uint8Array, object]>([
    ['JPEG', '1.2.840.10008.1.2.4.50', () => encoded('jpeg'), {}],
    ['JPEG 2000', '1.2.840.10008.1.2.4.90', () => encoded('jpeg2000'), {}],
    ['HTJ2K', '1.2.840.10008.1.2.4.201', () => encoded('htj2k'), {}],
    ['JPEG-LS', '1.2.840.10008.1.2.4.80', () => encodeJpegLs(picture, columns, rows, 2), {}],
    ['RLE', '1.2.840.10008.1.2.5', () => encodeRle(picture), {}],
    ['uncompressed', '1.2.840.10008.1.2.1', () => picture, {}],
    [
      'uncompressed YBR_FULL',
      '1.2.840.10008.1.2.1',
      () => picture,
      { photometricInterpretation: 'YBR_FULL' },
    ],
    [
      'uncompressed YBR_FULL_422',
      '1.2.840.10008.1.2.1',
      () => picture.subarray(0, columns * rows * 2),
      { photometricInterpretation: 'YBR_FULL_422' },
    ],
    ['planes', '1.2.840.10008.1.2.1', () => picture, { planarConfiguration: 1 }],
  ])('decodes %s as the server does, to the last bit', async (name, uid, encode, more) => {
    const bytes = await encode();
    const expected = await decodeFrame(bytes, frameFormat(uid, columns, rows, more));
    expect(await decodedHere(bytes, name, more)).toEqual(expected);
  });

  test('one frame with and without a colour table, in either order', async () => {
    const black = new Uint8Array(52 ** 3 * 3);
    expect(Math.max(...(await decodedHere(picture, 'coloured', {}, black)))).toBe(0);
    expect(await decodedHere(picture, 'coloured')).toEqual(picture);
    expect(Math.max(...(await decodedHere(picture, 'coloured', {}, black)))).toBe(0);
  });

  test('a frame that cannot be read is named by the server’s code, and may be read the next time', async () => {
    await expect(decodedHere(new Uint8Array(100), 'damaged')).rejects.toThrow('FRAME_INVALID');
    expect(await decodedHere(picture, 'damaged')).toEqual(picture);
  });
});
