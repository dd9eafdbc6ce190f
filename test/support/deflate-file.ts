/** Deflates an uncompressed Part 10 file, as PS3.5 A.5 defines. */
import { deflateRawSync } from 'node:zlib';
import { DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN } from '../../core/src/dicom/transfer-syntaxes.ts';
import { readFileMeta } from '../../server/src/dicom/dataset-reader.ts';
import { META_START, writeFileMeta } from '../../server/src/dicom/file-meta.ts';

/** @param file in explicit VR little endian */
export function deflateFile(file: Uint8Array): Buffer {
  const { meta, end } = readFileMeta(file, META_START, file.length);
  const deflated = deflateRawSync(file.subarray(end));
  const padding = new Uint8Array(deflated.length % 2);
  return Buffer.concat([
    writeFileMeta(meta.with({ TransferSyntaxUID: DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN })),
    deflated,
    padding,
  ]);
}
