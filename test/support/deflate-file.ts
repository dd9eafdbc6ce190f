/** An uncompressed Part 10 file as a deflated one, as PS3.5 A.5 has it. */
import { deflateRawSync } from 'node:zlib';
import { readFileMeta } from '../../server/src/dicom/dataset-reader.ts';
import { META_START, writeFileMeta } from '../../server/src/dicom/file-meta.ts';
import { DEFLATED } from '../../server/src/dicom/transfer-syntax.ts';

/** @param file in explicit VR little endian */
export function deflateFile(file: Uint8Array): Buffer {
  const { meta, end } = readFileMeta(file, META_START, file.length);
  const deflated = deflateRawSync(file.subarray(end));
  const padding = new Uint8Array(deflated.length % 2);
  return Buffer.concat([writeFileMeta(meta.with({ TransferSyntaxUID: DEFLATED })), deflated, padding]);
}
