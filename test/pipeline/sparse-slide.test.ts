/** A slide of very many frames takes memory for its bytes, not for the objects that a program makes from each frame. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../dicom/temporary-folder.ts';
import { makeSlideInstance } from '../support/make-slide.ts';

const [ACROSS, FRAMES] = [300, 30_000];
/** Size of old objects; a dozen objects per frame, as JSON or data sets, take several times as much. */
const HEAP_MEGABYTES = 80;

it('of 30,000 frames that state their positions is read and derived in 80 MB of objects', async () => {
  await using folder = await temporaryFolder();
  const frame = Uint8Array.of(0xff, 0xd8, 1, 2);
  const slide = makeSlideInstance({
    ...{ rows: 8, columns: 8, totalColumns: 8 * ACROSS, totalRows: (8 * FRAMES) / ACROSS },
    frames: Array.from({ length: FRAMES }, () => frame),
    tiling: 'TILED_SPARSE',
  });
  const path = await folder.write('slide.dcm', slide);
  const script = fileURLToPath(new URL('../support/read-sparse-slide.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    `--max-old-space-size=${HEAP_MEGABYTES}`,
    script,
    path.slice(0, -'/slide.dcm'.length),
  ]);
  const found = JSON.parse(stdout) as Record<string, number>;
  expect(found).toMatchObject({ listed: FRAMES, described: FRAMES });
  expect(found['characters']).toBeGreaterThan(200 * FRAMES);
  expect(found['bytes']).toBeGreaterThan(100 * FRAMES);
});
