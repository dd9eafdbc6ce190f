/**
 * How often an acceptance reports drift in an unchanged stain, and where the stain was changed by a known amount: the
 * numbers of docs/acceptance.md. Each picture stands for a slide. What acceptance/drift.ts chose by data, it chose on
 * osteosarcoma_utsw alone; brecahad and oscc_400x were named as test sets before either was read.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { blankRaster, copyOverlap, type Raster } from '../core/src/image/raster.ts';
import type { Stain } from '../core/src/stain/stain.ts';
import { driftOf } from '../server/src/acceptance/drift.ts';
import { generator, shuffle } from '../server/src/acceptance/random.ts';
import { figuresOf } from '../server/src/acceptance/stain-figures.ts';
import { readImage } from '../server/src/codec/image-file.ts';
import { loadConfig } from '../server/src/config.ts';
import { fitStain } from '../server/src/pipeline/fit.ts';
import { memorySource } from '../server/src/slide/pixel-source.ts';
import { compose } from '../server/src/wiring/composition.ts';
import { type Cast, castPixels } from '../test/support/cast.ts';
import { readArguments } from './arguments.ts';

const CASTS: Readonly<Record<string, Cast>> = {
  none: {},
  'haematoxylin 80 %': { haematoxylin: 0.8 },
  'eosin 80 %': { eosin: 0.8 },
  'yellowish light': { white: [0.98, 0.96, 0.92] },
};
const DRAWS = 200;

type Fitted = Pick<Stain, 'densities' | 'glassDensity'>;

const { values, positionals } = readArguments({
  usage: 'node scripts/drift.ts FOLDER...',
  about: 'Fits every picture of each folder, as it is and under casts, and counts how often drift is found.',
  positionals: [1, 10],
  options: {
    cache: { type: 'string', help: 'folder for the fits', default: 'var/drift', value: 'FOLDER' },
    side: { type: 'string', help: 'middle of each picture, in pixels a side', default: '1024', value: 'N' },
    size: { type: 'string', help: 'slides of each time', default: '20', value: 'N' },
  },
});

await using composition = compose(loadConfig({ env: process.env }));
const network = await composition.network('fast');
const { signal } = new AbortController();

async function fitAll(folder: string, cast: string): Promise<Fitted[]> {
  const cached = join(values.cache, `${folder.split('/').at(-1)} ${cast}.json`);
  if (existsSync(cached)) return JSON.parse(readFileSync(cached, 'utf8'));
  const found: Fitted[] = [];
  for (const name of readdirSync(folder).sort()) {
    const picture = await readImage(join(folder, name), () => {});
    const middle = middleOf(picture, Number(values.side));
    const pixels = memorySource({ ...middle, rgb: castPixels(middle.rgb, CASTS[cast]!) });
    const fit = await fitStain(pixels, [pixels], network, { signal }).catch(() => undefined);
    if (fit) found.push({ densities: fit.densities, glassDensity: fit.glassDensity });
  }
  mkdirSync(values.cache, { recursive: true });
  writeFileSync(cached, JSON.stringify(found));
  return found;
}

function middleOf(picture: Raster, side: number): Raster {
  const [width, height] = [Math.min(side, picture.width), Math.min(side, picture.height)];
  const middle = blankRaster(width, height);
  const at = { x: (picture.width - width) >> 1, y: (picture.height - height) >> 1 };
  copyOverlap(picture, { x: 0, y: 0 }, middle, at);
  return middle;
}

const size = Number(values.size);
for (const folder of positionals) {
  const plain = (await fitAll(folder, 'none')).map(figuresOf);
  for (const cast of Object.keys(CASTS)) {
    const moved = (await fitAll(folder, cast)).map(figuresOf);
    if (moved.length !== plain.length) throw new Error(`${folder}: ${cast} loses pictures.`);
    const random = generator(1);
    const order = Int32Array.from(plain, (_, i) => i);
    const n = Math.min(size, Math.floor(plain.length / 2));
    const draws = Array.from({ length: DRAWS }, (_, seed) => {
      shuffle(order, random);
      const [before, now] = [order.slice(0, n), order.slice(n, 2 * n)];
      return driftOf(
        [...before].map((i) => plain[i]!),
        [...now].map((i) => moved[i]!),
        seed,
      )!;
    });
    const called = draws.filter(({ isDrift }) => isDrift).length;
    const shifts = draws.map(({ nuclei, stroma }) => Math.max(nuclei, stroma)).sort((a, b) => a - b);
    const whole = driftOf(plain, moved, 0)!;
    console.log(
      [
        folder.split('/').at(-1),
        `${n} and ${n} of ${plain.length}`,
        cast,
        `drift ${((100 * called) / DRAWS).toFixed(1)} %`,
        `true shift ${Math.max(whole.nuclei, whole.stroma).toFixed(1)}`,
        `seen ${shifts[DRAWS / 2]!.toFixed(1)} (95 % below ${shifts[Math.floor(0.95 * DRAWS)]!.toFixed(1)})`,
      ].join(' | '),
    );
  }
}
