import { setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StainError } from '../../core/src/errors.ts';
import { blankRaster, copyOverlap, type Raster } from '../../core/src/image/raster.ts';
import { applyTables } from '../../core/src/stain/linear-tables.ts';
import { isNowhereDenser } from '../../core/src/stain/optical-density.ts';
import {
  type LinearTransfer,
  makeTransfer,
  type PaperTransfer,
  type Transfer,
} from '../../core/src/stain/transfer.ts';
import { TRANSFERS } from '../../core/src/stain/transfer-name.ts';
import type { StainNetwork } from '../../server/src/inference/network.ts';
import { fitStain } from '../../server/src/pipeline/fit.ts';
import { normalizePixels } from '../../server/src/pipeline/normalize-pixels.ts';
import { memorySource } from '../../server/src/slide/pixel-source.ts';
import { openShippedNetwork } from '../support/network.ts';
import { runs } from '../support/property-runs.ts';
import { tissue } from '../support/tissue.ts';

let network: StainNetwork;
const signal = new AbortController().signal;

beforeAll(async () => {
  network = await openShippedNetwork();
});
afterAll(() => network.close());

/** A transfer class by class that changes every pixel visibly. */
function strongTransfer(fade: readonly [number, number] = [0.05, 0.1]): PaperTransfer {
  const scale = Float32Array.from({ length: 12 }, (_, i) => 0.7 + 0.05 * i);
  const offset = Float32Array.from({ length: 12 }, (_, i) => 0.1 - 0.02 * i);
  const [low, high] = fade;
  return {
    name: 'paper',
    fade: { low, high },
    notes: [],
    coefficients: { scale, offset, fade, blueness: 0 },
  };
}

async function normalize(picture: Raster, transfer: Transfer, coreSize: number): Promise<Raster> {
  const result = blankRaster(picture.width, picture.height);
  await normalizePixels(memorySource(picture), network, transfer, {
    signal,
    coreSize,
    sink: async (core, at) => {
      copyOverlap(core, at, result, { x: 0, y: 0 });
    },
  });
  return result;
}

const fitOf = (picture: Raster) =>
  fitStain(memorySource(picture), [memorySource(picture)], network, { signal });

describe('normalizing in windows', () => {
  it('gives exactly the same result as the whole image in one piece', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 330 }),
        fc.integer({ min: 1, max: 330 }),
        fc.integer({ min: 4, max: 40 }),
        fc.integer({ min: 1, max: 99 }),
        async (width, height, core, seed) => {
          const picture = tissue(width, height, { seed, part: 0.8 });
          const whole = await normalize(picture, strongTransfer(), 4096);
          const tiled = await normalize(picture, strongTransfer(), core * 4);
          expect(Buffer.compare(tiled.rgb, whole.rgb)).toBe(0);
        },
      ),
      { numRuns: runs(12) },
    );
  });

  it('with tables gives the same result as the tables applied to the pixels', async () => {
    const picture = tissue(131, 77, { part: 0.8 });
    const [own, target] = [await fitOf(tissue(300, 300)), await fitOf(tissue(300, 300, { strength: 1.5 }))];
    const transfer = makeTransfer('linear', own, target, network.model.classNames) as LinearTransfer;
    const expected = picture.rgb.slice();
    applyTables(transfer.tables, expected);
    expect(expected).not.toEqual(picture.rgb);
    expect((await normalize(picture, transfer, 52)).rgb).toEqual(expected);
  });

  it('leaves glass bit-identical, and so may skip windows of glass', async () => {
    const picture = tissue(512, 128, { part: 0.5 });
    const normalized = await normalize(picture, strongTransfer([0.08, 0.14]), 64);
    const glass = (raster: Raster): Raster => {
      const half = blankRaster(250, 128);
      copyOverlap(raster, { x: 0, y: 0 }, half, { x: 262, y: 0 });
      return half;
    };
    expect(isNowhereDenser(glass(picture), 0.08)).toBe(true);
    expect(glass(normalized).rgb).toEqual(glass(picture).rgb);
    // The same windows through the network: skipping changed nothing.
    const through = await network.apply(
      {
        tile: glass(picture).rgb.slice(0, 248 * 128 * 3),
        width: 248,
        height: 128,
        coefficients: strongTransfer([0.08, 0.14]).coefficients,
      },
      signal,
    );
    expect(Buffer.compare(through, glass(picture).rgb.subarray(0, 248 * 128 * 3))).toBe(0);
  });

  it('blends into glass without an edge: no step between neighbours that the source does not have', async () => {
    // Tissue that fades into glass: whatever the transfer does, neighbours must stay neighbours.
    const ramp = blankRaster(800, 64);
    for (let i = 0; i < 800 * 64; i++) {
      const od = ((i % 800) / 800) ** 2 * 0.5;
      for (const [c, k] of [0.6, 1.4, 0.8].entries())
        ramp.rgb[i * 3 + c] = Math.round(244 * Math.exp(-od * k));
    }
    const normalized = await normalize(ramp, strongTransfer([0.06, 0.12]), 64);
    const step = (raster: Raster): number => {
      let worst = 0;
      for (let i = 64 * 3; i < 700 * 3; i++)
        worst = Math.max(worst, Math.abs(raster.rgb[32 * 800 * 3 + i + 3]! - raster.rgb[32 * 800 * 3 + i]!));
      return worst;
    };
    expect(step(normalized)).toBeLessThanOrEqual(step(ramp) + 8);
  });

  it('keeps the network busy with two windows, and passes on the cores in order', async () => {
    let underWay = 0;
    const counts: number[] = [];
    const slow = {
      ...network,
      // The first of each pair takes longer than the second, as may happen on two sessions.
      async apply({ tile }: { tile: Uint8Array }) {
        counts.push(++underWay);
        await setTimeout(counts.length % 2 ? 30 : 5);
        underWay--;
        return tile;
      },
    } as StainNetwork;
    const seen: number[] = [];
    await normalizePixels(memorySource(tissue(64 * 6, 64)), slow, strongTransfer(), {
      signal,
      coreSize: 64,
      sink: async (_core, { x }) => void seen.push(x),
    });
    expect(seen.length).toBeGreaterThan(4);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    // A third is handed over before the first is awaited; more would only hold memory.
    expect(Math.max(...counts)).toBeGreaterThanOrEqual(2);
    expect(Math.max(...counts)).toBeLessThanOrEqual(3);
  });

  it('stops when aborted', async () => {
    const controller = new AbortController();
    const run = normalizePixels(memorySource(tissue(600, 600)), network, strongTransfer(), {
      signal: controller.signal,
      coreSize: 64,
      sink: async () => controller.abort(),
    });
    await expect(run).rejects.toMatchObject({ name: 'AbortError' });
  });
});

