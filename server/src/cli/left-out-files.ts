/** Files of a folder that are left out, in words, for a person at the terminal. */
import { basename } from 'node:path';
import type { LeftOutFiles } from '../archive/folder-index.ts';

/** Reasons that are told one by one; a folder of damaged files may have as many as files. */
const MOST_REASONS = 5;

/** @param names whether to name files, which may name patients: only for whoever named the folder @returns lines, or '' */
export function describeLeftOut(leftOut: readonly LeftOutFiles[], { names }: { names: boolean }): string {
  if (leftOut.length === 0) return '';
  const lines = leftOut.slice(0, MOST_REASONS).map(({ reason, paths }) => {
    const example = names ? ` ${paths.length > 1 ? 'One is' : 'It is'} ${basename(paths[0]!)}.` : '';
    return `  ${paths.length}  ${reason}${example}\n`;
  });
  const more = leftOut.slice(MOST_REASONS).reduce((sum, { paths }) => sum + paths.length, 0);
  if (more > 0) lines.push(`  ${more}  For other reasons.\n`);
  return `Files of the folder that are left out:\n${lines.join('')}`;
}
