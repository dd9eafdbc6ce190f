/** The service's HTTP API, with the user's authorization on every request. */
import type {
  Device,
  Health,
  Job,
  JobList,
  Model,
  NormalizationCreate,
  Problem,
  Stain,
  Template,
  TemplateDetail,
} from '../../../server/src/contract/index.ts';
import { PluginError, ServiceError } from '../plugin-error.ts';

export interface Authorization {
  /** As it is now: tokens are renewed behind our back. */
  header(): { Authorization?: string } | undefined;
  /** Nobody is signed in any more. */
  expired(): void;
}

/** How long a renewal that is under way may take until a request is given up. */
const RENEWAL_MS = 3000;

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
        // A template can be chosen by its name where its picture cannot be had.
        thumbnail: await this.#picture(template.thumbnail, signal).catch(() => ''),
      })),
    );
  }

  async model(name: string, signal: AbortSignal): Promise<Model> {
    const { models } = await this.#json<{ models: Model[] }>('/api/models', { signal });
    const found = models.find((model) => model.name === name);
    if (!found) throw new PluginError('PREVIEW_FAILED', { reason: `no model "${name}"` });
    return found;
  }

  /** @param anyStain of a slide that is not H&E too, which is refused otherwise */
  stain = (series: SeriesIdentity, model: string, signal: AbortSignal, anyStain = false): Promise<Stain> =>
    this.#json(
      `/api/studies/${series.studyInstanceUid}/series/${series.seriesInstanceUid}/stain?model=${encodeURIComponent(model)}${anyStain ? '&anyStain=true' : ''}`,
      { signal },
    );

  createTemplate = (body: object, signal: AbortSignal): Promise<Template> =>
    this.#json('/api/templates', { method: 'POST', body, signal });

  template = (id: string, signal: AbortSignal): Promise<TemplateDetail> =>
    this.#json(`/api/templates/${encodeURIComponent(id)}`, { signal });

  /** Its user has been asked, and knows of the jobs that use it. */
  async removeTemplate(id: string, signal: AbortSignal): Promise<void> {
    await this.request(`/api/templates/${encodeURIComponent(id)}?confirm=true`, { method: 'DELETE', signal });
  }

  normalize = (body: NormalizationCreate, signal: AbortSignal): Promise<Job> =>
    this.#json('/api/normalizations', { method: 'POST', body, signal });

  async newestJob(seriesInstanceUid: string, signal: AbortSignal): Promise<Job | null> {
    const { jobs } = await this.#json<JobList>(`/api/normalizations?series=${seriesInstanceUid}&limit=1`, {
      signal,
    });
    return jobs[0] ?? null;
  }

  cancel = (id: string, signal: AbortSignal): Promise<Job> =>
    this.#json(`/api/normalizations/${id}/cancel`, { method: 'POST', signal });

  /** Bytes at an address that the service gave: relative to the root of its host. */
  async bytes(address: string, signal: AbortSignal): Promise<Uint8Array> {
    const response = await this.#fetch(this.#absolute(address), { signal });
    return new Uint8Array(await response.arrayBuffer());
  }

  /** @throws ServiceError as the service says it; PluginError SERVICE_AWAY, SESSION_EXPIRED */
  request(path: string, options: RequestOptions): Promise<Response> {
    return this.#fetch(this.#root + path, options);
  }

  async #json<T>(path: string, options: RequestOptions): Promise<T> {
    return (await this.request(path, options)).json() as Promise<T>;
  }

  /** As a data URL: an img element would ask without the user's authorization. */
  async #picture(address: string, signal: AbortSignal): Promise<string> {
    const response = await this.#fetch(this.#absolute(address), { signal });
    const reader = new FileReader();
    reader.readAsDataURL(await response.blob());
    await new Promise((resolve, reject) => {
      reader.onload = resolve;
      reader.onerror = () => reject(reader.error);
    });
    return reader.result as string;
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

  /** The viewer renews tokens by itself; a request that met an old one waits for the new one. */
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

export interface SeriesIdentity {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
}

interface RequestOptions {
  readonly method?: string;
  readonly body?: object;
  readonly headers?: Record<string, string>;
  readonly signal: AbortSignal;
}

async function serviceError(response: Response): Promise<Error> {
  const problem = (await response.json().catch(() => undefined)) as Problem | undefined;
  // A proxy in between answers in its own words.
  if (!problem?.code) return new PluginError('SERVICE_AWAY');
  return new ServiceError(response.status, {
    code: problem.code,
    message: problem.detail,
    remedy: problem.remedy,
  });
}
