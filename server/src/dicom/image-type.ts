/**
 * Image Type (0008,0008) of derived images: always four values (PS3.3 C.8.12.4.1.1). The last one says whether pixels were
 * resampled from a finer level, by us or by whoever made the level that was mapped.
 */
export type ImageRole = 'base' | 'level' | 'thumbnail';

/** @param resampled what the source says; without it what is usual, and true of a level that we have built */
export function imageTypeOf(role: ImageRole, resampled?: string): readonly string[] {
  const usual = role === 'base' ? 'NONE' : 'RESAMPLED';
  const isKnown = resampled === 'NONE' || resampled === 'RESAMPLED';
  return ['DERIVED', 'PRIMARY', role === 'thumbnail' ? 'THUMBNAIL' : 'VOLUME', isKnown ? resampled : usual];
}
