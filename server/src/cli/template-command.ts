/** `template add`: from pictures, or from a series in a folder or archive. */

import { type Composition, VERSION } from '../composition.ts';
import { StainError } from '../errors.ts';
import { makeSeriesTemplate } from '../normalization/series-stain.ts';
import { type Template, templateId } from '../stain/template.ts';
import { openArchiveLocation } from './archive-location.ts';
import { chooseSeries } from './choose-series.ts';
import { isPicture, templateFromImages } from './image-commands.ts';

export interface TemplateAddArguments {
  readonly id: string;
  /** Pictures, or one folder or DICOMweb URL. */
  readonly source: readonly string[];
  readonly name: string;
  readonly description: string;
  readonly licence: string;
  readonly provenance?: string;
  readonly study?: string;
  readonly series?: string;
  readonly model: string;
  readonly replace: boolean;
}

export async function templateAddCommand(
  args: TemplateAddArguments,
  composition: Composition,
  signal: AbortSignal,
): Promise<{ template: Template; file: string }> {
  if (!templateId.safeParse(args.id).success)
    throw new StainError(
      'REQUEST_INVALID',
      'A template id has lower-case letters, digits and hyphens, at most 63 characters.',
    );
  const template = args.source.every(isPicture)
    ? await fromPictures(args, composition, signal)
    : await fromSeries(args, composition, signal);
  return { template, file: await composition.templates.add(template, { replace: args.replace }) };
}

const CREATED_BY = `stain-normalization ${VERSION}`;

async function fromPictures(
  args: TemplateAddArguments,
  composition: Composition,
  signal: AbortSignal,
): Promise<Template> {
  const network = await composition.network(args.model);
  return templateFromImages(args.source, { ...args, source: args.provenance }, network, CREATED_BY, signal);
}

async function fromSeries(
  args: TemplateAddArguments,
  composition: Composition,
  signal: AbortSignal,
): Promise<Template> {
  const [location, ...more] = args.source;
  if (more.length > 0)
    throw new StainError('REQUEST_INVALID', 'Name pictures, or one folder or DICOMweb URL.');
  await using source = await openArchiveLocation(location!, composition.config, { create: false });
  const series = await chooseSeries(source.client, args, signal);
  const environment = composition.environment({ source: source.client, destination: source.client });
  const provenance = {
    source: args.provenance ?? `series ${series.seriesInstanceUid}`,
    licence: args.licence,
    createdAt: new Date().toISOString(),
    createdBy: CREATED_BY,
  };
  // Awaited here: the archive is closed when this function is left.
  return await makeSeriesTemplate(
    series,
    undefined,
    await composition.network(args.model),
    environment,
    { ...args, provenance },
    signal,
  );
}
