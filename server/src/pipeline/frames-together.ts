/** Which frames pass through a codec thread together. */
import type { FramePosition, Level } from '../slide/types.ts';

/** Large enough to keep a thread busy while the event loop is. */
const PIXELS_TOGETHER = 2 ** 20;

/** Maximum number of frames of a level that are worked on together. */
export function maxTogether({ rows, columns }: Level): number {
  return Math.max(1, Math.floor(PIXELS_TOGETHER / (rows * columns)));
}

/** Frames of a level in groups, each of one instance, for work whose order does not matter. */
export function* framesTogether(
  level: Level,
  positions: Iterable<FramePosition>,
): Generator<FramePosition[]> {
  const most = maxTogether(level);
  const open = new Map<number, FramePosition[]>();
  for (const position of positions) {
    const group = open.get(position.instance) ?? [];
    group.push(position);
    open.set(position.instance, group);
    if (group.length < most) continue;
    open.delete(position.instance);
    yield group;
  }
  yield* open.values();
}
