/** Moves every window of a plane, by the network or by tables, and hands the normalised cores on. */
import type { StainNetwork } from '../inference/network.ts';
import { isNowhereDenser } from '../slide/optical-density.ts';
import type { PixelSource } from '../slide/pixel-source.ts';
import { blankRaster, copyOverlap, type Raster } from '../slide/raster.ts';
import { type Rectangle, type Window, windowsOf } from '../slide/windows.ts';
import type { Transfer } from '../stain/transfer.ts';

export interface NormalizePixelsOptions {
  readonly signal: AbortSignal;
  /** Largest core of a window, in pixels a side. Default: what suits the device. */
  readonly coreSize?: number;
  /** Takes the normalised rectangles in order; the next windows are in the network meanwhile. */
  readonly sink: (core: Raster, at: { x: number; y: number }) => Promise<void>;
  /** Rectangles that need not be read: the sink does not get them. Default: none. */
  readonly isSkipped?: (core: Rectangle) => boolean;
  /** Windows, of those that are not skipped, that the sink has had already. Default 0. */
  readonly windowsDone?: number;
  /** After the last window of a row, with the windows that are done: the sink has had all of them and none else. */
  readonly onRow?: (windowsDone: number) => Promise<void>;
  /** Pixels that are done and those that there are to do: the skipped ones are in neither. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Normalises a plane. A window in which no pixel is denser than the lower end of the fade is not sent through the
 * network, which would return it unchanged. Tables are so fast that they look at every window.
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
  // Tables look at one pixel only.
  const { halo, alignment } = transfer.name === 'paper' ? network.model : { halo: 0, alignment: 1 };
  const all = windowsOf(source.width, source.height, { halo, alignment, coreSize });
  const wanted = [...all].filter(({ core }) => !isSkipped?.(core));
  const windows = wanted.slice(windowsDone);
  const area = ({ core }: Window): number => core.width * core.height;
  const sizeOf = (some: readonly Window[]): number => some.reduce((sum, window) => sum + area(window), 0);
  const total = sizeOf(wanted);
  let done = sizeOf(wanted.slice(0, windowsDone));
  let finished = 0;
  // One more than the network takes at once, so that it never waits for pixels.
  const most = network.lanes + 1;
  const reads: Promise<Raster>[] = [];
  const readUpTo = (end: number): void => {
    for (const window of windows.slice(reads.length, end)) {
      const raster = source.read(window, signal);
      // A failure is met when the window's turn comes; until then it must not count as unhandled.
      raster.catch(() => {});
      reads.push(raster);
    }
  };
  const underWay: { readonly core: Promise<Raster>; readonly window: Window }[] = [];
  const finishOldest = async (): Promise<void> => {
    const { core, window } = underWay.shift()!;
    await sink(await core, window.core);
    done += area(window);
    finished++;
    if (windows[finished]?.y !== window.y) await onRow?.(windowsDone + finished);
    onProgress?.(done, total);
  };
  for (const [i, window] of windows.entries()) {
    signal.throwIfAborted();
    readUpTo(i + most);
    const raster = await reads[i]!;
    delete reads[i];
    const core = normalizeWindow(raster, window, network, transfer, signal);
    core.catch(() => {});
    underWay.push({ core, window });
    if (underWay.length >= most) await finishOldest();
  }
  while (underWay.length > 0) await finishOldest();
}

async function normalizeWindow(
  raster: Raster,
  window: Window,
  network: StainNetwork,
  transfer: Transfer,
  signal: AbortSignal,
): Promise<Raster> {
  const core = blankRaster(window.core.width, window.core.height);
  copyOverlap(raster, window, core, window.core);
  if (transfer.name === 'linear')
    return { ...core, rgb: await network.linear(core.rgb, transfer.tables, signal) };
  if (isNowhereDenser(core, transfer.fade.low)) return core;
  const { width, height } = raster;
  const rgb = await network.apply(
    { tile: raster.rgb, width, height, coefficients: transfer.coefficients },
    signal,
  );
  copyOverlap({ width, height, rgb }, window, core, window.core);
  return core;
}
