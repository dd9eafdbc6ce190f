/**
 * Image Type (0008,0008) of derived images: always four values (PS3.3 C.8.12.4.1.1). The last one says whether the
 * pixels were resampled from a finer level, by us or by the creator of the mapped level.
 */
export type ImageRole = 'base' | 'level' | 'thumbnail';

/** @param resampled the source's value; if undefined, the usual value, which is true of a level that we built */
export function imageTypeOf(role: ImageRole, resampled?: string): readonly string[] {
  const usual = role === 'base' ? 'NONE' : 'RESAMPLED';
  const isKnown = resampled === 'NONE' || resampled === 'RESAMPLED';
  return ['DERIVED', 'PRIMARY', role === 'thumbnail' ? 'THUMBNAIL' : 'VOLUME', isKnown ? resampled : usual];
}
