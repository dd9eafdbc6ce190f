/** The preview's worker: decodes, runs the network, draws differences. One request at a time. */
import './browser-codecs.ts';
import type { InferenceSession } from 'onnxruntime-web';
import { StainError } from '../../../core/src/errors.ts';
import { blankRaster, copyOverlap, type Raster } from '../../../core/src/image/raster.ts';
import { ciede2000, labOf } from '../../../core/src/stain/ciede2000.ts';
import { gainOf } from '../../../core/src/stain/linear.ts';
import { applyTables } from '../../../core/src/stain/linear-tables.ts';
import {
  BLACK_DENSITY,
  BrightPixels,
  densityAt,
  isNowhereDenser,
  requireTissue,
  tissueDensity,
} from '../../../core/src/stain/optical-density.ts';
import { classStatistics, densityStatistics } from '../../../core/src/stain/statistics.ts';
import { differenceColour } from './difference-scale.ts';
import type { WorkerAnswer, WorkerRequest } from './messages.ts';
import { type OpenRuntime, openRuntime } from './runtime.ts';
import { readWindow } from './window-pixels.ts';

type Of<K extends WorkerRequest['kind']> = Extract<WorkerRequest, { kind: K }>;

let network: { runtime: OpenRuntime; apply: InferenceSession; statistics: Uint8Array } | undefined;

async function open({ graphs, wasmPaths }: Of<'open'>): Promise<WorkerAnswer> {
  const runtime = await openRuntime(wasmPaths);
  network = { runtime, apply: await runtime.session(graphs.apply), statistics: graphs.statistics };
  return { kind: 'opened', executionProvider: runtime.executionProvider };
}

async function normalize({ window, core, table, glass, transfer }: Of<'normalize'>): Promise<WorkerAnswer> {
  const raster = await readWindow(window, table, glass);
  const tile = blankRaster(core.width, core.height);
  copyOverlap(raster, window, tile, core);
  // Windows that the network would return unchanged skip it.
  if (!isNowhereDenser(tile, transfer.fade.low)) {
    const { scale, offset, fade, blueness } = transfer.coefficients;
    const { runtime, apply } = network!;
    const { width, height } = raster;
    const classes = scale.length / 3;
    const { normalized } = await apply.run({
      tile: new runtime.Tensor('uint8', raster.rgb, [1, height, width, 3]),
      scale: new runtime.Tensor('float32', scale, [classes, 3]),
      offset: new runtime.Tensor('float32', offset, [classes, 3]),
      fade: new runtime.Tensor('float32', Float32Array.from(fade), [2]),
      blueness: new runtime.Tensor('float32', Float32Array.of(blueness), [1]),
    });
    copyOverlap({ width, height, rgb: (await normalized!.getData()) as Uint8Array }, window, tile, core);
  }
  return { kind: 'tile', bitmap: await bitmapOf(tile) };
}

async function map({ window, table, tables }: Of<'map'>): Promise<WorkerAnswer> {
  const { rgb } = await readWindow(window, table);
  applyTables(tables, rgb);
  return { kind: 'pixels', rgb };
}

async function fit({ window, table }: Of<'fit'>): Promise<WorkerAnswer> {
  const { runtime, statistics } = network!;
  const raster = await readWindow(window, table);
  const { width, height, rgb } = raster;
  const glass = new BrightPixels().add(raster).glass();
  const minDensity = tissueDensity(glass.density);
  const weight = new Uint8Array(width * height);
  let [tissue, sum] = [0, 0];
  for (let pixel = 0; pixel < weight.length; pixel++) {
    const density = densityAt(rgb, pixel);
    // The black rim of a scan does not count.
    if (density >= BLACK_DENSITY) continue;
    weight[pixel] = 1;
    if (density <= minDensity) continue;
    tissue++;
    sum += density;
  }
  requireTissue(tissue);
  const session = await runtime.session(statistics);
  try {
    const { sums } = await session.run({
      tile: new runtime.Tensor('uint8', rgb, [1, height, width, 3]),
      weight: new runtime.Tensor('uint8', weight, [1, height, width]),
      gain: new runtime.Tensor('float32', Float32Array.of(gainOf(sum / tissue)), [1]),
    });
    const found = (await sums!.getData()) as Float64Array;
    return { kind: 'fitted', classes: classStatistics(found), densities: densityStatistics(found), glass };
  } finally {
    await session.release();
  }
}

async function difference({ against, table, normalized }: Of<'difference'>): Promise<WorkerAnswer> {
  const a = await readWindow(against, table);
  const b = 'frames' in normalized ? await readWindow(normalized, null) : { ...a, rgb: a.rgb.slice() };
  if (!('frames' in normalized)) applyTables(normalized, b.rgb);
  const map = blankRaster(a.width, a.height);
  for (let at = 0; at < a.rgb.length; at += 3) {
    const before = labOf(a.rgb[at]!, a.rgb[at + 1]!, a.rgb[at + 2]!);
    const after = labOf(b.rgb[at]!, b.rgb[at + 1]!, b.rgb[at + 2]!);
    map.rgb.set(differenceColour(ciede2000(before, after)), at);
  }
  return { kind: 'tile', bitmap: await bitmapOf(map) };
}

function bitmapOf({ width, height, rgb }: Raster): Promise<ImageBitmap> {
  const image = new ImageData(width, height);
  for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
    image.data[to] = rgb[from]!;
    image.data[to + 1] = rgb[from + 1]!;
    image.data[to + 2] = rgb[from + 2]!;
    image.data[to + 3] = 255;
  }
  return createImageBitmap(image, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
}

function answer(request: WorkerRequest): Promise<WorkerAnswer> {
  switch (request.kind) {
    case 'open':
      return open(request);
    case 'normalize':
      return normalize(request);
    case 'map':
      return map(request);
    case 'fit':
      return fit(request);
    case 'difference':
      return difference(request);
  }
}

function failure(error: unknown): WorkerAnswer {
  const message = error instanceof Error ? error.message : String(error);
  return { kind: 'failed', message, ...(error instanceof StainError && { code: error.code }) };
}

/** What is handed over rather than copied. */
function movedWith(reply: WorkerAnswer): Transferable[] {
  if (reply.kind === 'tile') return [reply.bitmap];
  return reply.kind === 'pixels' ? [reply.rgb.buffer as ArrayBuffer] : [];
}

self.addEventListener('message', async ({ data }: MessageEvent<WorkerRequest>) => {
  const reply = await answer(data).catch(failure);
  self.postMessage(reply, { transfer: movedWith(reply) });
});
