/** What an ICC profile says of itself. */

const SIGNATURE_AT = 36;
const TAG_TABLE_AT = 128;
const TAG_BYTES = 12;

type Binary = ArrayBuffer | ArrayBufferView;

/** Whether it has the signature of a profile (ICC.1:2022, 7.2.11). An archive's address may answer anything, such as a web page. */
export function isProfile(value: Binary): boolean {
  return new TextDecoder('latin1').decode(bytesOf(value).subarray(SIGNATURE_AT, SIGNATURE_AT + 4)) === 'acsp';
}

/**
 * The profile description tag, as text (ICC.1:2001-04, 6.5.17) or in the first of several languages (ICC.1:2022, 10.15).
 * @returns null if the profile has none, or is damaged
 */
export function profileName(profile: Binary): string | null {
  const bytes = bytesOf(profile);
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

function bytesOf(value: Binary): Uint8Array {
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value);
}

function clean(decoder: TextDecoder, text: Uint8Array): string | null {
  const [name = ''] = decoder.decode(text).split('\0');
  return name.trim() || null;
}
