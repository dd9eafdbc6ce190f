/** What the benchmarks share: a folder to work in, one normalisation from folder to folder, and its figures. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { NormalizationRequest, NormalizationResult, Stage } from '../core/src/contract/index.ts';
import { DEFAULT_TRANSFER, type TransferName } from '../core/src/stain/transfer-name.ts';
import { chooseSeries } from '../server/src/cli/choose-series.ts';
import { loadConfig } from '../server/src/config.ts';
import { newUuid } from '../server/src/dicom/uid.ts';
import type { NormalizationEnvironment } from '../server/src/pipeline/environment.ts';
import { normalizeSeries } from '../server/src/pipeline/normalize-series.ts';
import { removeJobSpool } from '../server/src/spool/spool.ts';
import { openArchiveLocation } from '../server/src/wiring/archive-location.ts';
import { type Composition, compose } from '../server/src/wiring/composition.ts';
import { makeBenchSlideOfSample } from './bench-slide.ts';

export const signal = new AbortController().signal;
export const TEMPLATE = 'he-pink-violet';

export interface Place extends AsyncDisposable {
  readonly composition: Composition;
  readonly folder: string;
}

export async function createPlace(): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'stain-bench-'));
  const composition = compose(
    loadConfig({ env: { STAIN_SPOOL_DIRECTORY: join(folder, 'spool'), ...process.env } }),
  );
  return {
    composition,
    folder,
    async [Symbol.asyncDispose]() {
      await composition[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

/** A folder with a slide. @param tissue fraction of its tiles that show tissue */
export async function makeSlide(
  place: Place,
  name: string,
  size: { columns: number; rows: number; levels?: number },
  tissue: number,
  iccProfile?: Uint8Array,
): Promise<string> {
  const folder = join(place.folder, name);
  await makeBenchSlideOfSample(folder, { ...size, tissue, iccProfile }, place.composition);
  return folder;
}

export interface Row {
  readonly name: string;
  readonly megapixels: number;
  readonly seconds: number;
}

export async function timed(name: string, megapixels: number, work: () => Promise<unknown>): Promise<Row> {
  const start = performance.now();
  await work();
  return { name, megapixels, seconds: (performance.now() - start) / 1000 };
}

export interface PipelineRun {
  readonly rows: Row[];
  readonly result: NormalizationResult;
  /** Delay of the event loop, in milliseconds. */
  readonly delay: { readonly p99: number; readonly max: number };
}

/** @param watch wraps the environment of the pipeline, for measuring */
export async function runPipeline(
  { composition }: Place,
  source: string,
  destination: string,
  model: string,
  transfer: TransferName = DEFAULT_TRANSFER,
  watch: (environment: NormalizationEnvironment) => NormalizationEnvironment = (same) => same,
): Promise<PipelineRun> {
  await using from = await openArchiveLocation(source, composition.config, { create: false });
  await using to = await openArchiveLocation(destination, composition.config, { create: true });
  const request: NormalizationRequest = {
    ...(await chooseSeries(from, {}, signal)),
    template: TEMPLATE,
    model,
    transfer,
    encoding: 'jpeg',
    quality: 90,
  };
  await composition.network(model);
  const entered = new Map<Stage, number>();
  const left = new Map<Stage, number>();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const identity = { seriesUuid: newUuid(), revision: 1, createdAt: new Date().toISOString() };
  const environment = composition.environment({ source: from.client, destination: to.client });
  const result = await normalizeSeries(request, identity, watch(environment), {
    signal,
    onProgress({ stage }) {
      const now = performance.now();
      if (!entered.has(stage)) entered.set(stage, [...left.values()].at(-1) ?? now);
      left.set(stage, now);
    },
  });
  await removeJobSpool(environment.spool, identity.seriesUuid);
  delay.disable();
  const rows = [...entered].map(([stage, start]) => ({
    name: stage,
    megapixels: result.megapixels,
    seconds: (left.get(stage)! - start) / 1000,
  }));
  return { rows, result, delay: { p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 } };
}
