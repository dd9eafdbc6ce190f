/** The whole product in a test: archives, composition, one normalisation. */
import { copyFile, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { NormalizationRequest, NormalizationResult } from '../../core/src/contract/index.ts';
import { chooseSeries } from '../../server/src/cli/choose-series.ts';
import { loadConfig } from '../../server/src/config.ts';
import { type NormalizationOptions, normalizeSeries } from '../../server/src/pipeline/normalize-series.ts';
import { removeJobSpool } from '../../server/src/spool/spool.ts';
import { type ArchiveLocation, openArchiveLocation } from '../../server/src/wiring/archive-location.ts';
import { type Composition, compose } from '../../server/src/wiring/composition.ts';

export const TEMPLATE = 'he-pink-violet';
/** One identity for all, so that two archives get the same bytes. */
export const IDENTITY = {
  seriesUuid: '0d0c5b0e-0d1c-4a3f-9d3f-5a1c7e6b2f10',
  revision: 1,
  createdAt: '2026-01-02T03:04:05.000Z',
};

export interface Workplace extends AsyncDisposable {
  readonly folder: string;
  readonly spool: string;
  readonly composition: Composition;
  /** A new folder with copies of these files, or of all files of a folder. */
  fill(name: string, ...sources: string[]): Promise<string>;
  open(location: string): Promise<ArchiveLocation>;
}

export async function createWorkplace(env: Record<string, string> = {}): Promise<Workplace> {
  const folder = await mkdtemp(join(tmpdir(), 'stain-normalize-'));
  const spool = join(folder, 'spool');
  const config = loadConfig({
    env: {
      STAIN_SPOOL_DIRECTORY: spool,
      STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
      STAIN_DEVICE: 'cpu',
      ...env,
    },
  });
  const composition = compose(config);
  return {
    folder,
    spool,
    composition,
    async fill(name, ...sources) {
      const target = join(folder, name);
      await mkdir(target, { recursive: true });
      for (const source of sources) {
        const files = (await stat(source)).isDirectory()
          ? (await readdir(source)).filter((f) => f.endsWith('.dcm')).map((f) => join(source, f))
          : [source];
        for (const file of files) await copyFile(file, join(target, basename(file)));
      }
      return target;
    },
    open: (location) => openArchiveLocation(location, config, { create: true }),
    async [Symbol.asyncDispose]() {
      await composition[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

/** Normalises the only slide of the source. */
export async function normalizeOnlySlide(
  { composition }: Workplace,
  source: ArchiveLocation,
  destination: ArchiveLocation,
  options: Partial<NormalizationRequest> & Partial<NormalizationOptions> = {},
): Promise<NormalizationResult> {
  const { signal = new AbortController().signal, onProgress = () => {}, ...changes } = options;
  const request: NormalizationRequest = {
    ...(await chooseSeries(source, {}, signal)),
    template: TEMPLATE,
    model: 'reference',
    transfer: 'linear',
    encoding: 'jpeg',
    quality: 90,
    ...changes,
  };
  const environment = composition.environment({ source: source.client, destination: destination.client });
  try {
    return await normalizeSeries(request, IDENTITY, environment, { signal, onProgress });
  } finally {
    await removeJobSpool(environment.spool, IDENTITY.seriesUuid);
  }
}
