/** Where each frame of a level lies in the Total Pixel Matrix (PS3.3 C.7.6.17.3 and C.8.12.6.1). */
import type { DataSet } from '../dicom/dataset.ts';
import { StainError } from '../errors.ts';
import type { FramePosition, SlideInstance } from './types.ts';

interface Grid {
  readonly rows: number;
  readonly columns: number;
  readonly totalRows: number;
  readonly totalColumns: number;
}

/**
 * Positions in stored order over all instances of the level. TILED_FULL and single-frame images are in row-major
 * order; everything else states a position per frame, in any order. Throws SLIDE_STRUCTURE_INVALID where frames
 * are missing from a FULL level, lie off the grid or outside the matrix, or two share a place.
 */
export function framePositions(instances: readonly SlideInstance[], grid: Grid): FramePosition[] {
  const addresses = instances.flatMap(({ numberOfFrames }, instance) =>
    Array.from({ length: numberOfFrames }, (_, frame) => ({ instance, frame })),
  );
  const full =
    instances[0]!.dataset.string('DimensionOrganizationType') === 'TILED_FULL' ||
    isSingleTile(addresses.length, grid);
  const corners = full ? fullGrid(addresses.length, grid) : instances.flatMap(statedCorners);
  if (corners.length !== addresses.length)
    invalid(`${addresses.length} frames, but ${corners.length} of them have a position.`);
  requireOneGrid(corners, grid);
  return addresses.map((address, i) => ({ ...address, ...corners[i]! }));
}

type Corner = { readonly x: number; readonly y: number };

function invalid(message: string): never {
  throw new StainError('SLIDE_STRUCTURE_INVALID', message);
}

function isSingleTile(frames: number, grid: Grid): boolean {
  return frames === 1 && grid.rows >= grid.totalRows && grid.columns >= grid.totalColumns;
}

function fullGrid(frames: number, grid: Grid): Corner[] {
  const across = Math.ceil(grid.totalColumns / grid.columns);
  const down = Math.ceil(grid.totalRows / grid.rows);
  if (frames !== across * down)
    invalid(
      `A TILED_FULL level of ${across} x ${down} tiles must have ${across * down} frames; it has ${frames}.`,
    );
  return Array.from({ length: frames }, (_, i) => ({
    x: (i % across) * grid.columns,
    y: Math.floor(i / across) * grid.rows,
  }));
}

/** Plane Position (Slide) of every frame: from the per-frame groups, or the shared one for a single frame. */
function statedCorners({ dataset }: SlideInstance): Corner[] {
  const groups = dataset.items('PerFrameFunctionalGroupsSequence');
  const frames = groups.length > 0 ? groups : dataset.items('SharedFunctionalGroupsSequence');
  const planes = new Set<number>();
  const corners = frames.map((frame) => {
    const position: DataSet | undefined = frame.items('PlanePositionSlideSequence')[0];
    const column = position?.number('ColumnPositionInTotalImagePixelMatrix');
    const row = position?.number('RowPositionInTotalImagePixelMatrix');
    if (column === undefined || row === undefined) invalid('A frame has no Plane Position (Slide).');
    planes.add(position?.number('ZOffsetInSlideCoordinateSystem') ?? 0);
    return { x: column - 1, y: row - 1 };
  });
  if (planes.size > 1)
    throw new StainError('FOCAL_PLANES_UNSUPPORTED', `The frames lie in ${planes.size} focal planes.`, {
      data: { planes: planes.size },
    });
  return corners;
}

function requireOneGrid(corners: readonly Corner[], grid: Grid): void {
  const taken = new Set<number>();
  for (const { x, y } of corners) {
    const inside = x >= 0 && y >= 0 && x < grid.totalColumns && y < grid.totalRows;
    if (!inside || x % grid.columns !== 0 || y % grid.rows !== 0)
      invalid(
        `A frame lies at column ${x + 1}, row ${y + 1}, which is not on the grid of ${grid.columns} x ${grid.rows} tiles.`,
      );
    const place = y * grid.totalColumns + x;
    if (taken.has(place)) invalid(`Two frames lie at column ${x + 1}, row ${y + 1}.`);
    taken.add(place);
  }
}
