/**
 * Tiles made in the browser and drawn over a slide. Follows pan and zoom, and aborts tiles that are no longer visible.
 * Where a tile of the present view is missing, the slide below is striped, so that nobody mistakes it for a tile.
 */
import type { Rectangle } from '../../../core/src/image/windows.ts';
import { ByteBoundCache } from './byte-bound-cache.ts';
import type { SlideLevels } from './slide-levels.ts';
import type { Surface } from './surface.ts';
import { isInSight, type Tile, visibleTiles } from './visible-tiles.ts';

/** The view counts as still when it has not moved for this long. */
const REST_MS = 120;
/** Maximum bytes of finished tiles, four per pixel. */
const MAX_BYTES = 192 << 20;

export interface TileProgress {
  /** Tiles of the present view: drawn, and in total. */
  readonly done: number;
  readonly total: number;
  /** Nothing of the slide below is visible. */
  readonly isWhole: boolean;
}

interface MadeTile {
  readonly tile: Tile;
  readonly bitmap: ImageBitmap;
}

export interface TileOverlayOptions {
  readonly surface: Surface;
  readonly levels: SlideLevels;
  /** Makes a tile, as large as its frame. */
  produce(tile: Tile, signal: AbortSignal): Promise<ImageBitmap>;
  /** The current progress, called with each drawing, before the browser shows it. */
  onProgress(progress: TileProgress): void;
  /** A tile cannot be made. The overlay continues; the caller decides whether it stays. */
  onError(error: unknown): void;
}

export class TileOverlay {
  readonly #options: TileOverlayOptions;
  readonly #canvas = document.createElement('canvas');
  readonly #stripes = stripes(this.#canvas.getContext('2d')!);
  readonly #bitmaps = new ByteBoundCache<MadeTile>(
    MAX_BYTES,
    ({ bitmap }) => bitmap.width * bitmap.height * 4,
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
    const { produce, onError } = this.#options;
    this.#work = new AbortController();
    const { signal } = this.#work;
    await Promise.all(
      this.#tiles().map(async (tile) => {
        if (this.#bitmaps.get(keyOf(tile))) return;
        try {
          const bitmap = await produce(tile, signal);
          if (signal.aborted) return bitmap.close();
          this.#bitmaps.set(keyOf(tile), { tile, bitmap });
          this.#draw();
        } catch (error) {
          if (!signal.aborted) onError(error);
        }
      }),
    );
  }

  /** Tiles of the view that was drawn last. */
  #tiles(): Tile[] {
    const { surface, levels } = this.#options;
    const transform = surface.transform();
    return transform ? visibleTiles(levels, transform, this.#size(), devicePixelRatio, MAX_BYTES / 4) : [];
  }

  #size(): { width: number; height: number } {
    const { clientWidth: width, clientHeight: height } = this.#options.surface.element;
    return { width, height };
  }

  #draw(): void {
    const { surface, onProgress } = this.#options;
    const { width, height } = this.#size();
    const [w, h] = [Math.round(width * devicePixelRatio), Math.round(height * devicePixelRatio)];
    if (this.#canvas.width !== w || this.#canvas.height !== h)
      [this.#canvas.width, this.#canvas.height] = [w, h];
    const context = this.#canvas.getContext('2d')!;
    // The viewer takes the nearest pixel of a level: what it shows of the result would be sharper otherwise.
    context.imageSmoothingEnabled = false;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, w, h);
    const transform = surface.transform();
    if (!transform) {
      onProgress({ done: 0, total: 0, isWhole: false });
      return;
    }
    const tiles = this.#tiles();
    const missing = tiles.filter((tile) => !this.#bitmaps.has(keyOf(tile)));
    const toDevice = (): void => {
      context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
      context.transform(...transform);
    };
    toDevice();
    context.beginPath();
    for (const tile of missing) {
      const { x, y, width: across, height: down } = this.#rectangleOf(tile);
      context.rect(x, y, across, down);
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = this.#stripes;
    context.fill();
    toDevice();
    const drawn = [...this.#bitmaps.values()].filter(({ tile }) =>
      isInSight(this.#rectangleOf(tile), transform, { width, height }),
    );
    // Tiles end between device pixels, where the slide would show: below each level lies the same, reaching over its
    // neighbours a little. What is seen of it is the seam alone, as all else is drawn over it where it belongs.
    const overlap = 0.75 / (Math.hypot(transform[0], transform[1]) * devicePixelRatio);
    // Coarse tiles first, finer ones over them.
    for (let level = this.#options.levels.length - 1; level >= 0; level--) {
      const ofLevel = drawn.filter(({ tile }) => tile.level === level);
      for (const beyond of [overlap, 0]) for (const one of ofLevel) this.#drawTile(context, one, beyond);
    }
    onProgress({
      done: tiles.length - missing.length,
      total: tiles.length,
      isWhole: missing.length === 0,
    });
  }

  /** @param beyond how far it reaches over its edges, in pixels of the base level */
  #drawTile(context: CanvasRenderingContext2D, { tile, bitmap }: MadeTile, beyond: number): void {
    const { x, y, width, height } = this.#rectangleOf(tile);
    const { downsample } = this.#options.levels[tile.level]!;
    const [across, down] = [width / downsample, height / downsample];
    context.drawImage(
      bitmap,
      0,
      0,
      across,
      down,
      x - beyond,
      y - beyond,
      width + 2 * beyond,
      height + 2 * beyond,
    );
  }

  /** In pixels of the base level. */
  #rectangleOf({ level, column, row }: Tile): Rectangle {
    const { columns, rows, downsample, totalColumns, totalRows } = this.#options.levels[level]!;
    const [x, y] = [column * columns, row * rows];
    return {
      x: x * downsample,
      y: y * downsample,
      width: Math.min(columns, totalColumns - x) * downsample,
      height: Math.min(rows, totalRows - y) * downsample,
    };
  }
}

function keyOf({ level, column, row }: Tile): string {
  return `${level}/${column}/${row}`;
}

/** Dark and light stripes, visible on glass and on tissue. */
function stripes(context: CanvasRenderingContext2D): CanvasPattern {
  const side = 24;
  const sample = new OffscreenCanvas(side, side);
  const pen = sample.getContext('2d')!;
  pen.fillStyle = 'rgba(4, 6, 24, 0.4)';
  pen.fillRect(0, 0, side, side);
  pen.fillStyle = 'rgba(255, 209, 102, 0.7)';
  for (const from of [-side, 0, side]) {
    pen.beginPath();
    pen.moveTo(from, side);
    pen.lineTo(from + side, 0);
    pen.lineTo(from + 1.25 * side, 0);
    pen.lineTo(from + side / 4, side);
    pen.fill();
  }
  return context.createPattern(sample, 'repeat')!;
}
