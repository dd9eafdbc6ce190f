/** The service's HTTP API, with the user's authorization on every request. */
import { DEFAULT_ARCHIVE } from '../../../core/src/contract/default-archive.ts';
import type {
  Batch,
  BatchCreate,
  BatchReport,
  Device,
  Health,
  Job,
  JobList,
  Model,
  NormalizationCreate,
  PreviewCreate,
  Problem,
  Stain,
  Template,
  TemplateDetail,
} from '../../../core/src/contract/index.ts';
import { PluginError, ServiceError } from '../plugin-error.ts';
import type { SlideSeries } from '../state.ts';
import { wordFault } from '../strings/service-words.ts';
import { translate } from '../strings/translate.ts';
import { sourceOf } from './archive-names.ts';

export interface Authorization {
  /** The current one: the viewer renews tokens without notice. */
  header(): { Authorization?: string } | undefined;
  /** Nobody is signed in any more. */
  expired(): void;
}

/** Maximum wait for a renewal in progress before a request fails. */
const RENEWAL_MS = 3000;
/** More than a slide has results. */
const LAST_JOBS = 100;

export class ServiceClient {
  readonly #root: string;
  readonly #authorization: Authorization;

  /** @param root URL or path of the service, without a slash at its end */
  constructor(root: string, authorization: Authorization) {
    this.#root = root;
    this.#authorization = authorization;
  }

  health = (signal: AbortSignal): Promise<Health> => this.#json('/health', { signal });

  device = (signal: AbortSignal): Promise<Device> => this.#json('/api/device', { signal });

  async templates(signal: AbortSignal): Promise<Template[]> {
    const { templates } = await this.#json<{ templates: Template[] }>('/api/templates', { signal });
    return Promise.all(
      templates.map(async (template) => ({
        ...template,
        // A template can be chosen by its name if its picture is unavailable.
        thumbnail: await this.#picture(template.thumbnail, signal).catch(() => ''),
      })),
    );
  }

  async model(name: string, signal: AbortSignal): Promise<Model> {
    const { models } = await this.#json<{ models: Model[] }>('/api/models', { signal });
    const found = models.find((model) => model.name === name);
    if (!found) throw new PluginError('PREVIEW_FAILED', { reason: translate('reason.noModel') });
    return found;
  }

