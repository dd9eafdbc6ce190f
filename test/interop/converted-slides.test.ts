/**
 * Slides that wsidicomizer converted from a scanner's file, compared with the pixels that openslide reads from that
 * file.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Raster } from '../../core/src/image/raster.ts';
import { openSeries } from '../../server/src/pipeline/open-series.ts';
import { ProgressTracker } from '../../server/src/pipeline/progress.ts';
import { meanDifference } from '../codec/frames.ts';
import { converter, convertSlide } from '../support/converter.ts';
import { createWorkplace, normalizeOnlySlide, type Workplace } from '../support/normalize.ts';
import { python, repository, runPython } from '../support/peers.ts';
import { recompute } from '../support/recompute.ts';

const missing = converter.missing || python.missing;
/** Mean grey levels, before and after normalisation, if the converter has encoded JPEG once more, at quality 90. */
const [RECODED, RECODED_AND_NORMALIZED] = [4, 6];
const { signal } = new AbortController();

describe.skipIf(missing)(`a slide from wsidicomizer${converter.note || python.note}`, () => {
  let place: Workplace;
  let slide: Raster;
  beforeAll(async () => {
    place = await createWorkplace();
    await convertSlide(join(repository, 'scripts/sample/level-1.dcm'), place.folder);
    const output = join(place.folder, 'slide.rgb');
    const { columns, rows } = JSON.parse(
      await runPython('read_slide.py', join(place.folder, 'slide.svs'), output),
    );
    slide = { width: columns, height: rows, rgb: new Uint8Array(await readFile(output)) };
  });
  afterAll(() => place?.[Symbol.asyncDispose]());

  it.each([
    ["JPEG, the scanner's frames unchanged", 'copied', 0, 0],
    ['JPEG', 'jpeg', RECODED, RECODED_AND_NORMALIZED],
    ['JPEG 2000', 'jpeg2000', 0, 0],
    // This version writes plain JPEG 2000 under that name.
    ['HTJ2K', 'htj2k', 0, 0],
  ])(
    'has the right pixels, and is normalised from them: %s',
    async (_what, name, maxReadDifference, maxResultDifference) => {
      const [source, derived] = [join(place.folder, name), join(place.folder, `${name}-derived`)];
      await using from = await place.open(source);
      await using to = await place.open(derived);
      const result = await normalizeOnlySlide(place, from, to, { encoding: 'htj2k', model: 'fast' });
      expect(result.instances).toHaveLength(3);

      const series = {
        studyInstanceUid: result.studyInstanceUid,
        seriesInstanceUid: result.sourceSeriesInstanceUid,
      };
      const environment = place.composition.environment({ source: from.client, destination: to.client });
      await using opened = await openSeries(series, environment, new ProgressTracker(() => {}), signal);
      const base = opened.base([255, 255, 255]);
      expect([base.width, base.height]).toEqual([slide.width, slide.height]);
      const whole = await base.read({ x: 0, y: 0, width: base.width, height: base.height }, signal);
      expect(meanDifference(whole.rgb, slide.rgb)).toBeLessThanOrEqual(maxReadDifference);

      const expected = join(place.folder, 'expected.rgb');
      const { pixels, sizes } = await recompute(place, source, result, slide);
      await writeFile(expected, pixels);
      const report = JSON.parse(
        await runPython('read_derived.py', source, derived, expected, JSON.stringify(sizes)),
      );
      expect(report.wsidicom.mean).toBeLessThanOrEqual(maxResultDifference);
      expect(report.highdicom.mean).toBeLessThanOrEqual(maxResultDifference);
      expect(report.wsidicom.levels).toBe(report.wsidicom.levelsOfSource);
      for (const level of report.levels) expect(level.max).toBe(0);
    },
  );

  it('whose coarser levels have smaller frames at the edges than their header says is refused with the frame', async () => {
    await using from = await place.open(join(place.folder, 'added-levels'));
    await using to = await place.open(join(place.folder, 'refused'));
    await expect(normalizeOnlySlide(place, from, to)).rejects.toMatchObject({
      code: 'FRAME_SIZE_MISMATCH',
      // Whichever of them is decoded first.
      message: expect.stringMatching(
        /256 x 256 pixels, the codestream holds (64 x 256|256 x 128|64 x 128).* frame [2-4] of instance/,
      ),
    });
  });
});
