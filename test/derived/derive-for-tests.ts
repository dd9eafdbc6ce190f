/** Levels and records for tests of the derived series. */

import { LazyList } from '../../core/src/lazy-list.ts';
import type { DerivationRecord } from '../../server/src/derived/derived-series.ts';
import type { DataSet } from '../../server/src/dicom/dataset.ts';
import { ownPlacement } from '../../server/src/slide/placement.ts';
import type { Level } from '../../server/src/slide/types.ts';

export function record(changes: Partial<DerivationRecord> = {}): DerivationRecord {
  const classes = [
    { mean: [1.5, 0.2, -0.1], sd: [0.3, 0.02, 0.03] },
    { mean: [0.7, -0.3, 0.4], sd: [0.2, 0.05, 0.01] },
  ];
  return {
    identity: {
      seriesUuid: '3f2504e0-4f89-41d3-9a0c-0305e82c3301',
      revision: 1,
      createdAt: '2026-03-04T23:30:00+01:00',
    },
    model: { name: 'dcgmm', version: '1.2.3', sha256: 'ab'.repeat(32) },
    template: { id: 'breast-he', sha256: 'b'.repeat(64), classes },
    source: classes,
    transfer: 'linear',
    encoding: 'jpeg',
    quality: 90,
    executionProvider: 'cpu',
    colourPolicy: 'The source is sRGB, according to its ICC profile. Output is sRGB.',
    softwareVersions: ['stain-normalization 0.1.0', 'onnxruntime 1.30.0'],
    deviceSerialNumber: 'test',
    seriesNumber: 7,
    iccProfile: new Uint8Array(132).fill(1),
    fullRecord: { note: 'Grüße' },
    ...changes,
  };
}

/** A level with these headers; the derivation does not use positions. */
export function levelOf(sources: readonly DataSet[], role: Level['role'] = 'base'): Level {
  const counts = sources.map((source) => source.number('NumberOfFrames') ?? 1);
  const number = (keyword: string): number => sources[0]!.number(keyword) ?? 0;
  const grid = {
    rows: number('Rows'),
    columns: number('Columns'),
    totalRows: number('TotalPixelMatrixRows'),
    totalColumns: number('TotalPixelMatrixColumns'),
    spacing: undefined,
    origin: undefined,
  };
  return {
    ...grid,
    placement: ownPlacement(grid),
    role,
    instances: sources.map((dataset, i) => ({
      dataset,
      sopInstanceUid: dataset.string('SOPInstanceUID') ?? '',
      numberOfFrames: counts[i]!,
    })),
    frames: LazyList.from(
      counts.flatMap((count, instance) =>
        Array.from({ length: count }, (_, frame) => ({ instance, frame, x: 0, y: 0 })),
      ),
    ),
  };
}
