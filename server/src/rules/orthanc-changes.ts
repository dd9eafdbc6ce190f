/** Orthanc's list of changes: which series are new or have gained instances, exactly and in order, whatever their dates. */
import { Agent, fetch, type Response } from 'undici';
import { z } from 'zod';
import { StainError } from '../../../core/src/errors.ts';
import type { TlsFiles } from '../tls.ts';

const TIMEOUT_MS = 30_000;
/** Changes per request; Orthanc answers from its index. */
const PAGE = 1000;
/** Requests for changes in one sweep; the rest follow in the next. */
const MAX_PAGES = 20;
/** Series looked up by their Orthanc id in one sweep. */
const MAX_SERIES = 500;

const answer = z.object({
  Changes: z.array(z.object({ ChangeType: z.string(), ID: z.string(), Seq: z.int() })),
  Done: z.boolean(),
  Last: z.int(),
});
const shownSeries = z.object({
  MainDicomTags: z.object({ SeriesInstanceUID: z.string(), Modality: z.string().optional() }),
});

export interface OrthancOptions {
  /** Root of the REST API. */
  readonly url: string;
  /** With credentials. */
  headers(): Promise<Record<string, string>>;
  readonly tls: TlsFiles;
}

export interface OrthancChanges {
  /** UIDs of the series of slides that are new or have new instances. */
  readonly series: readonly string[];
  /** Number of the last change that they take account of. */
  readonly last: number;
  readonly isDone: boolean;
}

export class OrthancFeed {
  readonly #options: OrthancOptions;
  readonly #agent: Agent;

  constructor(options: OrthancOptions) {
    this.#options = options;
    this.#agent = new Agent({ connect: options.tls });
  }

  close(): Promise<void> {
    return this.#agent.close();
  }

  /** Number of the newest change. @throws ARCHIVE_UNREACHABLE, ARCHIVE_ERROR, ARCHIVE_PROTOCOL */
  async newest(signal: AbortSignal): Promise<number> {
    return (await this.#changes('last', signal)).Last;
  }

  /** @param since number of the last change that is known. @throws like `newest` */
  async since(since: number, signal: AbortSignal): Promise<OrthancChanges> {
    // A database that was made anew counts from the start again.
    let last = (await this.newest(signal)) < since ? 0 : since;
    const ids = new Map<string, number>();
    let isDone = false;
    for (let page = 0; page < MAX_PAGES && !isDone && ids.size < MAX_SERIES; page++) {
      const found = await this.#changes(`since=${last}&limit=${PAGE}`, signal);
      // StableSeries follows whenever a series has stopped to grow.
      for (const { ChangeType, ID, Seq } of found.Changes)
        if (ChangeType === 'NewSeries' || ChangeType === 'StableSeries') ids.set(ID, Seq);
      isDone = found.Done;
      if (found.Last <= last) break;
      last = found.Last;
    }
    const series: string[] = [];
    for (const id of ids.keys()) {
      // A series that was deleted in the meantime has nothing to tell.
      const shown = await this.#ask(`series/${encodeURIComponent(id)}`, shownSeries, signal);
      const { SeriesInstanceUID, Modality } = shown?.MainDicomTags ?? {};
      if (SeriesInstanceUID !== undefined && (Modality ?? 'SM') === 'SM') series.push(SeriesInstanceUID);
    }
    return { series, last, isDone };
  }

  async #changes(query: string, signal: AbortSignal): Promise<z.infer<typeof answer>> {
    const found = await this.#ask(`changes?${query}`, answer, signal);
    if (found) return found;
    throw new StainError('ARCHIVE_PROTOCOL', 'rules.orthancUrl is not the REST API of an Orthanc.');
  }

  /** Undefined for 404. */
  async #ask<T>(path: string, schema: z.ZodType<T>, signal: AbortSignal): Promise<T | undefined> {
    const url = `${this.#options.url.replace(/\/$/, '')}/${path}`;
    let response: Response;
    let body: unknown;
    try {
      response = await fetch(url, {
        headers: { ...(await this.#options.headers()), Accept: 'application/json' },
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
        redirect: 'error',
        dispatcher: this.#agent,
      });
      if (response.status === 404) {
        await response.body?.cancel();
        return undefined;
      }
      body = response.ok ? await response.json() : await response.body?.cancel();
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof StainError) throw cause;
      throw new StainError('ARCHIVE_UNREACHABLE', 'The changes of Orthanc could not be read.', { cause });
    }
    if (!response.ok)
      throw new StainError('ARCHIVE_ERROR', `Orthanc answered ${response.status} to a request for changes.`, {
        data: { status: response.status },
      });
    const parsed = schema.safeParse(body);
    if (parsed.success) return parsed.data;
    throw new StainError('ARCHIVE_PROTOCOL', 'Orthanc answered a request for changes with something else.');
  }
}
