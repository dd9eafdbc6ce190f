/** docs/capacity.md, held against the measurements that it is made of and the code that reserves room. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DataSet } from '../server/src/dicom/dataset.ts';
import { imageOf } from '../server/src/pipeline/announced-slide.ts';
import { jobRoom } from '../server/src/pipeline/needed-room.ts';
import type { Level } from '../server/src/slide/types.ts';
import { EXPLICIT_LITTLE_ENDIAN, JPEG_BASELINE } from './support/make-slide.ts';
import { repository } from './support/peers.ts';

const read = (path: string): string => readFileSync(join(repository, 'docs', path), 'utf8');
const text = read('capacity.md');
const CORES = 2;

/** Cells of the rows of the table below a heading. */
function table(heading: string): string[][] {
  const section = text.slice(text.indexOf(`## ${heading}`)).split('\n## ')[0]!;
  return section
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .map((cell) => cell.trim())
        .slice(1, -1),
    );
}

it('slides a day follow from seconds that were measured', () => {
  const measured = read('benchmarks/2026-11-28-linear.md');
  const rows = table('Slides a day');
  expect(rows.length).toBeGreaterThan(4);
  for (const [slide, , seconds, perDay] of rows) {
    expect(measured, slide).toMatch(new RegExp(`\\b${seconds}\\b`));
    expect(Number(perDay!.replace(',', '')), slide).toBe(Math.floor(86_400 / (Number(seconds) * CORES)));
  }
});

const JPEG = { encoding: 'jpeg', quality: 90 } as const;

/** A square slide of 256 x 256 tiles, each level a quarter of the one before in width and height. */
function levels(gigapixels: number, syntax: string): Level[] {
  const size = 256;
  return [1, 4, 16, 64].map((factor) => {
    const across = Math.ceil(Math.sqrt(gigapixels * 1e9) / factor / size);
    const numberOfFrames = across ** 2;
    const dataset = DataSet.of({ PhotometricInterpretation: 'RGB', AvailableTransferSyntaxUID: syntax });
    const instances = [{ sopInstanceUid: '1', dataset, numberOfFrames }];
    const frames = { length: numberOfFrames };
    return { rows: size, columns: size, totalColumns: across * size, frames, instances } as unknown as Level;
  });
}

it('the room that a slide reserves in the spool is what the code asks for', () => {
  const rows = table('The spool');
  expect(rows.length).toBeGreaterThan(2);
  for (const [gigapixels, ...reserved] of rows)
    expect(reserved.map(Number), gigapixels).toEqual(
      [JPEG_BASELINE, EXPLICIT_LITTLE_ENDIAN].map((syntax) =>
        Math.ceil(jobRoom(levels(Number(gigapixels), syntax).map(imageOf), JPEG).likely / 1e9),
      ),
    );
});
