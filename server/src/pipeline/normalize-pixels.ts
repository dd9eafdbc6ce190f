/** Normalises every window of a plane, by the network or by tables, and passes on the cores. */

import { blankRaster, copyOverlap, type Raster } from '../../../core/src/image/raster.ts';
import { type Rectangle, type Window, windowsOf } from '../../../core/src/image/windows.ts';
import { isNowhereDenser } from '../../../core/src/stain/optical-density.ts';
import type { Transfer } from '../../../core/src/stain/transfer.ts';
import type { StainNetwork } from '../inference/network.ts';
import type { PixelSource } from '../slide/pixel-source.ts';

export interface NormalizePixelsOptions {
  readonly signal: AbortSignal;
  /** Largest core of a window, in pixels a side. Default: whatever suits the device. */
  readonly coreSize?: number;
  /**
   * Receives the normalised rectangles in order, while the next windows are in the network. The pixels are reused when
   * its promise resolves.
   */
  readonly sink: (core: Raster, at: { x: number; y: number }) => Promise<void>;
  /** Rectangles that need not be read and are not passed to the sink. Default: none. */
  readonly isSkipped?: (core: Rectangle) => boolean;
  /** Number of windows, not counting skipped ones, that the sink has already received. Default 0. */
  readonly windowsDone?: number;
  /** Called after the last window of a row with the number of windows done: the sink has received exactly those. */
  readonly onRow?: (windowsDone: number) => Promise<void>;
  /** Called with the number of pixels done and the total; neither includes skipped pixels. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Normalises a plane. A window in which no pixel is denser than the lower end of the fade skips the network, which
 * would return it unchanged. Tables are so fast that they process every window.
 */
export async function normalizePixels(
  source: PixelSource,
  network: StainNetwork,
  transfer: Transfer,
  {
    signal,
    sink,
    coreSize = network.coreSize,
    isSkipped,
    windowsDone = 0,
    onRow,
    onProgress,
  }: NormalizePixelsOptions,
): Promise<void> {
  // Tables need only the pixel itself, so that what is read is the core.
  const isLinear = transfer.name === 'linear';
  const { halo, alignment } = isLinear ? { halo: 0, alignment: 1 } : network.model;
  const all = windowsOf(source.width, source.height, { halo, alignment, coreSize });
  const wanted = [...all].filter(({ core }) => !isSkipped?.(core));
  const windows = wanted.slice(windowsDone);
  const area = ({ core }: Window): number => core.width * core.height;
  const sizeOf = (some: readonly Window[]): number => some.reduce((sum, window) => sum + area(window), 0);
  const total = sizeOf(wanted);
  let done = sizeOf(wanted.slice(0, windowsDone));
  let finished = 0;
  // One more than the network processes at once, so that it never waits for pixels.
  const maxPending = network.concurrency + 1;
  const reads: Promise<Raster>[] = [];
  const readUpTo = (end: number): void => {
    for (const window of windows.slice(reads.length, end)) {
      const raster = source.read(isLinear ? window.core : window, signal);
      // A failure is reported when the window's turn comes; until then it must not count as unhandled.
      raster.catch(() => {});
      reads.push(raster);
    }
  };
  /** Pixels of cores that the sink has done with. */
  const spare: Uint8Array[] = [];
  const underWay: { readonly core: Promise<Raster>; readonly window: Window }[] = [];
  const finishOldest = async (): Promise<void> => {
    const { core, window } = underWay.shift()!;
    const pixels = await core;
    await sink(pixels, window.core);
    spare.push(pixels.rgb);
    done += area(window);
    finished++;
    if (windows[finished]?.y !== window.y) await onRow?.(windowsDone + finished);
    onProgress?.(done, total);
  };
  for (const [i, window] of windows.entries()) {
    signal.throwIfAborted();
    readUpTo(i + maxPending);
    const raster = await reads[i]!;
    delete reads[i];
    const core = normalizeWindow(raster, window, spare.pop(), network, transfer, signal);
    core.catch(() => {});
    underWay.push({ core, window });
    if (underWay.length >= maxPending) await finishOldest();
  }
  while (underWay.length > 0) await finishOldest();
}

/** @param spare pixels to reuse if their number is right */
async function normalizeWindow(
  raster: Raster,
  window: Window,
  spare: Uint8Array | undefined,
  network: StainNetwork,
  transfer: Transfer,
  signal: AbortSignal,
): Promise<Raster> {
  if (transfer.name === 'linear')
    return { ...raster, rgb: await network.linear(raster.rgb, transfer.tables, signal) };
  const { width: columns, height: rows } = window.core;
  const core =
    spare?.length === columns * rows * 3
      ? { width: columns, height: rows, rgb: spare }
      : blankRaster(columns, rows);
  copyOverlap(raster, window, core, window.core);
  if (isNowhereDenser(core, transfer.fade.low)) return core;
  const { width, height } = raster;
  const rgb = await network.apply(
    { tile: raster.rgb, width, height, coefficients: transfer.coefficients },
    signal,
  );
  copyOverlap({ width, height, rgb }, window, core, window.core);
  // Freed at once: a collection of garbage for every few dozen megabytes takes a tenth of the time.
  (rgb.buffer as ArrayBuffer).transfer(0);
  return core;
}
