/**
 * Real pictures (../shared/data), judged as a job would judge them: other stains are refused or noted, unusual H&E is
 * not refused.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OutOfDistribution } from '../../core/src/stain/other-stain.ts';
import { readImage } from '../../server/src/codec/image-file.ts';
import type { StainNetwork } from '../../server/src/inference/network.ts';
import { fitStain } from '../../server/src/pipeline/fit.ts';
import { memorySource } from '../../server/src/slide/pixel-source.ts';
import { openShippedNetwork } from '../support/network.ts';
import { repository } from '../support/peers.ts';

const DATA = process.env.STAIN_TEST_DATA ?? join(repository, '../shared/data');
const missing = !existsSync(join(DATA, 'other_stains'));
const { signal } = new AbortController();

let network: StainNetwork;
beforeAll(async () => {
  network = await openShippedNetwork();
});
afterAll(() => network?.close());

async function judged(name: string): Promise<OutOfDistribution> {
  const pixels = memorySource(await readImage(join(DATA, name), () => {}));
  return (await fitStain(pixels, [pixels], network, { signal })).outOfDistribution;
}

describe.skipIf(missing)('another stain is refused, with what was seen', () => {
  it.each([
    'mist_1_ihc.png',
    'mist_2_ihc.png',
    'mist_3_ihc.png',
    'mist_4_ihc.png',
    'bone_marrow_blue_stain.jpg',
    'trichrome_like_stomach.jpg',
  ])('%s', async (name) => {
    const { verdict, reasons } = await judged(`other_stains/${name}`);
    expect(verdict).toBe('other');
    expect(reasons.join(' ')).toMatch(/brown|blue|green|grey|no eosin|do not look like H&E/);
  });
});

describe.skipIf(missing)('H&E is not refused', () => {
  it.each([
    ['at low magnification', 'other_stains/pair_he_lung_overview.jpg'],
    ['muscle', 'varied/kather_muscle.png'],
    ['mucin', 'varied/kather_mucin.png'],
    ['keratin', 'varied/zr_skin_keratin.jpg'],
    ['lymphocytes', 'varied/kather_lymphocytes.png'],
    ['overstained', 'varied/zj_overstained_dark.png'],
    ['faded', 'varied/kather_stroma_faded.png'],
    ['bluish and grey', 'varied/bci_1_he.png'],
    ['under a yellow lamp', 'varied/retroscope_yellow_light_glands.png'],
    ['pale, with hardly any eosin', 'paired/protocols/A3_p2.png'],
    ['eosin alone', 'cases/pictures/i14-eosin-only.png'],
    ['with pen', 'cases/pictures/i12-pen.png'],
    ['out of focus', 'cases/pictures/j13-blur-4.png'],
  ])('%s', async (_what, name) => {
    expect((await judged(name)).verdict).not.toBe('other');
  });
});