describe('fitting', () => {
  const fit = fitOf;

  it.each(TRANSFERS)('maps a slide to itself without a visible change: %s', async (name) => {
    const picture = tissue(300, 300);
    const own = await fit(picture);
    const same = await normalize(picture, makeTransfer(name, own, own, network.model.classNames), 1024);
    const worst = same.rgb.reduce((max, value, i) => Math.max(max, Math.abs(value - picture.rgb[i]!)), 0);
    expect(worst).toBeLessThanOrEqual(1);
  });

  it('refuses a blank slide and one with hardly any tissue', async () => {
    for (const picture of [
      blankRaster(300, 300, [255, 255, 255]),
      tissue(300, 300, { part: 0 }),
      tissue(1200, 40, { part: 0.01 }),
    ])
      await expect(fit(picture)).rejects.toMatchObject({
        code: 'TOO_LITTLE_TISSUE',
      } satisfies Partial<StainError>);
  });

  it('finishes a faint slide, says so, and does not amplify its noise into colour', async () => {
    const faint = tissue(300, 300, { strength: 0.2, part: 0.8 });
    const source = await fit(faint);
    expect(source.notes.join()).toMatch(/faint/);
    const target = await fit(tissue(300, 300));
    const result = await normalize(
      blankRaster(64, 64, [246, 245, 247]),
      makeTransfer('linear', source, target, network.model.classNames),
      1024,
    );
    const tint = Math.max(...result.rgb) - Math.min(...result.rgb);
    expect(tint).toBeLessThanOrEqual(6);
  });

  it('does not count the black rim of a scan', async () => {
    const picture = tissue(256, 256);
    const plain = await fit(picture);
    const rim = blankRaster(284, 256);
    copyOverlap(picture, { x: 0, y: 0 }, rim, { x: 0, y: 0 });
    const withRim = await fit(rim);
    expect(withRim.classes[0]!.mean[0]).toBeCloseTo(plain.classes[0]!.mean[0], 1);
  });

  it('handles a picture without glass: its palest tissue is not taken for glass', async () => {
    const { glass } = await fit(tissue(300, 300, { strength: 0.8 }));
    expect(glass.density).toBeLessThan(0.06);
  });

  it('finds the glass of a slide, not the white fill of areas that were not scanned', async () => {
    const half = tissue(600, 300, { part: 0.3, glass: [228, 227, 230] });
    const picture = blankRaster(1200, 300, [255, 255, 255]);
    copyOverlap(half, { x: 0, y: 0 }, picture, { x: 0, y: 0 });
    const { glass } = await fit(picture);
    expect(glass.density).toBeGreaterThan(0.09);
    expect(glass.density).toBeLessThan(0.13);
  });
});
