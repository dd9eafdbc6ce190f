/** Decodes text by the Specific Character Set (0008,0005) of its data set; PS3.3 C.12.1.1.2. For reading only. */

/** Defined terms for which the platform has a decoder; the rest is read as Latin-1, which never fails. */
const LABELS = new Map([
  ['ISO_IR 101', 'iso-8859-2'],
  ['ISO_IR 109', 'iso-8859-3'],
  ['ISO_IR 110', 'iso-8859-4'],
  ['ISO_IR 144', 'iso-8859-5'],
  ['ISO_IR 127', 'iso-8859-6'],
  ['ISO_IR 126', 'iso-8859-7'],
  ['ISO_IR 138', 'iso-8859-8'],
  ['ISO_IR 148', 'windows-1254'],
  ['ISO_IR 166', 'windows-874'],
  ['ISO_IR 192', 'utf-8'],
  ['GB18030', 'gb18030'],
  ['GBK', 'gbk'],
]);

/** VRs whose text is in the Specific Character Set; all others are ASCII (PS3.5 6.1.2.3). */
const CHARACTER_SET_VRS = new Set(['LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UT']);

/** @param term first value of Specific Character Set */
export function decodeText(bytes: Uint8Array, vr: string, term: string): string {
  const label = CHARACTER_SET_VRS.has(vr) ? LABELS.get(term) : undefined;
  if (label) return new TextDecoder(label).decode(bytes);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
