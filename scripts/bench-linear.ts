/**
 * The time that `linear` takes for a slide, compared with only decoding, tables and encoding; also with a scanner's
 * profile.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { WHITE } from '../core/src/image/raster.ts';
import { makeTransfer } from '../core/src/stain/transfer.ts';
import { fitStain } from '../server/src/pipeline/fit.ts';
import { openArchiveLocation } from '../server/src/wiring/archive-location.ts';
import { makeSlide, type Place, runPipeline, signal, TEMPLATE } from './bench-run.ts';
import { openOnly, scannerProfile } from './bench-slide.ts';
import { bareMap } from './bench-stages.ts';

/** Number of frames in the bare loop: some seconds of work. */
const FRAMES = 2000;

/** @param sizes megapixels, and the fraction of them that is tissue */
export async function measureLinear(
  place: Place,
  model: string,
  sizes: readonly { readonly megapixels: number; readonly tissue: number; readonly isProfiled?: boolean }[],
): Promise<void> {
  console.log('\n### `linear`: the whole job, and its frames alone\n');
  console.log(
    '| slide, Mpx | tissue | profile | seconds | Mpx/s | fetch, fit, normalise, store: seconds | frames alone, Mpx/s | normalise / alone |',
  );
  console.log('|---|---|---|---|---|---|---|---|');
  for (const { megapixels, tissue, isProfiled } of sizes) {
    const side = Math.round(Math.sqrt(megapixels * 1e6));
    const profile = isProfiled ? await scannerProfile() : undefined;
    const slide = await makeSlide(place, 'linear', { columns: side, rows: side }, tissue, profile);
    const alone = await frames(place, slide, model);
    const result = join(place.folder, 'linear-result');
    const { rows, result: made } = await runPipeline(place, slide, result, model, 'linear');
    await rm(slide, { recursive: true });
    await rm(result, { recursive: true });
    const seconds = (stage: string): number => rows.find(({ name }) => name === stage)!.seconds;
    // Every level is mapped, except its glass.
    const mapped = tissue < 1 ? undefined : (4 / 3) * made.megapixels;
    console.log(
      `| ${megapixels} | ${tissue} | ${isProfiled ? 'P3' : 'none'} | ${made.seconds.toFixed(1)} | ${(made.megapixels / made.seconds).toFixed(1)} | ` +
        `${['fetch', 'fit', 'normalize', 'store'].map((stage) => seconds(stage).toFixed(1)).join(', ')} | ${alone.toFixed(1)} | ` +
        `${mapped === undefined ? '-' : (mapped / seconds('normalize') / alone).toFixed(2)} |`,
    );
  }
}

async function frames(place: Place, slide: string, model: string): Promise<number> {
  const { composition } = place;
  await using archive = await openArchiveLocation(slide, composition.config, { create: false });
  await using open = await openOnly(composition, archive);
  const network = await composition.network(model);
  const fit = await fitStain(open.base(WHITE), open.overviews(WHITE), network, { signal });
  const template = await composition.templates.get(TEMPLATE);
  const transfer = makeTransfer('linear', fit, template, network.model.classNames);
  if (transfer.name !== 'linear') throw new Error('not the linear transfer');
  return await bareMap(place, open, transfer.tables, FRAMES);
}
