/** Puts another patient into a DICOM file: values are replaced byte for byte, and the rest stays the same. */
import { tagOf } from '../../server/src/dicom/dictionary.ts';

/** @param values by keyword; padded to the length of those in the file, explicit VR little endian with short lengths */
export function replaceText(file: Buffer, values: Readonly<Record<string, string>>): Buffer {
  let bytes = file;
  for (const [keyword, value] of Object.entries(values)) {
    const tag = tagOf(keyword);
    const head = Buffer.alloc(4);
    head.writeUInt16LE(Number.parseInt(tag.slice(0, 4), 16));
    head.writeUInt16LE(Number.parseInt(tag.slice(4), 16), 2);
    const at = bytes.indexOf(head, 132);
    if (at < 0) throw new Error(`The file has no ${keyword}.`);
    const length = bytes.readUInt16LE(at + 6);
    const padded = Buffer.from(value.length % 2 ? `${value} ` : value);
    const size = Buffer.alloc(2);
    size.writeUInt16LE(padded.length);
    bytes = Buffer.concat([bytes.subarray(0, at + 6), size, padded, bytes.subarray(at + 8 + length)]);
  }
  return bytes;
}
