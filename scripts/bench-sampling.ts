/** How many windows the fit needs: the error of the mean colours of a sample, compared with those of all windows. */
import { join } from 'node:path';
import { WHITE } from '../core/src/image/raster.ts';
import { addSums, classStatistics, samplingError } from '../core/src/stain/statistics.ts';
import { chooseSamples, lookAt, measure, SAMPLE_CORE, surveyTissue } from '../server/src/pipeline/fit.ts';
import { openArchiveLocation } from '../server/src/wiring/archive-location.ts';
import { type Place, signal } from './bench-run.ts';
import { openOnly } from './bench-slide.ts';

const COUNTS = [8, 16, 32, 64, 128];
/** Number of windows that counts as all. */
const ALL = 1024;

export async function measureSampling(
  place: Place,
  folders: readonly string[],
  model: string,
): Promise<void> {
  const { composition } = place;
  const network = await composition.network(model);
  const { halo, alignment } = network.model;
  console.log(
    `\n### Windows sampled for the fit, \`${model}\`: error of the mean colours, optical density\n`,
  );
  console.log(`| slide | windows of tissue | ${COUNTS.map((n) => `${n}: true, estimated`).join(' | ')} |`);
  console.log(`|---|---|${'---|'.repeat(COUNTS.length)}`);
  for (const folder of folders) {
    await using archive = await openArchiveLocation(folder, composition.config, { create: false });
    await using open = await openOnly(composition, archive);
    const base = open.base(WHITE);
    const geometry = { halo, alignment, coreSize: SAMPLE_CORE };
    const survey = await surveyTissue(base, open.overviews(WHITE), geometry, signal);
    const parts: Float64Array[] = [];
    for (const { window } of chooseSamples(survey.windows, ALL)) {
      const seen = await lookAt(base, window, survey, signal);
      parts.push((await measure(seen, 1, network, signal)).sums);
    }
    const cells = COUNTS.map((n) => {
      if (n >= parts.length) return '';
      const some = parts.slice(0, n);
      return `${distance(some, parts).toFixed(4)}, ${samplingError(some, parts.length).toFixed(4)}`;
    });
    console.log(`| ${join(folder).split('/').at(-1)} | ${parts.length} | ${cells.join(' | ')} |`);
  }
}

/** Root mean square of the differences in D, and in cx and cy times D, of the tissue classes, weighted by share. */
function distance(some: readonly Float64Array[], all: readonly Float64Array[]): number {
  const statistics = (parts: readonly Float64Array[]) => {
    const total = new Float64Array(parts[0]!.length);
    for (const part of parts) addSums(total, part);
    return classStatistics(total).slice(0, -1);
  };
  const found = statistics(some);
  const truth = statistics(all);
  let [square, share] = [0, 0];
  for (const [k, { mean, share: ofClass }] of truth.entries()) {
    share += ofClass;
    for (const c of [0, 1, 2] as const)
      square += (ofClass * ((found[k]!.mean[c] - mean[c]) * (c === 0 ? 1 : mean[0])) ** 2) / 3;
  }
  return Math.sqrt(square / share);
}
