/** The name that an ICC profile gives itself. */

const TAG_TABLE_AT = 128;
const TAG_BYTES = 12;

/**
 * The profile description tag, as text (ICC.1:2001-04, 6.5.17) or in the first of several languages (ICC.1:2022, 10.15).
 * @returns null if the profile has none, or is damaged
 */
export function profileName(profile: ArrayBuffer | ArrayBufferView): string | null {
  const bytes = ArrayBuffer.isView(profile)
    ? new Uint8Array(profile.buffer, profile.byteOffset, profile.byteLength)
    : new Uint8Array(profile);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4));
  try {
    const tags = view.getUint32(TAG_TABLE_AT);
    for (let tag = 0; tag < tags; tag++) {
      const at = TAG_TABLE_AT + 4 + tag * TAG_BYTES;
      if (at + TAG_BYTES > bytes.length) return null;
      if (word(at) !== 'desc') continue;
      const from = view.getUint32(at + 4);
      if (word(from) === 'desc')
        return clean(
          new TextDecoder('latin1'),
          bytes.subarray(from + 12, from + 12 + view.getUint32(from + 8)),
        );
      if (word(from) !== 'mluc') return null;
      const [length, offset] = [view.getUint32(from + 20), view.getUint32(from + 24)];
      return clean(new TextDecoder('utf-16be'), bytes.subarray(from + offset, from + offset + length));
    }
    return null;
  } catch {
    // A number lies outside the profile.
    return null;
  }
}

function clean(decoder: TextDecoder, text: Uint8Array): string | null {
  const [name = ''] = decoder.decode(text).split('\0');
  return name.trim() || null;
}
