/** Loads a model by its manifest, and fails closed: files that do not match the manifest are not run. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { StainError } from '../../../core/src/errors.ts';
import { MAX_HALO } from '../../../core/src/image/windows.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const tensor = z.object({
  name: z.string(),
  type: z.string(),
  shape: z.array(z.union([z.string(), z.number()])),
});
const graph = z.object({
  /** A plain name in the manifest's folder. */
  file: z.string().regex(/^[\w.-]+\.onnx$/),
  sha256,
  inputs: z.array(tensor),
  outputs: z.array(tensor),
});
const model = z.object({
  name: z.string(),
  version: z.string(),
  description: z.string(),
  classes: z.int().min(2),
  classNames: z.array(z.string()),
  opset: z.int(),
  halo: z.int().min(0).max(MAX_HALO),
  alignment: z.int().min(1),
  minimumOpticalDensity: z.number().positive(),
  graphs: z.object({ statistics: graph, apply: graph }),
  /** Identities of earlier graphs with the same weights. */
  earlier: z.array(sha256).default([]),
  /** SHA-256 of the weights that define the classes: the model's own, or its teacher's if it was distilled. */
  classesOf: sha256,
  tolerances: z.object({ greyLevels: z.number(), statisticsRelative: z.number() }),
  training: z.record(z.string(), z.unknown()),
});
const manifest = z.object({ schemaVersion: z.literal(1), models: z.array(model) });

/** What the runtime feeds to a graph. */
const INPUTS = {
  statistics: ['tile', 'weight', 'gain'],
  apply: ['tile', 'scale', 'offset', 'fade', 'blueness'],
} as const;

type ManifestModel = z.infer<typeof model>;

/** A verified model: its manifest data, and the bytes of its graphs. */
export interface LoadedModel {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  /** Identity of the model: SHA-256 of the digests of both graphs. */
  readonly sha256: string;
  /** K, the number of classes. */
  readonly classes: number;
  readonly classNames: readonly string[];
  /** Pixels of context that the network needs on each side. */
  readonly halo: number;
  /** Tile origins and sizes are multiples of this. */
  readonly alignment: number;
  /** Identities of the models with the same classes, including this one and earlier graphs: their templates fit. */
  readonly templatesOf: readonly string[];
  readonly tolerances: ManifestModel['tolerances'];
  readonly graphs: { readonly statistics: Uint8Array; readonly apply: Uint8Array };
  readonly graphSha256: { readonly statistics: string; readonly apply: string };
}

/** Names of the models in a folder. @throws MODEL_INVALID */
export async function listModels(directory: string): Promise<string[]> {
  return (await readManifest(directory)).map(({ name }) => name);
}

/** @throws MODEL_NOT_FOUND, MODEL_INVALID: a damaged manifest, or a graph that does not match it */
export async function loadModel(directory: string, name: string): Promise<LoadedModel> {
  const models = await readManifest(directory);
  const found = models.find((candidate) => candidate.name === name);
  if (!found)
    throw new StainError(
      'MODEL_NOT_FOUND',
      `There is no model "${name}". Available: ${models.map((m) => m.name).join(', ')}.`,
    );
  const graphs = {
    statistics: await readGraph(directory, found.graphs.statistics, INPUTS.statistics),
    apply: await readGraph(directory, found.graphs.apply, INPUTS.apply),
  };
  const { version, description, classes, classNames, halo, alignment, tolerances } = found;
  return {
    name,
    version,
    description,
    sha256: identityOf(found),
    classes,
    classNames,
    halo,
    alignment,
    templatesOf: models
      .filter(({ classesOf }) => classesOf === found.classesOf)
      .flatMap((same) => [identityOf(same), ...same.earlier]),
    tolerances,
    graphs,
    graphSha256: { statistics: found.graphs.statistics.sha256, apply: found.graphs.apply.sha256 },
  };
}

function identityOf({ graphs }: ManifestModel): string {
  return createHash('sha256').update(graphs.statistics.sha256).update(graphs.apply.sha256).digest('hex');
}

async function readManifest(directory: string): Promise<ManifestModel[]> {
  const path = join(directory, 'manifest.json');
  try {
    return manifest.parse(JSON.parse(await readFile(path, 'utf8'))).models;
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message;
    throw new StainError('MODEL_INVALID', `The manifest ${path} cannot be used: ${why}`, { cause });
  }
}

async function readGraph(
  directory: string,
  { file, sha256: expected, inputs }: z.infer<typeof graph>,
  needed: readonly string[],
): Promise<Uint8Array> {
  const missing = needed.find((name) => !inputs.some((input) => input.name === name));
  if (missing !== undefined)
    throw new StainError(
      'MODEL_INVALID',
      `The graph ${file} has no input "${missing}": it was made for another version. \`python -m dcgmm.export --out FOLDER\` makes the graphs anew from the weights.`,
    );
  const bytes = await readFile(join(directory, file)).catch((cause: unknown) => {
    throw new StainError('MODEL_INVALID', `The graph ${file} cannot be read.`, { cause });
  });
  const actual = createHash('sha256').update(bytes).digest('hex');
  if (actual !== expected)
    throw new StainError('MODEL_INVALID', `The graph ${file} does not match the manifest.`, {
      data: { expected, actual },
    });
  return bytes;
}
