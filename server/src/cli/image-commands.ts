/** Commands on pictures: normalise one, or make a template from several. */
import { access, constants, stat } from 'node:fs/promises';
import { basename, dirname, extname } from 'node:path';
import { StainError } from '../../../core/src/errors.ts';
import { blankRaster, copyOverlap, type Raster } from '../../../core/src/image/raster.ts';
import type { ClassStatistics } from '../../../core/src/stain/class-statistics.ts';
import type { Stain } from '../../../core/src/stain/stain.ts';
import { requireTemplateOf } from '../../../core/src/stain/template.ts';
import type { Template } from '../../../core/src/stain/template-document.ts';
import { makeTransfer } from '../../../core/src/stain/transfer.ts';
import type { TransferName } from '../../../core/src/stain/transfer-name.ts';
import { readImage, thumbnailJpeg, writeImage } from '../codec/image-file.ts';
import type { StainNetwork } from '../inference/network.ts';
import { fitStain } from '../pipeline/fit.ts';
import { makeTemplate } from '../pipeline/make-template.ts';
import { normalizePixels } from '../pipeline/normalize-pixels.ts';
import { requireHe, type StainPolicy } from '../pipeline/require-he.ts';
import { memorySource } from '../slide/pixel-source.ts';
import type { Composition } from '../wiring/composition.ts';

export interface NormalizeImageResult {
  readonly output: string;
  readonly width: number;
  readonly height: number;
  readonly classes: readonly ClassStatistics[];
  readonly notes: readonly string[];
}

/**
 * @param args template: the id of a template, or the path of a picture with the target stain
 * @throws STAIN_NOT_HE for a picture that is not H&E, unless `anyStain` is set; REQUEST_INVALID for the output
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
  await requireOutput(args.output, [args.input, args.template].filter(isPicture));
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

/** Whether a path has a picture's extension. */
export function isPicture(path: string): boolean {
  return /^\.(png|jpe?g|tiff?)$/i.test(extname(path));
}

/**
 * Before the work, not after it.
 * @throws REQUEST_INVALID if the output is of another format, cannot be written, or is one of the pictures
 */
async function requireOutput(output: string, pictures: readonly string[]): Promise<void> {
  if (!isPicture(output))
    throw new StainError(
      'REQUEST_INVALID',
      `The name of the output must end in .png, .jpg or .tif, unlike "${output}".`,
    );
  const replaced = await identityOf(output);
  for (const picture of pictures)
    if (replaced !== undefined && replaced === (await identityOf(picture)))
      throw new StainError('REQUEST_INVALID', 'The output would replace the picture; name another file.');
  await access(replaced === undefined ? dirname(output) : output, constants.W_OK).catch((cause) => {
    throw new StainError('REQUEST_INVALID', `"${output}" cannot be written (${cause.code}).`, { cause });
  });
}

/** Identifies a file whatever its path, through links too; undefined if it does not exist. */
async function identityOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && `${found.dev} ${found.ino}`;
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

/** Each picture counts as a slide, with equal weight whatever its size. */
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
    pictures.map((picture, i) => {
      const pixels = memorySource(picture);
      return { base: pixels, overviews: [pixels], name: basename(paths[i]!) };
    }),
    await thumbnailJpeg(pictures[0]!),
    network,
    { ...description, provenance },
    policy,
    signal,
  );
}

/** As many names as a template can hold. */
function namesOf(paths: readonly string[]): string {
  const names = paths.map((path) => basename(path)).join(', ');
  return names.length <= 400 ? names : `${paths.length} pictures`;
}
