/** Commands on pictures: normalise one, or make a template of several. */
import { basename, extname } from 'node:path';
import { readImage, thumbnailJpeg, writeImage } from '../codec/image-file.ts';
import type { Composition } from '../composition.ts';
import { StainError } from '../errors.ts';
import type { StainNetwork } from '../inference/network.ts';
import { fitStain } from '../normalization/fit.ts';
import { makeTemplate } from '../normalization/make-template.ts';
import { normalizePixels } from '../normalization/normalize-pixels.ts';
import { requireHe, type StainPolicy } from '../normalization/require-he.ts';
import type { ClassStatistics } from '../normalization/types.ts';
import { memorySource } from '../slide/pixel-source.ts';
import { blankRaster, copyOverlap, type Raster } from '../slide/raster.ts';
import type { Stain } from '../stain/stain.ts';
import { requireTemplateOf } from '../stain/template.ts';
import type { Template } from '../stain/template-document.ts';
import { makeTransfer } from '../stain/transfer.ts';
import type { TransferName } from '../stain/transfer-name.ts';

export interface NormalizeImageResult {
  readonly output: string;
  readonly width: number;
  readonly height: number;
  readonly classes: readonly ClassStatistics[];
  readonly notes: readonly string[];
}

/**
 * @param args template: the id of a template, or the path of a picture to take the stain from
 * @throws STAIN_NOT_HE for a picture that is not H&E, unless `anyStain` is set
 */
export async function normalizeImageCommand(
  args: {
    input: string;
    output: string;
    template: string;
    model: string;
    transfer: TransferName;
  } & StainPolicy,
  composition: Composition,
  signal: AbortSignal,
): Promise<NormalizeImageResult> {
  const network = await composition.network(args.model);
  const notes: string[] = [];
  const note = (text: string): void => void notes.push(text);
  const picture = await readImage(args.input, note);
  const target = await targetStain(args, network, composition, note, signal);
  const pixels = memorySource(picture);
  const fit = await fitStain(pixels, [pixels], network, { signal });
  requireHe(fit, args);
  const transfer = makeTransfer(args.transfer, fit, target, network.model.classNames);
  const normalized = blankRaster(picture.width, picture.height);
  await normalizePixels(pixels, network, transfer, {
    signal,
    sink: async (core, at) => {
      copyOverlap(core, at, normalized, { x: 0, y: 0 });
    },
  });
  await writeImage(args.output, normalized);
  return {
    output: args.output,
    width: picture.width,
    height: picture.height,
    classes: fit.classes,
    notes: [...notes, ...fit.notes, ...transfer.notes],
  };
}

/** True for a path that ends like a picture. */
export function isPicture(path: string): boolean {
  return /^\.(png|jpe?g|tiff?)$/i.test(extname(path));
}

async function targetStain(
  { template, anyStain }: { readonly template: string } & StainPolicy,
  network: StainNetwork,
  composition: Composition,
  onNote: (note: string) => void,
  signal: AbortSignal,
): Promise<Stain> {
  if (isPicture(template)) {
    const pixels = memorySource(await readImage(template, onNote));
    const fit = await fitStain(pixels, [pixels], network, { signal });
    requireHe(fit, { anyStain });
    return fit;
  }
  const found = await composition.templates.get(template);
  requireTemplateOf(found, network.model);
  return found;
}

/** Each picture is a slide: they count alike, whatever their size. */
export async function templateFromImages(
  paths: readonly string[],
  description: {
    id: string;
    name: string;
    description: string;
    licence: string;
    source?: string | undefined;
  },
  network: StainNetwork,
  createdBy: string,
  policy: StainPolicy,
  signal: AbortSignal,
): Promise<Template> {
  if (paths.length === 0) throw new StainError('REQUEST_INVALID', 'Name at least one image.');
  const pictures: Raster[] = [];
  const note = (text: string): void => void process.stderr.write(`${text}\n`);
  for (const path of paths) pictures.push(await readImage(path, note));
  const source = description.source ?? namesOf(paths);
  const provenance = { source, licence: description.licence, createdAt: new Date().toISOString(), createdBy };
  return makeTemplate(
    pictures.map((picture) => {
      const pixels = memorySource(picture);
      return { base: pixels, overviews: [pixels] };
    }),
    await thumbnailJpeg(pictures[0]!),
    network,
    { ...description, provenance },
    policy,
    signal,
  );
}

/** As many as a template can tell. */
function namesOf(paths: readonly string[]): string {
  const names = paths.map((path) => basename(path)).join(', ');
  return names.length <= 400 ? names : `${paths.length} pictures`;
}
