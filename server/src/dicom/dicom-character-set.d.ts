/** dicom-character-set ships no types. */
declare module 'dicom-character-set' {
  /** @throws Error if a term is not defined, or an escape sequence belongs to none of the terms */
  export function convertBytes(
    specificCharacterSet: string,
    bytes: Uint8Array,
    options: { readonly vr: string },
  ): string;
}
