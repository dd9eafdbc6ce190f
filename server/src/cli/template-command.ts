/**
 * `template add`: from pictures, from a series in a folder or archive, or from a template file; for the local folder or
 * for a service.
 */
import { readFile } from 'node:fs/promises';
import { StainError } from '../../../core/src/errors.ts';
import { averageStain } from '../../../core/src/stain/average-stain.ts';
import { parseTemplate, requireTemplateOf } from '../../../core/src/stain/template.ts';
import { type Template, templateDocument, templateId } from '../../../core/src/stain/template-document.ts';
import { contentOfStain } from '../pipeline/make-template.ts';
import { makeSeriesTemplate } from '../pipeline/series-stain.ts';
import { openArchiveLocation } from '../wiring/archive-location.ts';
import { environmentOf } from '../wiring/archives.ts';
import { type Composition, VERSION } from '../wiring/composition.ts';
import { chooseSeries } from './choose-series.ts';
import { isPicture, templateFromImages } from './image-commands.ts';
import { describeLeftOut } from './left-out-files.ts';
import { sendTemplate } from './send-template.ts';
import { withFile } from './source-file.ts';

export interface TemplateAddArguments {
  readonly id: string;
  /** Pictures, template files (.json), or one folder or DICOMweb URL. Several sources count equally. */
  readonly source: readonly string[];
  /** Required, like `licence`, except for a template file. */
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
  /** Root URL of the service to send it to; if undefined, it goes to the templates folder. */
  readonly to?: string;
}

type Described = TemplateAddArguments &
  Required<Pick<TemplateAddArguments, 'name' | 'description' | 'licence'>>;

/** @returns where it is now: a file or a URL */
export async function templateAddCommand(
  args: TemplateAddArguments,
  composition: Composition,
  signal: AbortSignal,
): Promise<{ template: Template; place: string }> {
  if (!templateId.safeParse(args.id).success)
    throw new StainError(
      'REQUEST_INVALID',
      'A template id consists of at most 63 lower-case letters, digits and hyphens.',
    );
  // The file must be readable again: an invalid one makes the whole folder unusable.
  const made = await makeTemplateOf(args, composition, signal);
  const template = parseTemplate(JSON.stringify(made), `Template "${args.id}"`);
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
    throw new StainError(
      'REQUEST_INVALID',
      'Give the name shown in the viewer and the licence: --name, --licence.',
    );
  const described = { ...args, name, licence, description };
  requireText(described);
  if (args.source.every((source) => source.endsWith('.json'))) return fromFiles(described, composition);
  return args.source.every(isPicture)
    ? fromPictures(described, composition, signal)
    : fromSeries(described, composition, signal);
}

/** Checked before the work, which takes long. */
function requireText({ name, description, licence, provenance }: Described): void {
  const { shape } = templateDocument;
  const wrong = Object.entries({
    '--name': shape.name.safeParse(name),
    '--description': shape.description.safeParse(description),
    '--licence': shape.provenance.shape.licence.safeParse(licence),
    '--provenance': shape.provenance.shape.source.safeParse(provenance ?? ''),
  }).find(([, { success }]) => !success);
  if (wrong)
    throw new StainError('REQUEST_INVALID', `${wrong[0]}: too long, or not a single line of plain text.`);
}

async function readTemplateFile(file: string): Promise<Template> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new StainError('REQUEST_INVALID', `The file ${file} cannot be read.`, { cause });
  });
  return parseTemplate(text, file);
}

/** An existing template, under this id and with any other description given. */
async function fromFile(
  file: string,
  { id, name, description, licence, provenance }: TemplateAddArguments,
): Promise<Template> {
  const found = await readTemplateFile(file);
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

/**
 * Combines several slides of one laboratory into one template: the mean of their moments.
 * @throws TEMPLATE_INVALID if the models differ
 */
async function fromFiles(args: Described, composition: Composition): Promise<Template> {
  const templates = await Promise.all(args.source.map(readTemplateFile));
  const [first] = templates as [Template];
  const { model } = await composition.network(args.model);
  for (const template of templates) requireTemplateOf(template, model);
  return {
    ...first,
    id: args.id,
    name: args.name,
    description: args.description,
    ...contentOfStain(averageStain(templates)),
    pixels: templates.reduce((sum, { pixels }) => sum + pixels, 0),
    provenance: {
      // What the files say about their source may name patients.
      source: args.provenance ?? `${templates.length} template files`,
      licence: args.licence,
      createdAt: new Date().toISOString(),
      createdBy: CREATED_BY,
    },
  };
}

async function fromPictures(
  args: Described,
  composition: Composition,
  signal: AbortSignal,
): Promise<Template> {
  const network = await composition.network(args.model);
  // File names may name patients, and in a service everybody reads them.
  const source = args.provenance ?? (args.to === undefined ? undefined : 'pictures');
  return templateFromImages(args.source, { ...args, source }, network, CREATED_BY, args, signal);
}

async function fromSeries(args: Described, composition: Composition, signal: AbortSignal): Promise<Template> {
  const [location, ...more] = args.source;
  if (more.length > 0)
    throw new StainError('REQUEST_INVALID', 'Name pictures, template files, or one folder or DICOMweb URL.');
  await using source = await openArchiveLocation(location!, composition.config, { create: false });
  process.stderr.write(describeLeftOut(source.leftOut, { names: true }));
  const series = await chooseSeries(source, args, signal);
  const environment = environmentOf(composition, { source, destination: source });
  const provenance = {
    // A template may be passed on to others: no UIDs.
    source: args.provenance ?? 'a series',
    licence: args.licence,
    createdAt: new Date().toISOString(),
    createdBy: CREATED_BY,
  };
  const network = await composition.network(args.model);
  try {
    return await makeSeriesTemplate(
      series,
      undefined,
      network,
      environment,
      { ...args, provenance },
      args,
      signal,
    );
  } catch (error) {
    throw withFile(error, source, series);
  }
}
