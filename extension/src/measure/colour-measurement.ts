/** Measures the colour of every slide that is shown, at the same places: under the pointer, in a region, in the view. */
import { type ColourReading, readColours } from '../../../core/src/stain/colour-reading.ts';
import { chooseRegion, type Region, visibleRegion } from '../microscopy/choose-region.ts';
import { createMapSurface, onMapSurface } from '../microscopy/map-surface.ts';
import { type Coordinate, colourAt, type SlideMap } from '../microscopy/open-layers.ts';
import type { Measured, Measurement } from '../state.ts';

/** A slide that is shown. All that are shown at once have one geometry. */
export interface MeasuredPane {
  readonly side: 'against' | 'normalized';
  readonly map: SlideMap;
  readonly container: HTMLElement;
  readonly totalColumns: number;
  readonly totalRows: number;
}

/** A region is measured at this many places in each direction: enough for a mean, and done within a frame. */
const GRID = 64;

/**
 * @param panes what is shown at the time of the call
 * @param onChange called with the measurement as it is
 * @param onEscape called for whoever chooses no region; it is to end the signal
 */
export async function measureColours(
  of: Measured,
  panes: () => readonly MeasuredPane[],
  onChange: (measurement: Measurement) => void,
  onEscape: () => void,
  signal: AbortSignal,
): Promise<void> {
  const say = (coordinates: readonly Coordinate[]): void =>
    onChange({ of, isChoosing: false, ...readPanes(panes(), coordinates) });
  if (of === 'pointer') {
    say([]);
    return followPointer(panes, (coordinate) => say(coordinate ? [coordinate] : []), signal);
  }
  const [first] = panes();
  if (of === 'view') {
    const region =
      first && (await onMapSurface(first.map, first.container, (surface) => visibleRegion(surface, first)));
    signal.throwIfAborted();
    return say(region ? gridOf(region) : []);
  }
  onChange({ of, isChoosing: true, against: null, normalized: null });
  const chosen = await chooseOnAny(panes(), onEscape, signal);
  say(gridOf(chosen));
}

/** Calls back at most once per frame, with the position of the pointer on the slide; undefined if nothing is drawn. */
function followPointer(
  panes: () => readonly MeasuredPane[],
  onMove: (coordinate: Coordinate | undefined) => void,
  signal: AbortSignal,
): void {
  let last: { readonly event: PointerEvent; readonly target: Node } | undefined;
  const look = (): void => {
    if (!last || signal.aborted) return;
    const { event, target } = last;
    last = undefined;
    const pane = panes().find(
      ({ container }) => isInside(container, event) && container.parentElement?.contains(target),
    );
    if (!pane) return;
    const { left, top } = pane.container.getBoundingClientRect();
    const at = pane.map.getCoordinateFromPixel([event.clientX - left, event.clientY - top]);
    onMove(at ?? undefined);
  };
  document.addEventListener(
    'pointermove',
    (event) => {
      if (!last) requestAnimationFrame(look);
      // An event that is over has forgotten its path.
      last = { event, target: event.composedPath()[0] as Node };
    },
    { signal, capture: true },
  );
}

function isInside(element: HTMLElement, { clientX, clientY }: PointerEvent): boolean {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return clientX >= left && clientX < right && clientY >= top && clientY < bottom;
}

/** The rectangle that the user drags on whichever of the slides. @throws the signal's reason */
async function chooseOnAny(
  panes: readonly MeasuredPane[],
  onEscape: () => void,
  signal: AbortSignal,
): Promise<Region> {
  const done = new AbortController();
  const surfaces = panes.map((pane) => createMapSurface(pane.map, pane.container));
  try {
    const either = AbortSignal.any([signal, done.signal]);
    return await Promise.race(
      panes.map((pane, i) => {
        const chosen = chooseRegion(surfaces[i]!, pane, either, onEscape);
        // The pads that were not used.
        chosen.catch(() => {});
        return chosen;
      }),
    );
  } finally {
    done.abort();
    for (const surface of surfaces) surface.dispose();
  }
}

/** Centres of pixels of the base level, evenly spaced over a region. */
function gridOf({ x, y, width, height }: Region): Coordinate[] {
  const along = (from: number, length: number): number[] => {
    const count = Math.min(GRID, length);
    return Array.from({ length: count }, (_, i) => from + Math.floor(((i + 0.5) * length) / count) + 0.5);
  };
  const rows = along(y, height);
  return along(x, width).flatMap((column) => rows.map((row): Coordinate => [column, -1 - row]));
}

/** Only places where every slide is drawn: two slides are measured at the same ones. */
function readPanes(
  panes: readonly MeasuredPane[],
  coordinates: readonly Coordinate[],
): Pick<Measurement, 'against' | 'normalized'> {
  const colours = panes.map((): number[] => []);
  for (const coordinate of coordinates) {
    const found = panes.map(({ map }) => colourAt(map, coordinate));
    if (found.some((colour) => !colour)) continue;
    for (const [i, colour] of found.entries()) colours[i]!.push(...colour!);
  }
  const readingOf = (side: MeasuredPane['side']): ColourReading | null => {
    const i = panes.findIndex((pane) => pane.side === side);
    const rgb = colours[i];
    return rgb && rgb.length > 0 ? readColours(Uint8Array.from(rgb)) : null;
  };
  return { against: readingOf('against'), normalized: readingOf('normalized') };
}
