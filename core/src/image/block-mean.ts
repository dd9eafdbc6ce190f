/** A smaller picture of an image that comes in parts, in any order: each pixel is the mean of a square. */
import { blankRaster, type Raster } from './raster.ts';

export class BlockMean {
  readonly #width: number;
  readonly #height: number;
  readonly #side: number;
  readonly #sums: Uint32Array;
  readonly #counts: Uint32Array;

  /**
   * @param width of the image, in pixels
   * @param side of the squares, in pixels; those at the right and lower edges may be smaller
   */
  constructor(width: number, height: number, side: number) {
    this.#width = Math.ceil(width / side);
    this.#height = Math.ceil(height / side);
    this.#side = side;
    this.#counts = new Uint32Array(this.#width * this.#height);
    this.#sums = new Uint32Array(3 * this.#counts.length);
  }

  /** Adds a part of the image. @param left, top of the part; what lies beyond the image is left out */
  add({ rgb, width, height }: Raster, left: number, top: number): void {
    for (let y = 0; y < height; y++) {
      const row = Math.floor((top + y) / this.#side);
      if (row < 0 || row >= this.#height) continue;
      for (let x = 0; x < width; x++) {
        const column = Math.floor((left + x) / this.#side);
        if (column < 0 || column >= this.#width) continue;
        const to = row * this.#width + column;
        const from = 3 * (y * width + x);
        this.#counts[to]!++;
        for (let c = 0; c < 3; c++) this.#sums[3 * to + c]! += rgb[from + c]!;
      }
    }
  }

  /** The means, rounded; black where nothing was added. */
  picture(): Raster {
    const picture = blankRaster(this.#width, this.#height);
    for (const [i, sum] of this.#sums.entries())
      picture.rgb[i] = Math.round(sum / Math.max(1, this.#counts[Math.floor(i / 3)]!));
    return picture;
  }
}
