/** Tiles made in the browser, drawn over a slide: follows pan and zoom, and gives up what is not visible any more. */
import { ByteCache } from './byte-cache.ts';
import type { SlideLevels } from './slide-levels.ts';
import type { Surface } from './surface.ts';
import { isInSight, type Tile, visibleTiles } from './visible-tiles.ts';

/** The view has come to rest when it has not moved for this long. */
const REST_MS = 120;
/** Finished tiles are kept up to this many bytes, four a pixel. */
const MOST_BYTES = 192 << 20;

export interface TileOverlayOptions {
  readonly surface: Surface;
  readonly levels: SlideLevels;
  /** Makes a tile, as large as its frame. */
  produce(tile: Tile, signal: AbortSignal): Promise<ImageBitmap>;
  onProgress(progress: { readonly done: number; readonly total: number }): void;
  onError(error: unknown): void;
}

export class TileOverlay {
  readonly #options: TileOverlayOptions;
  readonly #canvas = document.createElement('canvas');
  readonly #bitmaps = new ByteCache<{ readonly tile: Tile; readonly bitmap: ImageBitmap }>(
    MOST_BYTES,
    ({ bitmap }) => bitmap.close(),
  );
  readonly #stopListening: () => void;
  #work = new AbortController();
  #rest: ReturnType<typeof setTimeout> | undefined;
  #last = '';

  constructor(options: TileOverlayOptions) {
    this.#options = options;
    this.#canvas.style.cssText = 'position:absolute;inset:0;width:100%;height:100%';
    options.surface.element.append(this.#canvas);
    this.#stopListening = options.surface.onRender(() => this.#onRender());
    this.#onRender();
  }

  dispose(): void {
    this.#stopListening();
    clearTimeout(this.#rest);
    this.#work.abort();
    this.#bitmaps.clear();
    this.#canvas.remove();
  }

  #onRender(): void {
    this.#draw();
    const now = JSON.stringify([this.#options.surface.transform(), this.#size()]);
    if (now === this.#last) return;
    this.#last = now;
    this.#work.abort();
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => void this.#fill(), REST_MS);
  }

  async #fill(): Promise<void> {
    const { surface, levels, produce, onProgress, onError } = this.#options;
    const transform = surface.transform();
    if (!transform) return;
    this.#work = new AbortController();
    const { signal } = this.#work;
    const tiles = visibleTiles(levels, transform, this.#size(), devicePixelRatio, MOST_BYTES / 4);
    let done = 0;
    const report = (): void => onProgress({ done, total: tiles.length });
    report();
    await Promise.all(
      tiles.map(async (tile) => {
        const key = `${tile.level}/${tile.column}/${tile.row}`;
        try {
          const known = this.#bitmaps.get(key);
          const bitmap = known?.bitmap ?? (await produce(tile, signal));
          if (signal.aborted) return known ? undefined : bitmap.close();
          if (!known) this.#bitmaps.set(key, { tile, bitmap }, bitmap.width * bitmap.height * 4);
          done++;
          report();
          this.#draw();
        } catch (error) {
          if (!signal.aborted) onError(error);
        }
      }),
    );
  }

  #size(): { width: number; height: number } {
    const { clientWidth: width, clientHeight: height } = this.#options.surface.element;
    return { width, height };
  }

  #draw(): void {
    const { surface, levels } = this.#options;
    const { width, height } = this.#size();
    const [w, h] = [Math.round(width * devicePixelRatio), Math.round(height * devicePixelRatio)];
    if (this.#canvas.width !== w || this.#canvas.height !== h)
      [this.#canvas.width, this.#canvas.height] = [w, h];
    const context = this.#canvas.getContext('2d')!;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, w, h);
    const transform = surface.transform();
    if (!transform) return;
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.transform(...transform);
    // Tiles end between device pixels: each reaches over its neighbour a little, or the slide would show in between.
    const overlap = 0.75 / (Math.hypot(transform[0], transform[1]) * devicePixelRatio);
    // Coarse tiles first, finer ones over them.
    const drawn = [...this.#bitmaps.values()].sort((a, b) => b.tile.level - a.tile.level);
    for (const { tile, bitmap } of drawn) {
      const { columns, rows, downsample, totalColumns, totalRows } = levels[tile.level]!;
      const [x, y] = [tile.column * columns, tile.row * rows];
      const [inside, below] = [Math.min(columns, totalColumns - x), Math.min(rows, totalRows - y)];
      const place = {
        x: x * downsample,
        y: y * downsample,
        width: inside * downsample,
        height: below * downsample,
      };
      if (!isInSight(place, transform, { width, height })) continue;
      context.drawImage(
        bitmap,
        0,
        0,
        inside,
        below,
        place.x,
        place.y,
        place.width + overlap,
        place.height + overlap,
      );
    }
  }
}
