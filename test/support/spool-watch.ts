/** Observes a spool continuously from outside, like somebody who pays for the disk. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

export interface SpoolWatch {
  /** Stops observing. @returns the maximum number of bytes that all files had together */
  peak(): Promise<number>;
}

export function watchSpool(directory: string): SpoolWatch {
  let max = 0;
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      max = Math.max(max, await bytesIn(directory));
      await setTimeout(2);
    }
  })();
  return {
    async peak() {
      isOver = true;
      await watching;
      return max;
    },
  };
}

/** Bytes of the files of slides. */
export async function bytesIn(directory: string): Promise<number> {
  const names = await readdir(directory, { recursive: true }).catch(() => []);
  // A file that is renamed meanwhile is the same file.
  const sizes = new Map<number, number>();
  for (const name of names) {
    const found = await stat(join(directory, name)).catch(() => undefined);
    if (found?.isFile() && name.includes('/')) sizes.set(found.ino, found.size);
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
