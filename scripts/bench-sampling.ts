/** How well a sample of windows, or of blocks, describes the stain of a slide: how far it moves the colours of the result. */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { BlockMean } from '../core/src/image/block-mean.ts';
import { evenlySpaced } from '../core/src/image/evenly-spaced.ts';
import { blankRaster, copyOverlap, type Raster, WHITE } from '../core/src/image/raster.ts';
import type { Window } from '../core/src/image/windows.ts';
import { ciede2000, labOf } from '../core/src/stain/ciede2000.ts';
import { applyTables } from '../core/src/stain/linear-tables.ts';
import { densityAt, tissueDensity } from '../core/src/stain/optical-density.ts';
import { addSums, classStatistics, densityStatistics } from '../core/src/stain/statistics.ts';
import { makeTransfer } from '../core/src/stain/transfer.ts';
import { isPicture } from '../server/src/cli/image-commands.ts';
import { readImage } from '../server/src/codec/image-file.ts';
import { fitStain, lookAt, measure } from '../server/src/pipeline/fit.ts';
import { blocksOf, richestWindows, SAMPLE_CORE } from '../server/src/pipeline/sample-windows.ts';
import { surveyTissue } from '../server/src/pipeline/survey.ts';
import { memorySource, type PixelSource } from '../server/src/slide/pixel-source.ts';
import { openArchiveLocation } from '../server/src/wiring/archive-location.ts';
import { type Place, signal, TEMPLATE } from './bench-run.ts';
import { openOnly } from './bench-slide.ts';

const WINDOWS = [16, 32, 64];
const BLOCKS = [64, 128, 256, 512];
/** Number of windows that counts as all. */
const ALL = 1024;
/** Maximum number of samples of each size, all different. */
const SAMPLES = 16;
/** Number of tissue pixels whose colours are compared. */
const PIXELS = 4000;
/** The parts of pictures are whole tiles; the overview of the slide that they make is smaller by this. */
const TILE = 256;
const REDUCTION = 8;

interface Pixels {
  readonly base: PixelSource;
  readonly overviews: readonly PixelSource[];
}

/** @param folders each with a slide, or with pictures of one laboratory, which are joined to one slide */
export async function measureSampling(
  place: Place,
  folders: readonly string[],
  model: string,
): Promise<void> {
  console.log(
    `\n### A sample for the fit, \`${model}\`, \`linear\`: CIEDE2000 from all windows, mean of up to ${SAMPLES} samples (worst)\n`,
  );
  const columns = [...WINDOWS.map((n) => `${n} windows`), ...BLOCKS.map((n) => `${n} blocks`)];
  console.log(`| slide | windows of tissue | ${columns.join(' | ')} |`);
  console.log(`|---|---|${'---|'.repeat(columns.length)}`);
  for (const folder of folders) {
    const pictures = (await readdir(folder)).filter(isPicture).sort();
    const work = (pixels: Pixels): Promise<string> => measureSlide(place, pixels, model);
    const cells =
      pictures.length > 0
        ? await work(await joined(pictures.map((name) => join(folder, name))))
        : await withSlide(place, folder, work);
    console.log(`| ${basename(folder)} | ${cells} |`);
  }
}

async function withSlide<T>(
  { composition }: Place,
  folder: string,
  work: (pixels: Pixels) => Promise<T>,
): Promise<T> {
  await using archive = await openArchiveLocation(folder, composition.config, { create: false });
  await using open = await openOnly(composition, archive);
  return await work({ base: open.base(WHITE), overviews: open.overviews(WHITE) });
}

/** The upper left parts of pictures beside each other, each as large as the smallest, in whole tiles. */
async function joined(files: readonly string[]): Promise<Pixels> {
  const pictures: Raster[] = [];
  for (const file of files) pictures.push(await readImage(file, () => {}));
  const side = (key: 'width' | 'height'): number =>
    Math.floor(Math.min(...pictures.map((picture) => picture[key])) / TILE) * TILE;
  const [width, height] = [side('width'), side('height')];
  const across = Math.ceil(Math.sqrt((pictures.length * height) / width));
  const down = Math.floor(pictures.length / across);
  const slide = blankRaster(across * width, down * height);
  for (const [i, picture] of pictures.slice(0, across * down).entries()) {
    const at = { x: (i % across) * width, y: Math.floor(i / across) * height };
    copyOverlap(picture, at, slide, { x: 0, y: 0 }, { ...at, width, height });
  }
  const base = memorySource(slide);
  const small = new BlockMean(slide.width, slide.height, REDUCTION);
  small.add(slide, 0, 0);
  return { base, overviews: [memorySource(small.picture()), base] };
}

