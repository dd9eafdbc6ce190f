/** The pictures of the templates: what each was made of, or the slide under each. */
import { quarterTurns, type Region, visibleRegion } from '../microscopy/choose-region.ts';
import { onMapSurface, whenDrawn } from '../microscopy/map-surface.ts';
import { mapOf } from '../microscopy/open-layers.ts';
import { pictureRegion, slidePictures } from '../slide-pictures.ts';
import type { PictureSubject, SlidePictures, SlideSeries } from '../state.ts';
import type { SessionContext } from './context.ts';

export const NO_PICTURES: SlidePictures = { of: 'template', turns: 0, urls: {} };

export class Pictures {
  readonly #context: SessionContext;
  /** The pictures that are on their way; ends when others are asked for. */
  #work = new AbortController();

  constructor(context: SessionContext) {
    this.#context = context;
  }

  /** @param slide ends when another slide is shown */
  show(of: PictureSubject, slide: AbortSignal): void {
    this.none(of);
    const { source, templates, transfer } = this.#context.state;
    if (of === 'template' || !source || templates.state !== 'ready') return;
    void this.#context.attempt(
      async (signal) => {
        try {
          const { region, turns } = await this.#view(source, signal);
          const wanted = {
            source,
            region: pictureRegion(source, transfer, of === 'view' ? region : undefined),
            transfer,
            templates: templates.value.filter(({ usable }) => usable).map(({ id }) => id),
          };
          await slidePictures(wanted, this.#context.client, signal, (template, url) =>
            this.#context.change({
              pictures: { of, turns, urls: { ...this.#context.state.pictures.urls, [template]: url } },
            }),
          );
        } catch (error) {
          if (!signal.aborted) this.#context.change({ pictures: NO_PICTURES });
          throw error;
        }
      },
      AbortSignal.any([this.#work.signal, slide]),
    );
  }

  /** None yet, of what is to be shown. */
  none(of: PictureSubject): void {
    this.#work.abort();
    this.#work = new AbortController();
    this.#context.change({ pictures: { of, turns: 0, urls: {} } });
  }

  /** What is in sight of a slide, and how it is turned. */
  async #view(
    source: SlideSeries,
    signal: AbortSignal,
  ): Promise<{ readonly region: Region | undefined; readonly turns: number }> {
    const { viewer, container } = await this.#context.host.viewerOf(source, signal);
    return onMapSurface(mapOf(viewer), container, async (surface) => {
      await whenDrawn(surface, signal);
      return { region: visibleRegion(surface, source), turns: quarterTurns(surface) };
    });
  }

  close(): void {
    this.#work.abort();
  }
}
