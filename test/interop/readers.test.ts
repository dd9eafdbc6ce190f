/** Which independent reader opens a derived series, by encoding and layout: the table in docs/conformance.md. */
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { makeSlideInstance, type SlideInstanceOptions } from '../support/make-slide.ts';
import { createWorkplace, normalizeOnlySlide, type Workplace } from '../support/normalize.ts';
import { python, repository, runPython } from '../support/peers.ts';

const READERS = ['pydicom', 'highdicom', 'wsidicom', 'openslide'] as const;
const ENCODINGS = ['jpeg', 'jpeg2000', 'htj2k'] as const;
/** Mean difference in grey levels between decoders of one codestream: they upsample chroma in different ways. */
const SAME = 1.5;

const LAYOUTS: Record<string, (frames: readonly Uint8Array[]) => Partial<SlideInstanceOptions>[]> = {
  TILED_FULL: (frames) => [{ frames }],
  TILED_SPARSE: (frames) => [{ frames, tiling: 'TILED_SPARSE' }],
  'positions per frame': (frames) => [{ frames, tiling: 'none' }],
  concatenation: (frames) =>
    [0, 1].map((part) => ({
      frames: part === 0 ? frames.slice(0, 4) : frames.slice(4),
      concatenation: { number: part + 1, total: 2, frameOffset: part * 4 },
    })),
};

/** The table, by encoding and layout: the result of each reader. */
function table(): Map<string, string[]> {
  const text = readFileSync(join(repository, 'docs/conformance.md'), 'utf8');
  const rows = [...text.matchAll(/^\| (jpeg|jpeg2000|htj2k) \| ([\w ]+) \| (.+) \|$/gm)];
  return new Map(rows.map(([, encoding, layout, cells]) => [`${encoding} ${layout}`, cells!.split(' | ')]));
}

describe.skipIf(python.missing)(`a derived series${python.note}`, () => {
  let place: Workplace;
  let frames: Uint8Array[];
  let grid: Pick<SlideInstanceOptions, 'rows' | 'columns' | 'totalRows' | 'totalColumns'>;
  beforeAll(async () => {
    place = await createWorkplace();
    await using sample = await openPart10(join(repository, 'scripts/sample/level-1.dcm'));
    const { dataset, numberOfFrames } = sample;
    frames = await Promise.all(Array.from({ length: numberOfFrames }, (_, i) => sample.frame(i)));
    grid = {
      rows: dataset.number('Rows')!,
      columns: dataset.number('Columns')!,
      totalRows: dataset.number('TotalPixelMatrixRows')!,
      totalColumns: dataset.number('TotalPixelMatrixColumns')!,
    };
  });
  afterAll(() => place?.[Symbol.asyncDispose]());

  const cases = ENCODINGS.flatMap((encoding) =>
    Object.keys(LAYOUTS).map((layout) => [encoding, layout] as const),
  );

  it.each(cases)('of %s, %s, is read as docs/conformance.md says', async (encoding, layout) => {
    const name = `${encoding}-${layout.replaceAll(' ', '-')}`;
    const source = join(place.folder, `source-${name}`);
    await mkdir(source);
    for (const [i, part] of LAYOUTS[layout]!(frames).entries())
      await writeFile(
        join(source, `${i}.dcm`),
        makeSlideInstance({ ...grid, slide: name, ...part } as SlideInstanceOptions),
      );
    const derived = join(place.folder, `derived-${name}`);
    await using from = await place.open(source);
    await using to = await place.open(derived);
    await normalizeOnlySlide(place, from, to, { encoding, model: 'fast' });
    const report: Record<string, number | string> = JSON.parse(await runPython('read_with.py', derived));
    const found = READERS.map((reader) => {
      const outcome = report[reader]!;
      return typeof outcome === 'string' ? 'refused' : outcome < SAME ? 'read' : 'wrong pixels';
    });
    expect(table().get(`${encoding} ${layout}`), JSON.stringify(report)).toEqual(found);
  });
});
