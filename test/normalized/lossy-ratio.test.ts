/** The compression ratio in a header is an estimate: this tests its error. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeBenchSlideOfSample } from '../../scripts/bench-slide.ts';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { createWorkplace, normalizeOnlySlide } from '../support/normalize.ts';
import { repository } from '../support/peers.ts';

it('is estimated within 15 % of the size of the frames, on every level', { timeout: 120_000 }, async () => {
  await using place = await createWorkplace();
  const large = join(place.folder, 'large');
  await makeBenchSlideOfSample(
    large,
    { columns: 9000, rows: 6000, tissue: 0.4, iccProfile: undefined },
    place.composition,
  );
  let compared = 0;
  for (const [i, folder] of [join(repository, 'scripts/sample'), large].entries()) {
    const result = join(place.folder, `result-${i}`);
    await using source = await place.open(folder);
    await using destination = await place.open(result);
    await normalizeOnlySlide(place, source, destination, { model: 'fast' });
    const names = (await readdir(result, { recursive: true })).filter((name) => name.endsWith('.dcm'));
    for (const name of names) {
      await using file = await openPart10(join(result, name));
      let bytes = 0;
      for (let frame = 0; frame < file.numberOfFrames; frame++) bytes += await file.frameLength(frame);
      const { dataset, numberOfFrames } = file;
      const pixels = numberOfFrames * dataset.number('Rows')! * dataset.number('Columns')!;
      const told = Number(dataset.strings('LossyImageCompressionRatio').at(-1));
      expect(Math.abs(told / ((pixels * 3) / bytes) - 1)).toBeLessThan(0.15);
      compared++;
    }
  }
  expect(compared).toBe(8);
});
