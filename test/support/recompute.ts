/** What the base level of a result must be, computed in another way. */
import { fitStain } from '../../server/src/normalization/fit.ts';
import { normalizePixels } from '../../server/src/normalization/normalize-pixels.ts';
import { openSeries } from '../../server/src/normalization/open-series.ts';
import { ProgressTracker } from '../../server/src/normalization/progress.ts';
import type { NormalizationResult } from '../../server/src/normalization/types.ts';
import { memorySource } from '../../server/src/slide/pixel-source.ts';
import { blankRaster, copyOverlap, type Raster } from '../../server/src/slide/raster.ts';
import { makeTransfer } from '../../server/src/stain/transfer.ts';
import type { Workplace } from './normalize.ts';

const { signal } = new AbortController();

/**
 * The base level again, as one picture in memory and in one piece: not the way the product goes.
 * @param pixels of the source's base level, where others have read them
 */
export async function recompute(
  { composition, open }: Workplace,
  source: string,
  result: NormalizationResult,
  pixels?: Raster,
): Promise<Uint8Array> {
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
  const whole = pixels ?? (await base.read({ x: 0, y: 0, width: base.width, height: base.height }, signal));
  const normalized = blankRaster(base.width, base.height);
  await normalizePixels(
    memorySource(whole),
    network,
    makeTransfer(result.transfer ?? 'linear', fit, template, network.model.classNames),
    {
      signal,
      coreSize: 2048,
      sink: async (core, at) => {
        copyOverlap(core, at, normalized, { x: 0, y: 0 });
      },
    },
  );
  return normalized.rgb;
}
