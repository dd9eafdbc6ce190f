/** The estimated room of a slide in the spool, compared with what it takes. */
import { readdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { announcementOf } from '../../server/src/pipeline/announced-slide.ts';
import { imagesOf } from '../../server/src/pipeline/inspect-series.ts';
import { instanceRoom, jobRoom } from '../../server/src/pipeline/needed-room.ts';
import { describeSlide } from '../../server/src/slide/describe.ts';
import type { Level, Slide } from '../../server/src/slide/types.ts';
import { EXPLICIT_LITTLE_ENDIAN, JPEG_BASELINE } from '../support/make-slide.ts';
import { repository } from '../support/peers.ts';

const SAMPLE = join(repository, 'scripts/sample');

async function sample(): Promise<{ slide: Slide; bytes: number }> {
  const datasets: DataSet[] = [];
  let bytes = 0;
  for (const name of readdirSync(SAMPLE).filter((file) => file.endsWith('.dcm'))) {
    await using file = await openPart10(join(SAMPLE, name));
    datasets.push(file.dataset);
    bytes += (await stat(join(SAMPLE, name))).size;
  }
  return { slide: describeSlide(datasets, { maxSlideMegapixels: 100 }), bytes };
}

const [ROWS, COLUMNS, FRAMES] = [100, 200, 10];
const RAW = ROWS * COLUMNS * FRAMES * 3;
const HEADER = 64 * 1024 + FRAMES * 512;

function roomOf(attributes: Parameters<typeof DataSet.of>[0]) {
  const dataset = DataSet.of({ PhotometricInterpretation: 'RGB', ...attributes });
  const level = { rows: ROWS, columns: COLUMNS } as Level;
  return instanceRoom(level, { sopInstanceUid: '1', dataset, numberOfFrames: FRAMES });
}

describe('an instance', () => {
  it.each([
    ['uncompressed: exactly', { AvailableTransferSyntaxUID: EXPLICIT_LITTLE_ENDIAN }, RAW, RAW],
    [
      'uncompressed with half the colour: exactly',
      {
        AvailableTransferSyntaxUID: EXPLICIT_LITTLE_ENDIAN,
        PhotometricInterpretation: 'YBR_FULL_422',
      },
      (RAW * 2) / 3,
      (RAW * 2) / 3,
    ],
    ['compressed with loss: a sixth', { AvailableTransferSyntaxUID: JPEG_BASELINE }, RAW / 100, RAW / 6],
    [
      'compressed without: all of it',
      { AvailableTransferSyntaxUID: '1.2.840.10008.1.2.4.80' },
      RAW / 100,
      RAW,
    ],
    [
      'that the archive has in several: the largest of them',
      {
        AvailableTransferSyntaxUID: [EXPLICIT_LITTLE_ENDIAN, JPEG_BASELINE],
        LossyImageCompression: '01',
      },
      RAW / 100,
      RAW,
    ],
    [
      'of which only its header tells that it lost something',
      { LossyImageCompression: '01' },
      RAW / 100,
      RAW / 6,
    ],
    ['of which nothing is known: all of it', {}, RAW / 100, RAW],
  ])('%s', (_what, attributes, minimum, likely) => {
    const room = roomOf(attributes);
    expect(room.minimum).toBeCloseTo(minimum);
    expect(room.likely).toBeCloseTo(likely + HEADER);
  });
});

it('a whole job: more than the sample takes, and certainly more than the minimum estimate', async () => {
  const { slide, bytes } = await sample();
  const images = imagesOf(announcementOf(slide));
  const room = jobRoom(images, { encoding: 'jpeg', quality: 90 });
  expect(room.minimum).toBeLessThan(bytes);
  // Source and result, which is about as large, and two checkpoints.
  expect(room.likely).toBeGreaterThan(2 * bytes);
  expect(room.likely).toBeLessThan(24e6);
  expect(jobRoom(images, { encoding: 'jpeg', quality: 100 }).likely).toBeGreaterThan(room.likely);
  expect(jobRoom(images, { encoding: 'htj2k', quality: 90 }).likely).toBeGreaterThan(room.likely);
});
