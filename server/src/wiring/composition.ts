/** The parts of the composition root, from which every command and the service are assembled. */

import { createHash } from 'node:crypto';
import { availableParallelism, hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import packageJson from '../../package.json' with { type: 'json' };
import { CodecPool } from '../codec/codec-pool.ts';
import type { Config } from '../config.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import { type LoadedModel, listModels, loadModel } from '../inference/manifest.ts';
import { openNetwork, type StainNetwork } from '../inference/network.ts';
import { recordsOf } from '../pipeline/derivations.ts';
import type { NormalizationEnvironment } from '../pipeline/environment.ts';
import type { TemplateStore } from '../pipeline/template-store.ts';
import { createTemplateFolder, type TemplateFolder } from '../templates/template-folder.ts';

export const VERSION = packageJson.version;

/** Models and templates shipped with the product. */
const SHIPPED_MODELS = fileURLToPath(new URL('../../../models/onnx/', import.meta.url));

export interface Composition extends AsyncDisposable {
  readonly config: Config;
  /** Templates as files, for the command line; services and workers keep theirs in the database. */
  readonly templates: TemplateFolder;
  readonly codecs: CodecPool;
  /** Number of threads for codecs and inference. */
  readonly threads: number;
  /** All installed models, verified. @throws MODEL_INVALID */
  models(): Promise<LoadedModel[]>;
  /** The verified model with that name. @throws MODEL_NOT_FOUND, MODEL_INVALID */
  model(name: string): Promise<LoadedModel>;
  /** The network of a model, opened on first use and kept. */
  network(model: string): Promise<StainNetwork>;
  /** @param templates used instead of the files */
  environment(
    archives: { source: DicomWebClient; destination: DicomWebClient },
    templates?: TemplateStore,
  ): NormalizationEnvironment;
}

export function compose(config: Config): Composition {
  const models = config.models.directory ?? SHIPPED_MODELS;
  const threads = config.threads || availableParallelism();
  const codecs = new CodecPool({ threads });
  const ignored = new Set<string>();
  const templates = createTemplateFolder({
    shipped: join(models, 'templates'),
    own: config.templates.directory,
    onIgnored(file, why) {
      if (!ignored.has(file)) process.stderr.write(`${file} ${why}\n`);
      ignored.add(file);
    },
  });
  const networks = new Map<string, Promise<StainNetwork>>();
  const network = async (name: string): Promise<StainNetwork> => {
    let opened = networks.get(name);
    // A network whose thread broke down (out of memory, a driver fault) is reopened for the next job.
    if (!opened || (await opened).isBroken) {
      opened = loadModel(models, name).then((model) =>
        openNetwork({ model, device: config.device, threads }),
      );
      opened.catch(() => networks.delete(name));
      networks.set(name, opened);
    }
    return opened;
  };
  return {
    config,
    templates,
    codecs,
    threads,
    network,
    models: async () => Promise.all((await listModels(models)).map((name) => loadModel(models, name))),
    model: (name) => loadModel(models, name),
    environment: ({ source, destination }, store = templates) => ({
      source,
      destination,
      network,
      template: (id, sha256) => store.version(id, sha256),
      derivations: recordsOf(undefined),
      codecs,
      spool: config.spool,
      checkpointSeconds: config.spool.checkpointSeconds,
      limits: config.limits,
      onInvalidProfile: config.colour.onInvalidProfile,
      encodeConcurrency: 2 * threads,
      softwareVersions: [
        `stain-normalization ${VERSION}`,
        `onnxruntime-node ${packageJson.dependencies['onnxruntime-node']}`,
        `jpeg-turbo ${packageJson.dependencies['@julusian/jpeg-turbo']}`,
      ],
      deviceSerialNumber: serialNumber(config),
    }),
    async [Symbol.asyncDispose]() {
      for (const opened of networks.values()) await opened.then((network) => network.close()).catch(() => {});
      await codecs.close();
    },
  };
}

/**
 * Device Serial Number (0018,1000): all processes that work for one archive are one device, so that a series begun by
 * one of them and finished by another names a single device. Neither a URL nor a name can be read from it.
 */
function serialNumber({ dicomweb }: Config): string {
  const url = dicomweb.url === undefined ? undefined : new URL(dicomweb.url);
  const installation = url ? url.host + url.pathname : hostname();
  return createHash('sha256').update(installation).digest('hex').slice(0, 16);
}
