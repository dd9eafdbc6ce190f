/** A level of square tiles without headers, for tests of how its pixels are read. */
import { LazyList } from '../../core/src/lazy-list.ts';
import type { FramePosition, Level } from '../../server/src/slide/types.ts';

/** @param side of a tile, in pixels */
export function tiledLevel(totalColumns: number, totalRows: number, side: number): Level {
  const across = Math.ceil(totalColumns / side);
  return {
    rows: side,
    columns: side,
    totalColumns,
    totalRows,
    instances: [{ sopInstanceUid: `2.25.${totalColumns}` }],
    placement: { reduction: { across: 1, down: 1 }, content: { columns: totalColumns, rows: totalRows } },
    frames: new LazyList<FramePosition>(across * Math.ceil(totalRows / side), (frame) => ({
      instance: 0,
      frame,
      x: (frame % across) * side,
      y: Math.floor(frame / across) * side,
    })),
  } as unknown as Level;
}
