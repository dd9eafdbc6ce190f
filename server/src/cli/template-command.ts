/** `template add`: from pictures, from a series in a folder or archive, or from a template file; for here or for a service. */
import { readFile } from 'node:fs/promises';
import { type Composition, VERSION } from '../composition.ts';
import { StainError } from '../errors.ts';
import { makeSeriesTemplate } from '../normalization/series-stain.ts';
import { parseTemplate } from '../stain/template.ts';
import { type Template, templateDocument, templateId } from '../stain/template-document.ts';
import { openArchiveLocation } from './archive-location.ts';
import { chooseSeries } from './choose-series.ts';
import { isPicture, templateFromImages } from './image-commands.ts';
import { describeLeftOut } from './left-out-files.ts';
import { sendTemplate } from './send-template.ts';

export interface TemplateAddArguments {
  readonly id: string;
  /** Pictures, or one folder, DICOMweb URL or template file (.json). */
  readonly source: readonly string[];
  /** Needed, with `licence`, for all but a template file. */
  readonly name?: string;
  readonly description?: string;
  readonly licence?: string;
  readonly provenance?: string;
  readonly study?: string;
  readonly series?: string;
  readonly slide?: string;
  readonly model: string;
  readonly replace: boolean;
  readonly anyStain?: true;
  /** Root of the service that it is for; the folder of templates without it. */
  readonly to?: string;
}

type Described = TemplateAddArguments &
  Required<Pick<TemplateAddArguments, 'name' | 'description' | 'licence'>>;

/** @returns the place where it is now: a file, or an address */
export async function templateAddCommand(
  args: TemplateAddArguments,
  composition: Composition,
  signal: AbortSignal,
): Promise<{ template: Template; place: string }> {
  if (!templateId.safeParse(args.id).success)
    throw new StainError(
      'REQUEST_INVALID',
      'A template id has lower-case letters, digits and hyphens, at most 63 characters.',
    );
  const template = await makeTemplateOf(args, composition, signal);
  const { replace, to } = args;
  const { token } = composition.config.templates;
  const place =
    to === undefined
      ? await composition.templates.add(template, { replace })
      : await sendTemplate(template, { to, token, replace }, signal);
  return { template, place };
}

const CREATED_BY = `stain-normalization ${VERSION}`;

async function makeTemplateOf(
  args: TemplateAddArguments,
  composition: Composition,
  signal: AbortSignal,
): Promise<Template> {
  const [first, ...more] = args.source;
  if (first?.endsWith('.json') && more.length === 0) return fromFile(first, args);
  const { name, licence, description = '' } = args;
  if (name === undefined || licence === undefined)
    throw new StainError('REQUEST_INVALID', 'Say what the viewer shows and the licence: --name, --licence.');
  const described = { ...args, name, licence, description };
  requireText(described);
  return args.source.every(isPicture)
    ? fromPictures(described, composition, signal)
    : fromSeries(described, composition, signal);
}

/** Before the work begins, which takes long. */
function requireText({ name, description, licence }: Described): void {
  const { shape } = templateDocument;
  const wrong = Object.entries({
    '--name': shape.name.safeParse(name),
    '--description': shape.description.safeParse(description),
    '--licence': shape.provenance.shape.licence.safeParse(licence),
  }).find(([, { success }]) => !success);
  if (wrong) throw new StainError('REQUEST_INVALID', `${wrong[0]}: too long, or no plain line of text.`);
}

/** One that is there already, under this id and with what else is said. */
async function fromFile(
  file: string,
  { id, name, description, licence, provenance }: TemplateAddArguments,
): Promise<Template> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new StainError('REQUEST_INVALID', `The file ${file} cannot be read.`, { cause });
  });
  const found = parseTemplate(text, file);
  const changed: Template = {
    ...found,
    id,
    name: name ?? found.name,
    description: description ?? found.description,
    provenance: {
      ...found.provenance,
      licence: licence ?? found.provenance.licence,
      source: provenance ?? found.provenance.source,
    },
  };
  return parseTemplate(JSON.stringify(changed), file);
}

async function fromPictures(
  args: Described,
  composition: Composition,
  signal: AbortSignal,
): Promise<Template> {
  const network = await composition.network(args.model);
  // Names of files may name patients, and in a service all read them.
  const source = args.provenance ?? (args.to === undefined ? undefined : 'pictures');
  return templateFromImages(args.source, { ...args, source }, network, CREATED_BY, args, signal);
}

async function fromSeries(args: Described, composition: Composition, signal: AbortSignal): Promise<Template> {
  const [location, ...more] = args.source;
  if (more.length > 0)
    throw new StainError('REQUEST_INVALID', 'Name pictures, or one folder, DICOMweb URL or template file.');
  await using source = await openArchiveLocation(location!, composition.config, { create: false });
  process.stderr.write(describeLeftOut(source.leftOut, { names: true }));
  const series = await chooseSeries(source.client, args, signal);
  const environment = composition.environment({ source: source.client, destination: source.client });
  const provenance = {
    // A template may be given to others: no UIDs.
    source: args.provenance ?? 'a series',
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
    args,
    signal,
  );
}
