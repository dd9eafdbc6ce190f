/** How soon a region can be shown normalised: if its slide's stain must be fitted first, and if the stain is known. */

import { DEFAULT_TRANSFER } from '../core/src/stain/transfer-name.ts';
import { chooseSeries } from '../server/src/cli/choose-series.ts';
import { previewRegion } from '../server/src/pipeline/preview-region.ts';
import { readSeriesStain, type SeriesStain } from '../server/src/pipeline/series-stain.ts';
import { openArchiveLocation } from '../server/src/wiring/archive-location.ts';
import { type Place, signal, TEMPLATE } from './bench-run.ts';

const REGION = { x: 512, y: 512, width: 1024, height: 1024 };
const RUNS = 5;

/** @param folder a slide of at least 1536 x 1536 pixels */
export async function measurePreview(place: Place, folder: string, model: string): Promise<void> {
  const { composition } = place;
  await using archive = await openArchiveLocation(folder, composition.config, { create: false });
  const series = await chooseSeries(archive, {}, signal);
  const access = composition.environment({ source: archive.client, destination: archive.client });
  const network = await composition.network(model);
  const template = await composition.templates.get(TEMPLATE);
  const show = async (stain: SeriesStain): Promise<void> => {
    const wanted = { transfer: DEFAULT_TRANSFER, region: REGION, size: REGION.width };
    const { rgb, width, height } = await previewRegion(stain, wanted, template, network, signal);
    await access.codecs.encode(rgb, { rows: height, columns: width, encoding: 'jpeg', quality: 90 }, signal);
  };
  const [first, known]: [number[], number[]] = [[], []];
  for (let i = 0; i < RUNS; i++) {
    const start = performance.now();
    const stain = await readSeriesStain(series, network, access, signal);
    await show(stain);
    first.push(performance.now() - start);
    const again = performance.now();
    await show(stain);
    known.push(performance.now() - again);
  }
  const told = (times: number[]): string => {
    const sorted = times.toSorted((a, b) => a - b);
    return `${sorted[Math.floor(RUNS / 2)]!.toFixed(0)} (${sorted[0]!.toFixed(0)} to ${sorted.at(-1)!.toFixed(0)})`;
  };
  console.log(
    `\n### A region of 1024 x 1024, \`${model}\`, frames over DICOMweb from the embedded archive\n`,
  );
  console.log(`| | milliseconds, median of ${RUNS} (minimum to maximum) |\n|---|---|`);
  console.log(`| stain fitted first | ${told(first)} |\n| stain known | ${told(known)} |`);
}
