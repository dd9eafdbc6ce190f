/** Glass is not decoded, not sent through the network and not compressed a second time. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blankRaster, type Raster } from '../../core/src/image/raster.ts';
import { openPart10, type Part10File } from '../../server/src/dicom/part10-file.ts';
import { findGlassTiles } from '../../server/src/pipeline/glass-tiles.ts';
import type { OpenSeries } from '../../server/src/pipeline/open-series.ts';
import { countGlass, type GlassSearch } from '../../server/src/slide/glass-map.ts';
import { ownPlacement } from '../../server/src/slide/placement.ts';
import type { Level } from '../../server/src/slide/types.ts';
import { createWorkplace, normalizeOnlySlide, type Workplace } from '../support/normalize.ts';
import { repository } from '../support/peers.ts';

const { signal } = new AbortController();
let place: Workplace;
beforeAll(async () => {
  place = await createWorkplace();
});
const opened = new AsyncDisposableStack();
afterAll(async () => {
  await opened.disposeAsync();
  await place[Symbol.asyncDispose]();
});

/** Instances of a folder, the largest first. */
async function levels(folder: string): Promise<Part10File[]> {
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.dcm'));
  const files = await Promise.all(
    names.map(async (name) => opened.use(await openPart10(join(folder, name)))),
  );
  return files.sort((a, b) => b.numberOfFrames - a.numberOfFrames);
}

async function normalized(
  encoding: 'jpeg' | 'htj2k',
): Promise<{ before: Part10File[]; after: Part10File[] }> {
  const from = await place.fill('source', join(repository, 'scripts/sample'));
  const to = await place.fill(`result-${encoding}`);
  await using source = await place.open(from);
  await using destination = await place.open(to);
  await normalizeOnlySlide(place, source, destination, { model: 'fast', encoding });
  return { before: await levels(from), after: await levels(to) };
}

async function pixels(file: Part10File, frame: number): Promise<Uint8Array> {
  const format = {
    transferSyntaxUid: file.transferSyntaxUid,
    rows: file.dataset.number('Rows')!,
    columns: file.dataset.number('Columns')!,
    photometricInterpretation: file.dataset.string('PhotometricInterpretation')!,
    planarConfiguration: 0,
  };
  return place.composition.codecs.decode(await file.frame(frame), format, { table: undefined, signal });
}

describe('a small level that shows glass where the base level has tissue (shifted, cropped or retouched)', () => {
  it('is not trusted, and the result says so', async () => {
    const tile = (colour: [number, number, number]) => blankRaster(256, 256, colour);
    const frames = Array.from({ length: 16 }, (_, frame) => ({
      instance: 0,
      frame,
      x: (frame % 4) * 256,
      y: Math.floor(frame / 4) * 256,
    }));
    const size = { rows: 256, columns: 256, totalRows: 1024, totalColumns: 1024 };
    const level = {
      ...size,
      frames,
      placement: ownPlacement({ ...size, spacing: undefined, origin: undefined }),
    };
    // All of it glass.
    const small = { ...level, totalRows: 128, totalColumns: 128, frames: frames.slice(0, 1) };
    const placement = ownPlacement({ ...small, spacing: undefined, origin: undefined });
    const found = (base: Raster) =>
      findGlassTiles(
        {
          slide: { levels: [level] },
          glassLevel: { ...small, placement },
          countGlass: async (_level: Level, _positions: unknown, search: GlassSearch) => [
            countGlass(tile([245, 245, 245]), { x: 0, y: 0, width: 128, height: 128 }, search),
          ],
          readFrame: async () => base,
        } as unknown as OpenSeries,
        { density: 0.04, colour: [245, 245, 245] },
        { encoding: 'jpeg', quality: 90 },
        place.composition.codecs,
        signal,
      );
    expect((await found(tile([245, 245, 245]))).tiles).toBeDefined();
    const { tiles, notes } = await found(tile([150, 80, 150]));
    expect(tiles).toBeUndefined();
    expect(notes).toEqual([expect.stringContaining('every tile was examined')]);
  });
});

describe('frames of glass', () => {
  it('are passed through as stored, on every level; all others are made again', async () => {
    const { before, after } = await normalized('jpeg');
    const passed = await Promise.all(
      before.map(async (file, level) => {
        const same: number[] = [];
        for (let frame = 0; frame < file.numberOfFrames; frame++)
          if (Buffer.compare(await file.frame(frame), await after[level]!.frame(frame)) === 0)
            same.push(frame);
        return same;
      }),
    );
    expect(passed[0]!.length).toBeGreaterThan(10);
    expect(passed[1]!.length).toBeGreaterThan(0);
    for (const frame of passed[0]!) {
      const levels = await pixels(before[0]!, frame);
      const mean = levels.reduce((sum, value) => sum + value, 0) / levels.length;
      expect(mean).toBeGreaterThan(230);
    }
  });

  it('keep their pixels if the encoding changes', async () => {
    const { before, after } = await normalized('htj2k');
    let same = 0;
    for (let frame = 0; frame < before[0]!.numberOfFrames; frame++)
      if (Buffer.compare(await pixels(before[0]!, frame), await pixels(after[0]!, frame)) === 0) same++;
    expect(same).toBeGreaterThan(10);
  });
});
