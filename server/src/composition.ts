/** The composition root's parts: what every command and the service are put together from. */

import { createHash } from 'node:crypto';
import { availableParallelism, hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import packageJson from '../package.json' with { type: 'json' };
import { CodecPool } from './codec/codec-pool.ts';
import type { Config } from './config.ts';
import type { DicomWebClient } from './dicomweb/client.ts';
import { type LoadedModel, listModels, loadModel } from './inference/manifest.ts';
import { openNetwork, type StainNetwork } from './inference/network.ts';
import { recordsOf } from './normalization/derivations.ts';
import type { NormalizationEnvironment } from './normalization/normalize-series.ts';
import { createTemplateFolder, type TemplateFolder } from './normalization/template-folder.ts';
import type { TemplateStore } from './normalization/template-store.ts';

export const VERSION = packageJson.version;

/** Models and templates that come with the product. */
const SHIPPED_MODELS = fileURLToPath(new URL('../../models/onnx/', import.meta.url));

export interface Composition extends AsyncDisposable {
  readonly config: Config;
  /** Files, for the command line; services and workers have theirs in the database. */
  readonly templates: TemplateFolder;
  readonly codecs: CodecPool;
  /** Threads for codecs and inference. */
  readonly threads: number;
  /** All installed models, verified. @throws MODEL_INVALID */
  models(): Promise<LoadedModel[]>;
  /** Verified model of that name. @throws MODEL_NOT_FOUND, MODEL_INVALID */
  model(name: string): Promise<LoadedModel>;
  /** The network of a model, opened at first use and kept. */
  network(model: string): Promise<StainNetwork>;
  /** @param templates in place of the files */
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
    onIgnored(file, id) {
      if (!ignored.has(file))
        process.stderr.write(
          `${file} is ignored: template "${id}" comes with the product. Give it another id.\n`,
        );
      ignored.add(file);
    },
  });
  const networks = new Map<string, Promise<StainNetwork>>();
  const network = async (name: string): Promise<StainNetwork> => {
    let opened = networks.get(name);
    // One whose thread broke down (out of memory, a fault of the driver) is opened anew for the next job.
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
 * Device Serial Number (0018,1000): all processes that work for one archive are one device, so that a series which one of
 * them began and another one finished names one. Nobody reads an address or a name from it.
 */
function serialNumber({ dicomweb }: Config): string {
  const url = dicomweb.url === undefined ? undefined : new URL(dicomweb.url);
  const installation = url ? url.host + url.pathname : hostname();
  return createHash('sha256').update(installation).digest('hex').slice(0, 16);
}
