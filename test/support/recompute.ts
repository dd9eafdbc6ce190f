/** The levels that a result must have, computed in another way. */

import type { NormalizationResult } from '../../core/src/contract/index.ts';
import { blankRaster, copyOverlap, type Raster } from '../../core/src/image/raster.ts';
import { makeTransfer } from '../../core/src/stain/transfer.ts';
import { fitStain } from '../../server/src/pipeline/fit.ts';
import { imagesOf } from '../../server/src/pipeline/inspect-series.ts';
import { normalizePixels } from '../../server/src/pipeline/normalize-pixels.ts';
import { openSeries } from '../../server/src/pipeline/open-series.ts';
import { ProgressTracker } from '../../server/src/pipeline/progress.ts';
import { memorySource } from '../../server/src/slide/pixel-source.ts';
import type { Workplace } from './normalize.ts';

const { signal } = new AbortController();

export interface Recomputed {
  /** Of all levels, concatenated. */
  readonly pixels: Uint8Array;
  /** Width and height of what each level shows of the slide, without padding. */
  readonly sizes: readonly (readonly [number, number])[];
}

/**
 * Computes every level again, each as one picture in memory, unlike the product. The largest comes first.
 * @param pixels of the source's base level, if a peer has read them
 */
export async function recompute(
  { composition, open }: Workplace,
  source: string,
  result: NormalizationResult,
  pixels?: Raster,
): Promise<Recomputed> {
  await using archive = await open(source);
  const environment = composition.environment({ source: archive.client, destination: archive.client });
  const series = {
    studyInstanceUid: result.studyInstanceUid,
    seriesInstanceUid: result.sourceSeriesInstanceUid,
  };
  await using opened = await openSeries(series, environment, new ProgressTracker(() => {}), signal);
  const network = await composition.network(result.model.name);
  const base = opened.base([255, 255, 255]);
  const fit = await fitStain(base, opened.overviews([255, 255, 255]), network, { signal });
  const template = await composition.templates.get(result.template);
  const transfer = makeTransfer(result.transfer ?? 'linear', fit, template, network.model.classNames);
  const levels: Raster[] = [];
  const images = imagesOf(opened.slide).sort((a, b) => b.totalRows - a.totalRows);
  for (const level of images) {
    const source = opened.pixels(level, [255, 255, 255]);
    const { width, height } = source;
    const whole =
      (levels.length === 0 ? pixels : undefined) ??
      (await source.read({ x: 0, y: 0, width, height }, signal));
    const normalized = blankRaster(width, height);
    await normalizePixels(memorySource(whole), network, transfer, {
      signal,
      coreSize: 2048,
      sink: async (core, at) => {
        copyOverlap(core, at, normalized, { x: 0, y: 0 });
      },
    });
    levels.push(normalized);
  }
  return {
    pixels: Buffer.concat(levels.map(({ rgb }) => rgb)),
    sizes: levels.map(({ width, height }) => [width, height] as const),
  };
}
