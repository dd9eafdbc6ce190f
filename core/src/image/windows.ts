/**
 * The windows in which a slide goes through the network. A window is a core plus a halo of real pixels; the cores tile
 * the slide without gap or overlap. All windows of a slide have one size (a GPU tunes its kernels once per shape) and
 * lie at multiples of `alignment`, so that tile-wise output equals whole-image output exactly (dcgmm: two 2 x 2 pooling
 * layers, 17 pixels of receptive field). At the edge of the slide there is no halo.
 */
export interface Window {
  /** Outer rectangle; its origin is a multiple of the alignment. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** The part whose output is kept, in slide coordinates. */
  readonly core: Rectangle;
}

export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The common part of two rectangles; its size is zero or negative if they do not overlap. */
export function intersection(a: Rectangle, b: Rectangle): Rectangle {
  const x = Math.max(a.x, b.x);
  const y = Math.max(a.y, b.y);
  return {
    x,
    y,
    width: Math.min(a.x + a.width, b.x + b.width) - x,
    height: Math.min(a.y + a.height, b.y + b.height) - y,
  };
}

export interface NetworkGeometry {
  /** Pixels of context that the network needs on each side; at most `MAX_HALO`. */
  readonly halo: number;
  /** Origins and sizes of windows are multiples of this. */
  readonly alignment: number;
}

/** Upper limit for all models: determines how long pixels are kept for the next window. */
export const MAX_HALO = 32;

export interface WindowGeometry extends NetworkGeometry {
  /** Largest core, in pixels a side. */
  readonly coreSize: number;
}

/** `size` rounded up to what the network accepts; the added pixels repeat the last row or column. */
export function alignedSize(size: number, alignment: number): number {
  return Math.ceil(size / alignment) * alignment;
}

interface Span {
  readonly origin: number;
  readonly size: number;
  readonly coreStart: number;
  readonly coreEnd: number;
}

/** Cuts one axis of `length` pixels into spans of equal size. */
function spans(length: number, { halo, alignment, coreSize }: WindowGeometry): Span[] {
  const padded = alignedSize(length, alignment);
  if (padded <= coreSize + 2 * halo) return [{ origin: 0, size: padded, coreStart: 0, coreEnd: length }];
  const count = Math.ceil((padded - 2 * halo) / coreSize);
  const size = alignedSize((padded - 2 * halo) / count, alignment) + 2 * halo;
  const result: Span[] = [];
  for (let i = 0; i < count; i++) {
    const last = i === count - 1;
    const origin = last ? padded - size : i * (size - 2 * halo);
    result.push({
      origin,
      size,
      coreStart: result.at(-1)?.coreEnd ?? 0,
      coreEnd: last ? length : origin + size - halo,
    });
  }
  return result;
}

/** All windows of a slide of width x height pixels, row by row. */
export function* windowsOf(width: number, height: number, geometry: WindowGeometry): Generator<Window> {
  const columns = spans(width, geometry);
  for (const row of spans(height, geometry)) {
    for (const column of columns) {
      yield {
        x: column.origin,
        y: row.origin,
        width: column.size,
        height: row.size,
        core: {
          x: column.coreStart,
          y: row.coreStart,
          width: column.coreEnd - column.coreStart,
          height: row.coreEnd - row.coreStart,
        },
      };
    }
  }
}

/**
 * The window around a rectangle of a plane. Its origin and size are multiples of the alignment and its halo is complete
 * (except at the upper and left edge of the plane), so the result is the same as for the whole plane, however that is
 * divided. It may extend beyond the right and lower edge by less than the alignment.
 */
export function windowAround(
  rectangle: Rectangle,
  plane: { readonly width: number; readonly height: number },
  { halo, alignment }: NetworkGeometry,
): Rectangle {
  const along = (from: number, size: number, total: number): readonly [number, number] => {
    const start = Math.max(0, Math.floor((from - halo) / alignment) * alignment);
    const end = alignedSize(Math.min(total, from + size + halo), alignment);
    return [start, end - start];
  };
  const [x, width] = along(rectangle.x, rectangle.width, plane.width);
  const [y, height] = along(rectangle.y, rectangle.height, plane.height);
  return { x, y, width, height };
}
