/** A timeline chart: every decode, network run and encode of one job as a bar on the time axis. */
import sharp from 'sharp';
import type { CodecPool } from '../server/src/codec/codec-pool.ts';
import type { StainNetwork } from '../server/src/inference/network.ts';
import type { NormalizationEnvironment } from '../server/src/pipeline/environment.ts';
import type { Row } from './bench-run.ts';

const LANES = { decode: '#4477aa', network: '#cc6677', encode: '#228833' } as const;
type Lane = keyof typeof LANES;

interface Span {
  readonly lane: Lane;
  /** Milliseconds of performance.now(). */
  readonly start: number;
  readonly end: number;
}

export class Trace {
  readonly #spans: Span[] = [];

  /** The environment with its codecs and networks instrumented; a span begins when the task is handed over. */
  watch = (environment: NormalizationEnvironment): NormalizationEnvironment => ({
    ...environment,
    codecs: this.#watched(environment.codecs, { decode: 'decode', encode: 'encode' }) as CodecPool,
    network: async (model) =>
      this.#watched(await environment.network(model), {
        statistics: 'network',
        apply: 'network',
      }) as StainNetwork,
  });

  #watched(target: CodecPool | StainNetwork, lanes: Readonly<Record<string, Lane>>): object {
    return new Proxy(target, {
      get: (object, key) => {
        const value = Reflect.get(object, key, object) as unknown;
        if (typeof value !== 'function') return value;
        const method = value.bind(object) as (...args: unknown[]) => Promise<unknown>;
        const lane = lanes[String(key)];
        if (!lane) return method;
        return (...args: unknown[]) => {
          const start = performance.now();
          return method(...args).finally(() => this.#spans.push({ lane, start, end: performance.now() }));
        };
      },
    });
  }

  /** @param stages in order, from the first span's job */
  async write(path: string, stages: readonly Row[], title: string): Promise<void> {
    const [width, left, row, top] = [1200, 90, 46, 64];
    const from = Math.min(...this.#spans.map(({ start }) => start));
    const to = Math.max(...this.#spans.map(({ end }) => end));
    const x = (time: number): number => left + ((time - from) / (to - from)) * (width - left - 20);
    const lanes = Object.keys(LANES) as Lane[];
    const bars = this.#spans.map(
      ({ lane, start, end }) =>
        `<rect x="${x(start).toFixed(1)}" y="${top + lanes.indexOf(lane) * row}" width="${Math.max(0.4, x(end) - x(start)).toFixed(1)}" height="${row - 14}" fill="${LANES[lane]}" fill-opacity="0.45"/>`,
    );
    const labels = lanes.map(
      (lane, i) => `<text x="8" y="${top + i * row + 21}" font-size="15">${lane}</text>`,
    );
    const seconds = (to - from) / 1000;
    const ticks = Array.from({ length: 11 }, (_, i) => {
      const time = from + ((to - from) * i) / 10;
      const y = top + lanes.length * row;
      return `<text x="${x(time)}" y="${y + 16}" font-size="13" text-anchor="middle">${((seconds * i) / 10).toFixed(1)} s</text>`;
    });
    const told = stages.map(({ name, seconds: s }) => `${name} ${s.toFixed(1)} s`).join(', ');
    const height = top + lanes.length * row + 30;
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif"><rect width="100%" height="100%" fill="white"/><text x="8" y="22" font-size="16">${title}</text><text x="8" y="44" font-size="13">${told}</text>${bars.join('')}${labels.join('')}${ticks.join('')}</svg>`;
    await sharp(Buffer.from(svg)).png({ palette: true }).toFile(path);
  }
}
