/** How Node starts the product: as users do, with the options of its first line. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../server/src/main.ts', import.meta.url));

/** Options of Node in the first line of main.ts, which also starts the installed command. */
export const NODE_OPTIONS: readonly string[] = /^#!\S+ -S node (.+)/
  .exec(readFileSync(MAIN, 'utf8'))![1]!
  .split(' ');

/** Arguments for Node that start the product. */
export const START: readonly string[] = [...NODE_OPTIONS, MAIN];
