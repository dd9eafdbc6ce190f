/** Position of each frame of a level in the Total Pixel Matrix (PS3.3 C.7.6.17.3 and C.8.12.6.1). */

import { StainError } from '../../../core/src/errors.ts';
import { concatenated, LazyList } from '../../../core/src/lazy-list.ts';
import type { DataSet } from '../dicom/dataset.ts';
import type { FramePosition, SlideInstance } from './types.ts';

interface Grid {
  readonly rows: number;
  readonly columns: number;
  readonly totalRows: number;
  readonly totalColumns: number;
}

/** Columns and rows of upper left corners, 0-based: two numbers per frame. */
interface Corners {
  readonly x: Float64Array;
  readonly y: Float64Array;
}

/**
 * Positions in stored order over all instances of the level. TILED_FULL and single-frame images are in row-major order;
 * otherwise each frame states its position, in any order. Throws SLIDE_STRUCTURE_INVALID if a TILED_FULL level lacks
 * frames or has its parts in two orders, if frames are off the grid or outside the matrix, or if two share a position.
 */
export function framePositions(instances: readonly SlideInstance[], grid: Grid): LazyList<FramePosition> {
  const addresses = concatenated(
    instances.map(
      ({ numberOfFrames }, instance) => new LazyList(numberOfFrames, (frame) => ({ instance, frame })),
    ),
  );
  const count = addresses.length;
  const isFull =
    instances[0]!.dataset.string('DimensionOrganizationType') === 'TILED_FULL' || isSingleTile(count, grid);
  if (isFull) requireConsecutive(instances);
  const cornerOf = isFull ? fullGrid(count, grid) : statedGrid(instances, count, grid);
  return new LazyList(count, (index) => ({ ...addresses.at(index)!, ...cornerOf(index) }));
}

type CornerOf = (frame: number) => { readonly x: number; readonly y: number };

function invalid(message: string): never {
  throw new StainError('SLIDE_STRUCTURE_INVALID', message);
}

function isSingleTile(frames: number, grid: Grid): boolean {
  return frames === 1 && grid.rows >= grid.totalRows && grid.columns >= grid.totalColumns;
}

/** In-concatenation Number and Concatenation Frame Offset Number must give the parts the same order. */
function requireConsecutive(instances: readonly SlideInstance[]): void {
  let offset = 0;
  for (const { dataset, numberOfFrames } of instances) {
    const stated = dataset.number('ConcatenationFrameOffsetNumber') ?? offset;
    if (stated !== offset)
      invalid(
        `A part of a concatenation begins at frame ${offset + 1} by its number, at ${stated + 1} by its offset.`,
      );
    offset += numberOfFrames;
  }
}

function fullGrid(frames: number, grid: Grid): CornerOf {
  const across = Math.ceil(grid.totalColumns / grid.columns);
  const down = Math.ceil(grid.totalRows / grid.rows);
  if (frames !== across * down)
    invalid(
      `A TILED_FULL level of ${across} x ${down} tiles must have ${across * down} frames; it has ${frames}.`,
    );
  return (frame) => ({ x: (frame % across) * grid.columns, y: Math.floor(frame / across) * grid.rows });
}

function statedGrid(instances: readonly SlideInstance[], count: number, grid: Grid): CornerOf {
  const corners = { x: new Float64Array(count), y: new Float64Array(count) };
  const planes = new Set<number>();
  let stated = 0;
  for (const instance of instances) stated = readCorners(instance, corners, planes, stated);
  if (stated !== count) invalid(`${count} frames, but ${stated} of them have a position.`);
  requireOneGrid(corners, planes.size, grid);
  const { x, y } = corners;
  return (frame) => ({ x: x[frame]!, y: y[frame]! });
}

/**
 * Plane Position (Slide) of every frame: from the per-frame groups, or the shared one for a single frame. Excess frames
 * are counted but not kept.
 * @param planes gets the focal planes of its frames
 * @param from first index among the corners @returns the index after the last
 */
function readCorners(
  { dataset }: SlideInstance,
  corners: Corners,
  planes: Set<number>,
  from: number,
): number {
  const groups = dataset.sequence('PerFrameFunctionalGroupsSequence');
  const frames = groups.length > 0 ? groups : dataset.sequence('SharedFunctionalGroupsSequence');
  let index = from;
  for (const frame of frames) {
    const position: DataSet | undefined = frame.items('PlanePositionSlideSequence')[0];
    const column = position?.number('ColumnPositionInTotalImagePixelMatrix');
    const row = position?.number('RowPositionInTotalImagePixelMatrix');
    if (column === undefined || row === undefined) invalid('A frame has no Plane Position (Slide).');
    planes.add(position?.number('ZOffsetInSlideCoordinateSystem') ?? 0);
    corners.x[index] = column - 1;
    corners.y[index] = row - 1;
    index++;
  }
  return index;
}

/** @param planes number of focal planes: a scanner may follow the tissue, with one plane at each position */
function requireOneGrid(corners: Corners, planes: number, grid: Grid): void {
  const taken = new Set<number>();
  for (const [frame, x] of corners.x.entries()) {
    const y = corners.y[frame]!;
    const inside = x >= 0 && y >= 0 && x < grid.totalColumns && y < grid.totalRows;
    if (!inside || x % grid.columns !== 0 || y % grid.rows !== 0)
      invalid(
        `A frame lies at column ${x + 1}, row ${y + 1}, which is not on the grid of ${grid.columns} x ${grid.rows} tiles.`,
      );
    const index = y * grid.totalColumns + x;
    if (taken.has(index) && planes > 1)
      throw new StainError('FOCAL_PLANES_UNSUPPORTED', `The frames lie in ${planes} focal planes.`, {
        data: { planes },
      });
    if (taken.has(index)) invalid(`Two frames lie at column ${x + 1}, row ${y + 1}.`);
    taken.add(index);
  }
}
