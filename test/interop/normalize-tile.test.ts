/** `fit --json` with scripts/normalize_tile.py, as a data scientist uses it, equals the service bit for bit. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fitCommand } from '../../server/src/cli/fit-command.ts';
import { normalizeImageCommand } from '../../server/src/cli/image-commands.ts';
import { readImage, writeImage } from '../../server/src/codec/image-file.ts';
import { ADOBE_RGB, matrixProfile } from '../codec/profiles.ts';
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

it.skipIf(python.missing)(
  `other arrays are refused, and pictures as the service would${python.note}`,
  async () => {
    const fit = await fitCommand(
      { source: file('tile.png'), template: 'he-magenta', model: 'fast' },
      place.composition,
      signal,
    );
    writeFileSync(file('slide.json'), JSON.stringify(fit));
    writeFileSync(file('wide.icc'), matrixProfile(ADOBE_RGB, 2.2));
    const told = await runPython('tile_arrays.py', file('slide.json'), file(''));
    expect(told.trim().split('\n')).toEqual([
      'batch (2, 3, 4, 3)',
      'empty (0, 4, 3)',
      'float: A tile is uint8 with R, G and B last, not float32 (3, 4, 3).',
      'signed: A tile is uint8 with R, G and B last, not int64 (3, 4, 3).',
      'alpha: A tile is uint8 with R, G and B last, not uint8 (3, 4, 4).',
      'grey: A tile is uint8 with R, G and B last, not uint8 (3, 4).',
      'channels first: A tile is uint8 with R, G and B last, not uint8 (3, 3, 4).',
      'turned.jpg (30, 20)',
      'alpha.png: An 8-bit RGB picture is needed, not RGBA.',
      'srgb.png (3, 4)',
      'wide.png: The picture is not sRGB, according to its ICC profile. Convert it to sRGB first.',
      'damaged.png: The ICC profile of the picture is damaged.',
    ]);
  },
);
