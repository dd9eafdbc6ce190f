/** Constructed H&E-like pictures: nuclei and stroma of given colours on glass, the same for the same seed. */
import { blankRaster, type Raster, type Rgb } from '../../core/src/image/raster.ts';

export interface TissueOptions {
  readonly seed?: number;
  readonly glass?: Rgb;
  /** Part of the width that is tissue, from the left; the rest is glass. */
  readonly part?: number;
  /** Factor on the optical density of the tissue: 1 is ordinary, 0.2 faint. */
  readonly strength?: number;
  /** Amplitude of the noise, in grey levels. */
  readonly noise?: number;
}

export function tissue(width: number, height: number, options: TissueOptions = {}): Raster {
  const { seed = 1, glass = [243, 242, 244], part = 1, strength = 1, noise = 2 } = options;
  const random = generator(seed);
  const raster = blankRaster(width, height);
  const nuclei = Array.from({ length: Math.ceil((width * height) / 900) }, () => ({
    x: random() * width,
    y: random() * height,
    r: 4 + random() * 5,
  }));
  const edge = width * part;
  const density = new Float32Array(width * height);
  for (const { x, y, r } of nuclei)
    for (let py = Math.max(0, Math.floor(y - r)); py < Math.min(height, y + r); py++)
      for (let px = Math.max(0, Math.floor(x - r)); px < Math.min(width, x + r); px++)
        if ((px - x) ** 2 + (py - y) ** 2 < r * r) density[py * width + px] = 1;
  for (let i = 0; i < width * height; i++) {
    const isTissue = i % width < edge;
    const wave = 0.5 + 0.5 * Math.sin((i % width) / 23) * Math.cos(Math.floor(i / width) / 31);
    const haematoxylin = isTissue ? density[i]! * 0.9 : 0;
    const eosin = isTissue ? 0.15 + 0.35 * wave : 0;
    for (let c = 0; c < 3; c++) {
      const od = strength * (haematoxylin * HAEMATOXYLIN[c]! + eosin * EOSIN[c]!);
      raster.rgb[i * 3 + c] = Math.round(glass[c]! * Math.exp(-od) + (random() * 2 - 1) * noise);
    }
  }
  return raster;
}

/** Optical densities of the stains in R, G, B (Ruifrok and Johnston 2001). */
const HAEMATOXYLIN = [0.65, 0.7, 0.29].map((v) => v * 1.8);
const EOSIN = [0.07, 0.99, 0.11].map((v) => v * 1.2);

/** Lehmer generator: pseudo-random numbers in [0, 1). */
function generator(seed: number): () => number {
  let state = (seed * 48271) % 2147483647 || 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}
