/** The levels of a slide and the positions of their frames, from the viewer's metadata (PS3.3 C.8.12.4, C.7.6.17). */
import type { NaturalizedInstance } from '../ohif/types.ts';

export interface FrameReference {
  readonly sopInstanceUid: string;
  /** 1-based, as in the URL of WADO-RS. */
  readonly frameNumber: number;
}

/** What the frames of an image have in common. */
export interface FrameLayout {
  /** Size of a frame in pixels. */
  readonly columns: number;
  readonly rows: number;
  readonly photometricInterpretation: string;
  readonly planarConfiguration: number;
}

export interface SlideLevel extends FrameLayout {
  readonly totalColumns: number;
  readonly totalRows: number;
  /** Base level pixels per pixel of this level. */
  readonly downsample: number;
  /** The frame in a column and row of the tile grid; undefined if a sparse slide has none. */
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

export function frameLayout(instance: NaturalizedInstance): FrameLayout {
  return {
    columns: instance['Columns'],
    rows: instance['Rows'],
    photometricInterpretation: instance['PhotometricInterpretation'] ?? 'RGB',
    planarConfiguration: Number(instance['PlanarConfiguration'] ?? 0),
  };
}

function level(parts: readonly NaturalizedInstance[], downsample: number): SlideLevel {
  const first = parts[0]!;
  const layout = frameLayout(first);
  const { columns, rows } = layout;
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
    ...layout,
    totalColumns,
    totalRows,
    downsample,
    frameAt: (column, row) =>
      column < 0 || row < 0 || column >= across ? undefined : frames.get(row * across + column),
  };
}

function values(attribute: string | readonly string[] | undefined): readonly string[] {
  return typeof attribute === 'string' ? attribute.split('\\') : (attribute ?? []);
}

/** OHIF represents a sequence of one item as that item. */
function items(sequence: unknown): NaturalizedInstance[] {
  if (sequence === undefined || sequence === null) return [];
  return Array.isArray(sequence) ? sequence : [sequence as NaturalizedInstance];
}
