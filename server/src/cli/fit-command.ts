/** `fit SOURCE`: the linear transfer of a slide or picture as numbers, for users who normalise tiles themselves. */
import { createHash } from 'node:crypto';
import { noteText } from '../../../core/src/notes.ts';
import type { LinearTables } from '../../../core/src/stain/linear-tables.ts';
import { keptGlass } from '../../../core/src/stain/stain.ts';
import { requireTemplateOf, versionOf } from '../../../core/src/stain/template.ts';
import { linearTransfer } from '../../../core/src/stain/transfer.ts';
import { readImage } from '../codec/image-file.ts';
import type { StainNetwork } from '../inference/network.ts';
import { colourOfProfile } from '../pipeline/colour.ts';
import { type Fit, fitStain } from '../pipeline/fit.ts';
import { overrideNotes, requireHe, requireStainOfHe, type StainPolicy } from '../pipeline/require-he.ts';
import { readSeriesStain } from '../pipeline/series-stain.ts';
import { lacksBase } from '../slide/describe.ts';
import { memorySource } from '../slide/pixel-source.ts';
import { openArchiveLocation } from '../wiring/archive-location.ts';
import { environmentOf } from '../wiring/archives.ts';
import type { Composition } from '../wiring/composition.ts';
import { chooseSeries } from './choose-series.ts';
import { isPicture } from './image-commands.ts';
import { describeLeftOut } from './left-out-files.ts';
import { withFile } from './source-file.ts';

export interface FitArguments extends StainPolicy {
  readonly source: string;
  readonly template: string;
  readonly model: string;
  readonly study?: string;
  readonly series?: string;
  readonly slide?: string;
}

export interface FitResult {
  readonly transfer: 'linear';
  /** OD' = OD matrix + intercept: optical densities of R, G and B as row vectors, -ln(level / 255). */
  readonly matrix: readonly (readonly number[])[];
  readonly intercept: readonly number[];
  readonly glass: {
    readonly density: number;
    /** Density of the glass that stays as it is; 0 if glass is moved too. */
    readonly kept: number;
  };
  /** Factor by which the network's input was multiplied. */
  readonly gain: number;
  readonly stain: Pick<Fit, 'classes' | 'densities' | 'glassDensity'>;
  /** The tables used by `scripts/normalize_tile.py`. */
  readonly tables: Readonly<Record<keyof LinearTables, readonly number[]>>;
  readonly sha256: { readonly template: string; readonly model: string; readonly tables: string };
  /** The tables are for sRGB: if this says that the source was converted, convert tiles too. */
  readonly colourPolicy: string;
  readonly outOfDistribution: Fit['outOfDistribution'];
  readonly notes: readonly string[];
}

/** @throws STAIN_NOT_HE, and whatever `fitStain` and opening the source refuse */
export async function fitCommand(
  args: FitArguments,
  composition: Composition,
  signal: AbortSignal,
): Promise<FitResult> {
  const network = await composition.network(args.model);
  const template = await composition.templates.get(args.template);
  requireTemplateOf(template, network.model);
  const { fit, colourPolicy, notes } = isPicture(args.source)
    ? await ofPicture(args, composition, network, signal)
    : await ofSeries(args, composition, network, signal);
  const transfer = linearTransfer(fit, template);
  const { map } = transfer;
  const tables = plain(transfer.tables);
  return {
    transfer: transfer.name,
    matrix: map.matrix,
    intercept: map.intercept,
    glass: { density: fit.glassDensity, kept: keptGlass(fit.glassDensity) },
    gain: fit.gain,
    stain: { classes: fit.classes, densities: fit.densities, glassDensity: fit.glassDensity },
    tables,
    sha256: {
      template: versionOf(template).sha256,
      model: network.model.sha256,
      tables: createHash('sha256').update(JSON.stringify(tables)).digest('hex'),
    },
    colourPolicy,
    outOfDistribution: fit.outOfDistribution,
    notes: [...notes, ...transfer.notes],
  };
}

interface Found {
  readonly fit: Fit;
  readonly colourPolicy: string;
  readonly notes: readonly string[];
}

async function ofPicture(
  args: FitArguments,
  { config }: Composition,
  network: StainNetwork,
  signal: AbortSignal,
): Promise<Found> {
  const notes: string[] = [];
  const picture = await readImage(args.source, (note) => notes.push(note));
  const colour = await colourOfProfile(picture.profile, config.colour.onInvalidProfile);
  const pixels = memorySource(picture);
  const fit = await fitStain(pixels, [pixels], network, { signal });
  requireHe(fit, args);
  return { fit, colourPolicy: colour.policy, notes: [...notes, ...fit.notes, ...colour.notes] };
}

async function ofSeries(
  args: FitArguments,
  composition: Composition,
  network: StainNetwork,
  signal: AbortSignal,
): Promise<Found> {
  await using source = await openArchiveLocation(args.source, composition.config, { create: false });
  process.stderr.write(describeLeftOut(source.leftOut, { names: true }));
  const series = await chooseSeries(source, args, signal);
  const environment = environmentOf(composition, { source, destination: source });
  const { slide } = args;
  try {
    const found = await readSeriesStain({ ...series, slide }, network, environment, signal);
    const described = found.series.slide;
    requireStainOfHe(described, found.fit, args);
    const resampled = lacksBase(described) ? [noteText('FINEST_LEVEL_RESAMPLED')] : [];
    return {
      ...found,
      notes: [...found.notes, ...resampled, ...overrideNotes(described, found.fit, args)],
    };
  } catch (error) {
    throw withFile(error, source, { ...series, slide });
  }
}

function plain(tables: LinearTables): FitResult['tables'] {
  return Object.fromEntries(
    Object.entries(tables).map(([name, values]) => [name, [...values]]),
  ) as unknown as FitResult['tables'];
}
