/** Makes templates of what is shown, and removes them. */
import { DEFAULT_MODEL } from '../../../core/src/contract/default-model.ts';
import { chooseRegion, type Region } from '../microscopy/choose-region.ts';
import { onMapSurface } from '../microscopy/map-surface.ts';
import { mapOf } from '../microscopy/open-layers.ts';
import { sourceOf } from '../service/archive-names.ts';
import type { SlideSeries } from '../state.ts';
import type { SessionContext } from './context.ts';

/** The templates that can be chosen. */
export interface TemplateChoice {
  load(signal: AbortSignal): Promise<void>;
  choose(id: string): void;
}

export class TemplateEditor {
  readonly #context: SessionContext;
  readonly #list: TemplateChoice;
  /** What the next template is made of. */
  #choice:
    | { readonly abort: AbortController; readonly series: SlideSeries; readonly region?: Region }
    | undefined;

  constructor(context: SessionContext, list: TemplateChoice) {
    this.#context = context;
    this.#list = list;
  }

  /** The whole series that is shown. */
  fromSeries(): void {
    this.abandon();
    const { series } = this.#context.state;
    if (!series) return;
    this.#choice = { abort: new AbortController(), series };
    this.#context.change({ makingTemplate: 'naming' });
  }

  /** A rectangle that the user drags on it. */
  fromRegion(): void {
    this.abandon();
    void this.#context.act(async (signal) => {
      const { series } = this.#context.state;
      if (!series) return;
      const abort = new AbortController();
      this.#choice = { abort, series };
      this.#context.change({ makingTemplate: 'choosing-region' });
      const both = AbortSignal.any([abort.signal, signal]);
      const { viewer, container } = await this.#context.host.viewerOf(series, both);
      try {
        const region = await onMapSurface(mapOf(viewer), container, (surface) =>
          chooseRegion(surface, series, both, () => this.abandon()),
        );
        this.#choice = { abort, series, region };
        this.#context.change({ makingTemplate: 'naming' });
      } catch (error) {
        if (!both.aborted) throw error;
      }
    });
  }

  /** Second step of both. */
  create(name: string): void {
    void this.#context.act(async (signal) => {
      if (!this.#choice) return;
      const { series, region } = this.#choice;
      this.#context.change({ makingTemplate: 'computing' });
      try {
        const made = await this.#context.client.createTemplate(
          {
            name,
            studyInstanceUid: series.studyInstanceUid,
            seriesInstanceUid: series.seriesInstanceUid,
            model: DEFAULT_MODEL,
            ...(region ? { region } : {}),
            ...sourceOf(series),
          },
          signal,
        );
        await this.#list.load(signal);
        this.#list.choose(made.id);
      } finally {
        this.#choice = undefined;
        this.#context.change({ makingTemplate: null });
      }
    });
  }

  abandon(): void {
    this.#choice?.abort.abort();
    this.#choice = undefined;
    this.#context.change({ makingTemplate: null });
  }

  /** Asks the service what a removal would mean. */
  askToRemove(id: string): void {
    void this.#context.act(async (signal) => {
      const { name, unfinishedJobs = 0 } = await this.#context.client.template(id, signal);
      this.#context.change({ removingTemplate: { id, name, unfinishedJobs } });
    });
  }

  remove(): void {
    void this.#context.act(async (signal) => {
      const { removingTemplate } = this.#context.state;
      if (!removingTemplate) return;
      this.#context.change({ removingTemplate: null });
      const { id } = removingTemplate;
      await this.#context.client.removeTemplate(id, signal);
      if (this.#context.state.template === id) this.#context.change({ template: null });
      await this.#list.load(signal);
    });
  }
}