async function measureSlide(
  { composition }: Place,
  { base, overviews }: Pixels,
  model: string,
): Promise<string> {
  const network = await composition.network(model);
  const { halo, alignment } = network.model;
  const template = await composition.templates.get(TEMPLATE);
  const survey = await surveyTissue(base, overviews, { halo, alignment, coreSize: SAMPLE_CORE }, signal);
  const fit = await fitStain(base, overviews, network, { signal });
  const tissue: number[] = [];
  const sumsOf = async (windows: readonly Window[]): Promise<Float64Array[]> => {
    const sums: Float64Array[] = [];
    for (const window of windows) {
      const seen = await lookAt(base, window, survey, signal);
      if (windows.length === all.length) tissue.push(...tissueOf(seen.raster, fit.glass.density));
      sums.push((await measure(seen, fit.gain, network, signal)).sums);
    }
    return sums;
  };
  const all = richestWindows(survey.windows, ALL)
    .map(({ window }) => window)
    .sort((a, b) => a.y - b.y || a.x - b.x);
  const whole = await sumsOf(all);
  const blocks = await sumsOf(all.flatMap((window) => blocksOf(window, base, network.model)));
  const pixels = Uint8Array.from(evenlySpaced(tissue, PIXELS).flatMap((colour) => bytesOf(colour)));
  const mapped = (parts: readonly Float64Array[]): Uint8Array => {
    const sums = new Float64Array(parts[0]!.length);
    for (const part of parts) addSums(sums, part);
    const stain = { ...fit, classes: classStatistics(sums), densities: densityStatistics(sums) };
    const transfer = makeTransfer('linear', stain, template, network.model.classNames);
    const result = pixels.slice();
    if (transfer.name === 'linear') applyTables(transfer.tables, result);
    return result;
  };
  const truth = mapped(whole);
  const error = (parts: readonly Float64Array[], count: number): string => {
    const stride = Math.floor(parts.length / count);
    if (stride < 2) return '';
    const errors = evenlySpaced(
      Array.from({ length: stride }, (_, i) => i),
      SAMPLES,
    ).map((first) => meanDistance(truth, mapped(parts.filter((_, i) => i % stride === first))));
    const mean = errors.reduce((sum, one) => sum + one, 0) / errors.length;
    return `${mean.toFixed(2)} (${Math.max(...errors).toFixed(2)})`;
  };
  const cells = [...WINDOWS.map((n) => error(whole, n)), ...BLOCKS.map((n) => error(blocks, n))];
  return [all.length, ...cells].join(' | ');
}

/** Some colours of a window's tissue, as numbers. */
function tissueOf({ rgb }: Raster, glassDensity: number): number[] {
  const colours: number[] = [];
  for (let pixel = 0; pixel < rgb.length / 3; pixel += 997)
    if (densityAt(rgb, pixel) > tissueDensity(glassDensity))
      colours.push(rgb[pixel * 3]! | (rgb[pixel * 3 + 1]! << 8) | (rgb[pixel * 3 + 2]! << 16));
  return colours;
}

function bytesOf(colour: number): number[] {
  return [colour & 255, (colour >> 8) & 255, colour >> 16];
}

function meanDistance(a: Uint8Array, b: Uint8Array): number {
  const labAt = (rgb: Uint8Array, i: number) => labOf(rgb[i]!, rgb[i + 1]!, rgb[i + 2]!);
  let sum = 0;
  for (let i = 0; i < a.length; i += 3) sum += ciede2000(labAt(a, i), labAt(b, i));
  return sum / (a.length / 3);
}
