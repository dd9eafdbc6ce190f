/** Keeps the address of the page in step with what is shown, so that it can be sent to somebody, or loaded again. */
import { mapOf, type SlideMap } from '../microscopy/open-layers.ts';
import { type Place, placeOf } from '../microscopy/place.ts';
import type { ViewerHost } from '../ohif/viewer-host.ts';
import type { PluginState } from '../state.ts';
import { type Link, type SlidePlace, writeLink } from './link.ts';

/** Browsers refuse more than a hundred changes in half a minute. */
const WAIT_MS = 400;

/** What identifies a study to OHIF; everything else in its address is the user's own. */
const STUDY = 'StudyInstanceUIDs';

interface Shown {
  readonly state: PluginState;
  subscribe(listener: () => void): () => void;
}

export class AddressKeeper {
  readonly #shown: Shown;
  readonly #host: ViewerHost;
  #map: SlideMap | undefined;
  #waiting: ReturnType<typeof setTimeout> | undefined;

  /** @param signal ends it, and leaves the address as it is */
  constructor(shown: Shown, host: ViewerHost, signal: AbortSignal) {
    this.#shown = shown;
    this.#host = host;
    const unsubscribe = shown.subscribe(this.#changed);
    signal.addEventListener(
      'abort',
      () => {
        unsubscribe();
        clearTimeout(this.#waiting);
        this.#map?.un('moveend', this.#write);
      },
      { once: true },
    );
    this.#changed();
  }

  /** For somebody else: study, and what is shown of it. */
  url(): string {
    // The first is the one that is shown.
    const { series } = this.#shown.state;
    const opened = new URLSearchParams(location.search).getAll(STUDY).flatMap((uids) => uids.split(','));
    const studies = new Set([...(series ? [series.studyInstanceUid] : []), ...opened]);
    const own = [...studies].map((uid) => [STUDY, uid]);
    return location.origin + location.pathname + writeLink(`${new URLSearchParams(own)}`, this.#link());
  }

  readonly #changed = (): void => {
    const map = this.#mapNow();
    if (map !== this.#map) {
      this.#map?.un('moveend', this.#write);
      map?.on('moveend', this.#write);
      this.#map = map;
    }
    this.#write();
  };

  readonly #write = (): void => {
    this.#waiting ??= setTimeout(() => {
      this.#waiting = undefined;
      const search = writeLink(location.search, this.#link());
      // The viewer's router keeps its own notes in the state.
      if (search !== location.search) history.replaceState(history.state, '', search + location.hash);
    }, WAIT_MS);
  };

  #link(): Link {
    const { comparison, preview, series, template, transfer } = this.#shown.state;
    const place = this.#map && placeOf(this.#map);
    return {
      mode: comparison?.mode ?? (preview ? 'preview' : null),
      previewed: preview?.mode && preview.mode !== 'alone' ? preview.mode : null,
      template: comparison?.normalized.derived?.template ?? preview?.template ?? template,
      transfer,
      result: comparison?.normalized.seriesInstanceUid ?? null,
      against: comparison?.against.derived ? comparison.against.seriesInstanceUid : null,
      others: comparison?.others.length
        ? comparison.others.map(({ seriesInstanceUid }) => seriesInstanceUid)
        : null,
      series: comparison || this.#host.allSeries().length < 2 ? null : (series?.seriesInstanceUid ?? null),
      place: place ? slidePlaceOf(place) : null,
    };
  }

  #mapNow(): SlideMap | undefined {
    const { series } = this.#shown.state;
    const viewer = series && this.#host.viewerNow(series);
    try {
      return viewer ? mapOf(viewer.viewer) : undefined;
    } catch {
      return undefined; // said by whatever needs it
    }
  }
}

const DEGREES = 180 / Math.PI;

/** The slide viewer's vertical axis points up, and begins a pixel above the slide. */
function slidePlaceOf({ center: [x, y], resolution, rotation }: Place): SlidePlace {
  return { x, y: -1 - y, zoom: resolution, turn: rotation * DEGREES };
}

/** @returns where that is in the slide viewer */
export function viewerPlaceOf({ x, y, zoom, turn }: SlidePlace): Place {
  return { center: [x, -1 - y], resolution: zoom, rotation: turn / DEGREES };
}
