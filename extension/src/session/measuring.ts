/** Measures the colour of what is shown, until something else is asked for. */
import type { Comparison } from '../comparison/comparison.ts';
import { type MeasuredPane, measureColours } from '../measure/colour-measurement.ts';
import { mapOf, type SlideMap } from '../microscopy/open-layers.ts';
import type { Measured, SlideSeries } from '../state.ts';
import type { SessionContext } from './context.ts';

export class Measuring {
  readonly #context: SessionContext;
  readonly #comparison: () => Comparison | undefined;
  #work = new AbortController();

  /** @param comparison the one that is open now */
  constructor(context: SessionContext, comparison: () => Comparison | undefined) {
    this.#context = context;
    this.#comparison = comparison;
  }

  start(of: Measured): void {
    this.stop();
    const { change, attempt } = this.#context;
    const { signal } = this.#work;
    void attempt(async () => {
      await measureColours(
        of,
        () => this.#panes(),
        (measurement) => change({ measurement }),
        () => this.stop(),
        signal,
      );
      if (of === 'view') this.#stopWhenMoved(signal);
    }, signal);
  }

  /** Other pictures are shown than those that were measured. */
  forget(): void {
    const { measurement } = this.#context.state;
    if (measurement?.of === 'pointer')
      this.#context.change({ measurement: { ...measurement, against: null, normalized: null } });
    else this.stop();
  }

  stop(): void {
    this.#work.abort();
    this.#work = new AbortController();
    if (this.#context.state.measurement) this.#context.change({ measurement: null });
  }

  #stopWhenMoved(signal: AbortSignal): void {
    const map = this.#panes()[0]?.map;
    const moved = (): void => this.stop();
    map?.on('moveend', moved);
    signal.addEventListener('abort', () => map?.un('moveend', moved), { once: true });
  }

  /** The slides whose colours can be measured now: both of a comparison or a preview, or the one that is shown. */
  #panes(): MeasuredPane[] {
    const { state, host } = this.#context;
    const { series } = state;
    const comparison = this.#comparison();
    if (comparison) {
      const { maps, against, normalized } = comparison;
      return [paneOf('against', against, maps.against), paneOf('normalized', normalized, maps.normalized)];
    }
    const viewer = series && host.viewerNow(series);
    const side = series?.derived ? 'normalized' : 'against';
    return viewer ? [paneOf(side, series, mapOf(viewer.viewer))] : [];
  }
}

function paneOf(
  side: MeasuredPane['side'],
  { totalColumns, totalRows }: SlideSeries,
  map: SlideMap,
): MeasuredPane {
  return { side, map, container: map.getTarget() as HTMLElement, totalColumns, totalRows };
}
