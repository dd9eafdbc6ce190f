/** The levels of a slide and where their frames lie, from the metadata that the viewer holds (PS3.3 C.8.12.4, C.7.6.17). */
import type { NaturalizedInstance } from '../ohif/types.ts';

export interface FrameReference {
  readonly sopInstanceUid: string;
  /** 1-based, as in the URL of WADO-RS. */
  readonly frameNumber: number;
}

export interface SlideLevel {
  readonly totalColumns: number;
  readonly totalRows: number;
  /** Size of a frame in pixels. */
  readonly columns: number;
  readonly rows: number;
  /** Base level pixels per pixel of this level. */
  readonly downsample: number;
  readonly photometricInterpretation: string;
  readonly planarConfiguration: number;
  /** The frame in a column and row of the tile grid; undefined where a sparse slide has none. */
  frameAt(column: number, row: number): FrameReference | undefined;
}

/** Finest first. */
export type SlideLevels = readonly SlideLevel[];

export function slideLevels(instances: readonly NaturalizedInstance[]): SlideLevels {
  const volumes = instances.filter(({ ImageType }) => values(ImageType)[2] === 'VOLUME');
  const bySize = Map.groupBy(volumes, (one) => one['TotalPixelMatrixColumns'] as number);
  const sorted = [...bySize].sort(([a], [b]) => b - a);
  const base = sorted[0]?.[0] ?? 1;
  return sorted.map(([totalColumns, parts]) => level(parts, base / totalColumns));
}

function level(parts: readonly NaturalizedInstance[], downsample: number): SlideLevel {
  const first = parts[0]!;
  const { Columns: columns, Rows: rows } = first;
  const { TotalPixelMatrixColumns: totalColumns, TotalPixelMatrixRows: totalRows } = first;
  const across = Math.ceil(totalColumns / columns);
  const frames = new Map<number, FrameReference>();
  for (const part of parts) {
    const count = Number(part['NumberOfFrames'] ?? 1);
    const before = Number(part['ConcatenationFrameOffsetNumber'] ?? 0);
    const groups = items(part['PerFrameFunctionalGroupsSequence']);
    for (let i = 0; i < count; i++) {
      const position = items(groups[i]?.['PlanePositionSlideSequence'])[0];
      // Without positions the frames are in rows from the upper left (TILED_FULL).
      const place = position
        ? Math.floor((position['RowPositionInTotalImagePixelMatrix'] - 1) / rows) * across +
          Math.floor((position['ColumnPositionInTotalImagePixelMatrix'] - 1) / columns)
        : before + i;
      frames.set(place, { sopInstanceUid: part['SOPInstanceUID'], frameNumber: i + 1 });
    }
  }
  return {
    totalColumns,
    totalRows,
    columns,
    rows,
    downsample,
    photometricInterpretation: first['PhotometricInterpretation'] ?? 'RGB',
    planarConfiguration: Number(first['PlanarConfiguration'] ?? 0),
    frameAt: (column, row) =>
      column < 0 || row < 0 || column >= across ? undefined : frames.get(row * across + column),
  };
}

function values(attribute: string | readonly string[] | undefined): readonly string[] {
  return typeof attribute === 'string' ? attribute.split('\\') : (attribute ?? []);
}

/** OHIF keeps a sequence of one item as that item. */
function items(sequence: unknown): NaturalizedInstance[] {
  if (sequence === undefined || sequence === null) return [];
  return Array.isArray(sequence) ? sequence : [sequence as NaturalizedInstance];
}
