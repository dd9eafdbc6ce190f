/** A service with rules, as a process, over an archive that a test fills. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { BatchSeries, RuleList } from '../../core/src/contract/index.ts';
import type { Attributes } from '../../server/src/dicom/dataset.ts';
import { textOf } from '../../server/src/dicom/json-model.ts';
import { createDicomWebClient } from '../../server/src/dicomweb/client.ts';
import { dicomDate } from '../../server/src/rules/survey.ts';
import { type CopiedSlide, copySample } from './copy-slide.ts';
import { type ServiceProcess, startProcess } from './service-process.ts';

export const TODAY = dicomDate(new Date());

/** How long a slide may take from its arrival to its end, on a busy machine. */
const END = { timeout: 240_000, interval: 200 };

/** A slide of some levels of the sample, of which the finest is its base level. */
export function wholeSlide(
  name: string,
  levels: readonly number[],
  attributes: Attributes,
): Promise<CopiedSlide> {
  const base = Math.min(...levels);
  const isBase = { ImageType: ['ORIGINAL', 'PRIMARY', 'VOLUME', 'NONE'] };
  return copySample(name, levels, (level) => ({ ...attributes, ...(level === base && isBase) }));
}

export interface RulesSite extends AsyncDisposable {
  readonly service: ServiceProcess;
  /** Of the service, for other commands too. */
  readonly environment: Readonly<Record<string, string>>;
  rules(): Promise<RuleList>;
  series(rule: string): Promise<BatchSeries[]>;
  /** Waits until the series of a rule are in these states. */
  untilCounts(rule: string, counts: Readonly<Record<string, number>>): Promise<void>;
  /** Waits until the archive has been searched twice from now on, or until its first survey is over. */
  searched(): Promise<void>;
  /** Series of the study besides the source. */
  derived(slide: CopiedSlide): Promise<string[]>;
  get(path: string): Promise<Response>;
}

/** @param url of the archive */
export async function startRulesSite(
  url: string,
  rules: readonly object[],
  changes: Readonly<Record<string, string>> = {},
): Promise<RulesSite> {
  await using cleanup = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'rules-site-'));
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'rules.json');
  await writeFile(file, JSON.stringify({ rules }));
  const environment = {
    STAIN_DICOMWEB_URL: url,
    STAIN_RULES_FILE: file,
    STAIN_RULES_POLL_SECONDS: '1',
    STAIN_JOBS_STABLE_SECONDS: '1',
    STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
    STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
    STAIN_DATABASE_DIRECTORY: join(folder, 'database'),
    ...changes,
  };
  const service = cleanup.use(await startProcess('serve', environment));
  const client = createDicomWebClient({ url });
  cleanup.defer(() => client.close());
  const get = async (path: string): Promise<Response> => {
    const answer = await fetch(service.url + path);
    if (!answer.ok) throw new Error(`${answer.status} for ${path}: ${await answer.text()}`);
    return answer;
  };
  const rulesNow = async () => (await (await get('/api/rules')).json()) as RuleList;
  const resources = cleanup.move();
  return {
    service,
    environment,
    rules: rulesNow,
    series: async (rule) =>
      ((await (await get(`/api/rules/${rule}/series?limit=1000`)).json()) as { series: BatchSeries[] })
        .series,
    untilCounts: (rule, counts) =>
      expect
        .poll(async () => (await rulesNow()).rules.find(({ name }) => name === rule)?.counts, END)
        .toEqual(counts),
    async searched() {
      for (let i = 0; i < 2; i++) {
        const { sweptAt } = (await rulesNow()).search;
        await expect.poll(async () => (await rulesNow()).search.sweptAt, END).not.toBe(sweptAt);
      }
    },
    async derived({ studyInstanceUid, seriesInstanceUid }) {
      const found = await client.searchSeries(
        { StudyInstanceUID: studyInstanceUid },
        new AbortController().signal,
      );
      return found.map((json) => textOf(json, '0020000E')!).filter((uid) => uid !== seriesInstanceUid);
    },
    get,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
