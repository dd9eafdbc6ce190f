/** Names files beside UIDs: people know the slides of a folder by their files. */
import { StainError, toStainError } from '../../../core/src/errors.ts';
import type { SlideReference } from '../pipeline/series-reference.ts';
import type { ArchiveLocation } from '../wiring/archive-location.ts';
import { terminalName } from './terminal-text.ts';

export type SourceOfFiles = Pick<ArchiveLocation, 'fileOf'>;

/** The same error, with the file of the slide in its message and data if the source is a folder. */
export function withFile(thrown: unknown, source: SourceOfFiles, slide: SlideReference): unknown {
  const file = source.fileOf?.(slide);
  if (file === undefined) return thrown;
  const { code, message, data, retry } = toStainError(thrown);
  return new StainError(code, `${terminalName(file)}: ${message}`, {
    data: { ...data, file },
    retry,
    cause: thrown,
  });
}
