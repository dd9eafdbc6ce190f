/** `fit --json` with scripts/normalize_tile.py, as a data scientist uses it, equals the service bit for bit. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fitCommand } from '../../server/src/cli/fit-command.ts';
import { normalizeImageCommand } from '../../server/src/cli/image-commands.ts';
import { readImage, writeImage } from '../../server/src/codec/image-file.ts';
import { createWorkplace, type Workplace } from '../support/normalize.ts';
import { python, runPython } from '../support/peers.ts';
import { tissue } from '../support/tissue.ts';

let place: Workplace;
beforeAll(async () => {
  place = await createWorkplace();
});
afterAll(() => place?.[Symbol.asyncDispose]());

const { signal } = new AbortController();
const file = (name: string): string => join(place.folder, name);

it.skipIf(python.missing).each(['he-magenta', 'he-pink-violet'])(
  `a tile is the same from NumPy and from the service: %s${python.note}`,
  async (template) => {
    await writeImage(file('tile.png'), tissue(301, 203, { part: 0.7, glass: [240, 241, 243] }));
    const fit = await fitCommand(
      { source: file('tile.png'), template, model: 'fast' },
      place.composition,
      signal,
    );
    writeFileSync(file('slide.json'), JSON.stringify(fit));
    await normalizeImageCommand(
      { input: file('tile.png'), output: file('service.png'), template, model: 'fast', transfer: 'linear' },
      place.composition,
      signal,
    );
    await runPython(
      '../../scripts/normalize_tile.py',
      file('slide.json'),
      file('tile.png'),
      file('numpy.png'),
    );
    const read = async (name: string) => (await readImage(file(name), () => {})).rgb;
    expect(await read('numpy.png')).toEqual(await read('service.png'));
    expect(await read('numpy.png')).not.toEqual(await read('tile.png'));
  },
);
