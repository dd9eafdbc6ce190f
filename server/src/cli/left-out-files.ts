/** Describes the files of a folder that were left out, for the user at the terminal. */
import { basename } from 'node:path';
import type { LeftOutFiles } from '../archive/folder-index.ts';
import { terminalName } from './terminal-text.ts';

/** Maximum number of reasons listed: a folder of damaged files may have one per file. */
const MAX_REASONS = 5;

/**
 * @param names whether to print file names, which may name patients: only for the user who named the folder @returns
 * lines, or ''
 */
export function describeLeftOut(leftOut: readonly LeftOutFiles[], { names }: { names: boolean }): string {
  if (leftOut.length === 0) return '';
  const lines = leftOut.slice(0, MAX_REASONS).map(({ reason, paths }) => {
    const example = names
      ? ` ${paths.length > 1 ? 'One is' : 'It is'} ${terminalName(basename(paths[0]!))}.`
      : '';
    return `  ${paths.length}  ${reason}${example}\n`;
  });
  const more = leftOut.slice(MAX_REASONS).reduce((sum, { paths }) => sum + paths.length, 0);
  if (more > 0) lines.push(`  ${more}  For other reasons.\n`);
  return `Files of the folder that were left out:\n${lines.join('')}`;
}
