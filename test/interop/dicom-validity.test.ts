/** The derived instances as judged by dicom3tools: no error for a valid source, no new one for an invalid source. */
import { createWriteStream, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { compressSync, FORMAT_RGB, SAMP_422 } from '@julusian/jpeg-turbo';
import { describe, expect, test } from 'vitest';
import { deriveLevel } from '../../server/src/derived/derived-series.ts';
import { derivedUids } from '../../server/src/derived/derived-uids.ts';
import { EncapsulatedInstance } from '../../server/src/derived/encapsulated-instance.ts';
import { inputDeviceProfile } from '../../server/src/dicom/icc-class.ts';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import type { Level } from '../../server/src/slide/types.ts';
import { FrameSpool } from '../../server/src/spool/frame-spool.ts';
import { levelOf, record } from '../derived/derive-for-tests.ts';
import { temporaryFolder } from '../dicom/temporary-folder.ts';
import { makeSlideInstance, type SlideInstanceOptions } from '../support/make-slide.ts';
import { dicomErrors, program, sharedSlide } from '../support/peers.ts';

const DATA = sharedSlide('').path;

async function srgb(): Promise<Uint8Array> {
  const { default: sharp } = await import('sharp');
  const picture = await sharp({ create: { width: 1, height: 1, channels: 3, background: 'white' } })
    .withIccProfile('srgb')
    .png()
    .toBuffer();
  return inputDeviceProfile((await sharp(picture).metadata()).icc!);
}

function jpeg(rows: number, columns: number, seed: number): Uint8Array {
  const data = Buffer.alloc(rows * columns * 3);
  for (let i = 0; i < data.length; i++) data[i] = (i * seed) % 256;
  return compressSync(data, {
    format: FORMAT_RGB,
    width: columns,
    height: rows,
    subsampling: SAMP_422,
    quality: 80,
  });
}

/** Derives an image of the given role and writes it; frames are noise in JPEG. */
async function derive(
  sources: readonly string[],
  role: Level['role'],
  number: number,
  path: string,
): Promise<void> {
  const headers = await Promise.all(
    sources.map(async (source) => {
      await using file = await openPart10(source);
      return file.dataset;
    }),
  );
  const level = levelOf(headers, role);
  await using spool = await FrameSpool.create(`${path}.frames`, level.frames.length);
  for (let i = 0; i < level.frames.length; i++) await spool.append(i, jpeg(level.rows, level.columns, i + 1));
  const derivation = record({ iccProfile: await srgb() });
  const dataset = deriveLevel({
    level,
    derivation,
    instanceNumber: number,
    sopInstanceUid: derivedUids(derivation.identity).instance(`1.2.${number}`),
    sourceIsLossy: true,
    lossyRatio: 10,
  });
  const instance = new EncapsulatedInstance({ dataset, transferSyntaxUid: '1.2.840.10008.1.2.4.50', spool });
  await pipeline(instance.stream(), createWriteStream(path));
}

const tools = program('dciodvfy');

describe.skipIf(tools.missing)(`derived from synthetic slides${tools.note}`, () => {
  const variants: Record<string, Partial<SlideInstanceOptions>> = {
    TILED_FULL: {},
    TILED_SPARSE: { tiling: 'TILED_SPARSE' },
    'no organisation': { tiling: 'none' },
    'scanner private group and UTF-8': {
      overrides: { SpecificCharacterSet: 'ISO_IR 192', ImageComments: 'From the scanner' },
    },
  };
  for (const [name, options] of Object.entries(variants))
    test(name, async () => {
      await using folder = await temporaryFolder();
      const base = { rows: 16, columns: 16, iccProfile: await srgb(), slide: 'interop', ...options };
      const frames = (count: number): Uint8Array[] =>
        Array.from({ length: count }, (_, i) => jpeg(16, 16, i + 3));
      const level0 = await folder.write(
        '0.dcm',
        makeSlideInstance({ ...base, totalRows: 32, totalColumns: 48, frames: frames(6) }),
      );
      const resampled = {
        ...base,
        totalRows: 16,
        totalColumns: 24,
        frames: frames(2),
        instanceNumber: 2,
        pixelSpacing: 0.001,
      };
      const level1 = await folder.write(
        '1.dcm',
        makeSlideInstance({ ...resampled, imageType: ['DERIVED', 'PRIMARY', 'VOLUME', 'RESAMPLED'] }),
      );
      expect(await dicomErrors('dciodvfy', level0)).toEqual([]);
      const derived = [folder.file('d0.dcm'), folder.file('d1.dcm')] as const;
      await derive([level0], 'base', 1, derived[0]);
      await derive([level1], 'level', 2, derived[1]);
      for (const path of derived) expect(await dicomErrors('dciodvfy', path)).toEqual([]);
      expect(await dicomErrors('dcentvfy', level0, level1, ...derived)).toEqual([]);
    });

  test('a concatenation', async () => {
    await using folder = await temporaryFolder();
    const parts = await Promise.all(
      [1, 2].map((number) =>
        folder.write(
          `part-${number}.dcm`,
          makeSlideInstance({
            ...{ rows: 16, columns: 16, totalRows: 32, totalColumns: 32, tiling: 'TILED_SPARSE' },
            frames: [jpeg(16, 16, number), jpeg(16, 16, number + 5)],
            concatenation: { number, total: 2, frameOffset: 2 * (number - 1) },
          }),
        ),
      ),
    );
    await derive(parts, 'base', 1, folder.file('derived.dcm'));
    expect(await dicomErrors('dciodvfy', folder.file('derived.dcm'))).toEqual([]);
    await using file = await openPart10(folder.file('derived.dcm'));
    expect(file.numberOfFrames).toBe(4);
  });
});

const files = existsSync(DATA)
  ? [
      ...['highdicom_sm_image.dcm', 'camelyon-jpeg.dcm'],
      ...readdirSync(join(DATA, 'cmu1')).map((name) => join('cmu1', name)),
    ]
  : [];
// The slides beside the checkout are never required.
const data = { skip: files.length === 0, label: files.length === 0 ? ' (skipped: no shared slides)' : '' };

describe.skipIf(tools.missing || data.skip)(`derived from real slides${tools.note}${data.label}`, () => {
  test('there is data', () => expect(files.length).toBeGreaterThan(0));
  for (const name of files)
    test(name, async () => {
      await using folder = await temporaryFolder();
      const source = join(DATA, name);
      const derived = folder.file('derived.dcm');
      await derive([source], 'base', 1, derived);
      const before = new Set(await dicomErrors('dciodvfy', source));
      expect((await dicomErrors('dciodvfy', derived)).filter((line) => !before.has(line))).toEqual([]);
      expect(await dicomErrors('dcentvfy', source, derived)).toEqual(await dicomErrors('dcentvfy', source));
    });
});