  /** @param anyStain also if the slide is not H&E, which is refused otherwise */
  stain(series: SeriesIdentity, model: string, signal: AbortSignal, anyStain = false): Promise<Stain> {
    const query = new URLSearchParams({
      model,
      ...(anyStain && { anyStain: 'true' }),
      ...sourceOf(series),
    });
    const { studyInstanceUid, seriesInstanceUid } = series;
    return this.#json(`/api/studies/${studyInstanceUid}/series/${seriesInstanceUid}/stain?${query}`, {
      signal,
    });
  }

  createTemplate = (body: object, signal: AbortSignal): Promise<Template> =>
    this.#json('/api/templates', { method: 'POST', body, signal });

  template = (id: string, signal: AbortSignal): Promise<TemplateDetail> =>
    this.#json(`/api/templates/${encodeURIComponent(id)}`, { signal });

  /** The user has confirmed it, and knows of the jobs that use it. */
  async removeTemplate(id: string, signal: AbortSignal): Promise<void> {
    await this.request(`/api/templates/${encodeURIComponent(id)}?confirm=true`, { method: 'DELETE', signal });
  }

  normalize = (body: NormalizationCreate, signal: AbortSignal): Promise<Job> =>
    this.#json('/api/normalizations', { method: 'POST', body, signal });

  /** The last jobs for a slide, newest first. */
  async jobsOf(
    { seriesInstanceUid: series, archive }: SeriesIdentity,
    signal: AbortSignal,
  ): Promise<readonly Job[]> {
    const source = archive?.name ?? DEFAULT_ARCHIVE;
    const query = new URLSearchParams({ series, source, limit: String(LAST_JOBS) });
    return (await this.#json<JobList>(`/api/normalizations?${query}`, { signal })).jobs;
  }

  cancel = (id: string, signal: AbortSignal): Promise<Job> =>
    this.#json(`/api/normalizations/${id}/cancel`, { method: 'POST', signal });

  /** Of the archive, as the service sees it (QIDO-RS). @param path below the archive's root: studies?PatientID=1 */
  search = (path: string, signal: AbortSignal): Promise<readonly object[]> =>
    this.#json(`/dicom-web/${path}`, { signal, headers: { Accept: 'application/dicom+json' } });

  createBatch = (body: BatchCreate, signal: AbortSignal): Promise<Batch> =>
    this.#json('/api/batches', { method: 'POST', body, signal });

  batches = (signal: AbortSignal): Promise<{ readonly batches: readonly Batch[] }> =>
    this.#json('/api/batches', { signal });

  batch = (id: string, signal: AbortSignal): Promise<BatchReport> =>
    this.#json(`/api/batches/${encodeURIComponent(id)}`, { signal });

  cancelBatch = (id: string, signal: AbortSignal): Promise<Batch> =>
    this.#json(`/api/batches/${encodeURIComponent(id)}/cancel`, { method: 'POST', signal });

  async batchCsv(id: string, signal: AbortSignal): Promise<Blob> {
    return (await this.request(`/api/batches/${encodeURIComponent(id)}/report.csv`, { signal })).blob();
  }

  /** Bytes at an address from the service: relative to the root of its host. */
  async bytes(address: string, signal: AbortSignal): Promise<Uint8Array> {
    const response = await this.#fetch(this.#absolute(address), { signal });
    return new Uint8Array(await response.arrayBuffer());
  }

  /** @throws ServiceError with the service's message; PluginError SERVICE_AWAY, SESSION_EXPIRED */
  request(path: string, options: RequestOptions): Promise<Response> {
    return this.#fetch(this.#root + path, options);
  }

  /** A region of a slide, normalised, as a data URL. */
  async preview(body: PreviewCreate, signal: AbortSignal): Promise<string> {
    return dataUrlOf(await this.request('/api/preview', { method: 'POST', body, signal }));
  }

  async #json<T>(path: string, options: RequestOptions): Promise<T> {
    return (await this.request(path, options)).json() as Promise<T>;
  }

  /** As a data URL: an img element would send no authorization. */
  async #picture(address: string, signal: AbortSignal): Promise<string> {
    return dataUrlOf(await this.#fetch(this.#absolute(address), { signal }));
  }

  #absolute(address: string): string {
    return new URL(address, new URL(`${this.#root}/`, location.href)).href;
  }

  async #fetch(url: string, options: RequestOptions): Promise<Response> {
    const used = this.#authorization.header();
    let response = await this.#attempt(url, options, used);
    if (response.status === 401) {
      const renewed = await this.#renewal(used, options.signal);
      if (renewed) response = await this.#attempt(url, options, renewed);
      if (response.status === 401) {
        this.#authorization.expired();
        throw new PluginError('SESSION_EXPIRED');
      }
    }
    if (!response.ok) throw await serviceError(response);
    return response;
  }

  async #attempt(
    url: string,
    { method = 'GET', body, headers, signal }: RequestOptions,
    authorization: { Authorization?: string } | undefined,
  ): Promise<Response> {
    try {
      return await fetch(url, {
        method,
        signal,
        headers: {
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...headers,
          ...authorization,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      throw new PluginError('SERVICE_AWAY', {}, cause);
    }
  }

  /** The viewer renews tokens by itself; a request with an old one waits for the new one. */
  async #renewal(
    used: { Authorization?: string } | undefined,
    signal: AbortSignal,
  ): Promise<{ Authorization?: string } | undefined> {
    for (const end = performance.now() + RENEWAL_MS; performance.now() < end; ) {
      const now = this.#authorization.header();
      if (now?.Authorization !== used?.Authorization) return now;
      if (used?.Authorization === undefined) return undefined;
      await new Promise((resolve) => setTimeout(resolve, 200));
      signal.throwIfAborted();
    }
    return undefined;
  }
}

export interface SeriesIdentity extends Pick<SlideSeries, 'archive'> {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
}

interface RequestOptions {
  readonly method?: string;
  readonly body?: object;
  readonly headers?: Record<string, string>;
  readonly signal: AbortSignal;
}

async function dataUrlOf(response: Response): Promise<string> {
  const reader = new FileReader();
  reader.readAsDataURL(await response.blob());
  await new Promise((resolve, reject) => {
    reader.onload = resolve;
    reader.onerror = () => reject(reader.error);
  });
  return reader.result as string;
}

async function serviceError(response: Response): Promise<Error> {
  const problem = (await response.json().catch(() => undefined)) as Problem | undefined;
  // A proxy in between responds in its own format.
  if (!problem?.code) return new PluginError('SERVICE_AWAY');
  const { code, detail: message, remedy, data } = problem;
  return new ServiceError(response.status, wordFault({ code, message, remedy, data }));
}
