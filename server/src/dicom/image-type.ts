/** Image Type (0008,0008) of derived images: always four values (PS3.3 C.8.12.4.1.1). */
export type ImageRole = 'base' | 'level' | 'thumbnail';

export function imageTypeOf(role: ImageRole): readonly string[] {
  if (role === 'base') return ['DERIVED', 'PRIMARY', 'VOLUME', 'NONE'];
  return ['DERIVED', 'PRIMARY', role === 'thumbnail' ? 'THUMBNAIL' : 'VOLUME', 'RESAMPLED'];
}
