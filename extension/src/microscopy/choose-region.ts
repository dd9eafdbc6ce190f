/** Rectangles of a slide: one that the user drags, and the visible part. */
import type { Surface } from '../preview/surface.ts';

export interface Region {
  /** Pixels of the base level's Total Pixel Matrix, 0-based, whole numbers. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/**
 * Resolves to the bounding rectangle in base pixels, inside the slide; rejects with the signal's reason.
 * @param onEscape called for whoever leaves without one: it is to end the signal
 */
export function chooseRegion(
  surface: Surface,
  slide: { readonly totalColumns: number; readonly totalRows: number },
  signal: AbortSignal,
  onEscape: () => void,
): Promise<Region> {
  const pad = document.createElement('div');
  pad.className = 'stain-region-pad';
  pad.style.cssText = 'position:absolute;inset:0;cursor:crosshair;pointer-events:auto;touch-action:none';
  const box = document.createElement('div');
  box.style.cssText =
    'position:absolute;border:2px dashed #5acce6;background:rgba(90,204,230,.15);display:none';
  pad.append(box);
  surface.element.append(pad);
  // Otherwise the map below would pan.
  for (const type of ['pointerdown', 'pointermove', 'pointerup'])
    pad.addEventListener(type, (event) => event.stopPropagation());
  const done = new AbortController();
  document.addEventListener(
    'keydown',
    ({ key }) => {
      if (key === 'Escape') onEscape();
    },
    { signal: AbortSignal.any([signal, done.signal]) },
  );
  return new Promise<Region>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    let from: readonly [number, number] | undefined;
    const at = (event: PointerEvent): readonly [number, number] => {
      const { left, top } = pad.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    };
    pad.addEventListener('pointerdown', (event) => {
      pad.setPointerCapture(event.pointerId);
      from = at(event);
    });
    pad.addEventListener('pointermove', (event) => {
      if (!from) return;
      const [x, y] = at(event);
      box.style.display = 'block';
      box.style.left = `${Math.min(from[0], x)}px`;
      box.style.top = `${Math.min(from[1], y)}px`;
      box.style.width = `${Math.abs(x - from[0])}px`;
      box.style.height = `${Math.abs(y - from[1])}px`;
    });
    pad.addEventListener('pointerup', (event) => {
      const region = from && regionOf(surface, slide, from, at(event));
      from = undefined;
      box.style.display = 'none';
      if (region) resolve(region);
    });
  }).finally(() => {
    done.abort();
    pad.remove();
  });
}

/** The visible part of a slide; undefined if nothing is visible. */
export function visibleRegion(
  surface: Surface,
  slide: { readonly totalColumns: number; readonly totalRows: number },
): Region | undefined {
  const { clientWidth, clientHeight } = surface.element;
  return regionOf(surface, slide, [0, 0], [clientWidth, clientHeight]);
}

/** The quarter turns, clockwise, by which a slide is rotated; 0 if none is shown. */
export function quarterTurns(surface: Surface): number {
  const [a, b] = surface.transform() ?? [1, 0];
  return (Math.round(Math.atan2(b, a) / (Math.PI / 2)) + 4) % 4;
}

/** Undefined for a mere click. */
function regionOf(
  surface: Surface,
  { totalColumns, totalRows }: { totalColumns: number; totalRows: number },
  from: readonly [number, number],
  to: readonly [number, number],
): Region | undefined {
  const transform = surface.transform();
  if (!transform) return undefined;
  const toSlide = new DOMMatrix([...transform]).inverse();
  const corners = [from, [to[0], from[1]], to, [from[0], to[1]]].map(([x, y]) =>
    toSlide.transformPoint({ x: x!, y: y! }),
  );
  const clamp = (value: number, max: number): number => Math.min(max, Math.max(0, Math.round(value)));
  const [left, right] = [Math.min, Math.max].map((pick) =>
    clamp(pick(...corners.map(({ x }) => x)), totalColumns),
  );
  const [top, bottom] = [Math.min, Math.max].map((pick) =>
    clamp(pick(...corners.map(({ y }) => y)), totalRows),
  );
  const region = { x: left!, y: top!, width: right! - left!, height: bottom! - top! };
  return region.width > 3 && region.height > 3 ? region : undefined;
}
